"""Generated interactions with known structure, for benchmarks, examples and tests."""

from __future__ import annotations

import numpy as np

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions
from hashgnn.errors import ParameterError

_ROUNDS = 24
_FEWEST = 2
_TASTE = 0.1  # of the Dirichlet distribution of a user's tastes: with 20 clusters most have one to three
_OUTSIDE = 0.01  # how likely an item is in a cluster that is not its own, next to its own
_SPREAD_OF_ACTIVITY = 0.8  # deviation of the logarithm of a user's number of interactions
_START, _SPAN = 1_577_836_800, 365 * 24 * 3600  # seconds: the year from 2020-01-01


def generate_interactions(
    n_users: int,
    n_items: int,
    n_interactions: int,
    *,
    n_clusters: int = 20,
    popularity: float = 0.8,
    rng: RngLike = None,
) -> Interactions:
    """Draw interactions of users with tastes and items of unequal popularity.

    Item ``i`` belongs to cluster ``i % n_clusters``. A user has a taste, a distribution over clusters; each
    interaction draws a cluster from the taste and an item from the cluster by popularity. This is a
    latent-factor model of rank ``n_clusters``.

    Parameters
    ----------
    n_users : int >= 1
    n_items : int >= 4
    n_interactions : int
        Between two per user and half of all pairs. Each user has two or more, so that one can be held out. A user
        may draw the same items repeatedly and end with fewer than intended, so the result may hold a little
        less.
    n_clusters : int >= 1, default=20
    popularity : float >= 0, default=0.8
        The item of popularity rank r is drawn in proportion to r^-popularity; 0 makes all items equally likely.
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    Interactions
        Ids are the numbers from 0; timestamps are seconds within one year.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    See Also
    --------
    generate_shop : Events with types, and a catalogue.
    checkerboard : A known answer.

    Examples
    --------
    >>> generate_interactions(100, 80, 1000, rng=0).n_users
    100
    """
    n_users = check_int("n_users", n_users, minimum=1)
    n_items = check_int("n_items", n_items, minimum=2 * _FEWEST)
    n_clusters = min(check_int("n_clusters", n_clusters, minimum=1), n_items)
    n_interactions = check_int("n_interactions", n_interactions, minimum=1)
    popularity = check_float("popularity", popularity, minimum=0)
    most = n_users * (n_items // 2)
    if not _FEWEST * n_users <= n_interactions <= most:
        raise ParameterError(
            f"n_interactions must be from {_FEWEST} a user to half of all pairs, {_FEWEST * n_users} to {most}, "
            f"got {n_interactions}"
        )
    generator = as_generator(rng)
    wanted = _activity(n_users, n_interactions, n_items // 2, generator)
    tastes = generator.dirichlet(np.full(n_clusters, _TASTE), n_users)
    weights = generator.permutation(np.arange(1, n_items + 1.0) ** -popularity)
    cluster = np.arange(n_items) % n_clusters
    chances = [np.cumsum(weights * np.where(cluster == c, 1.0, _OUTSIDE)) for c in range(n_clusters)]
    pairs = np.empty(0, np.int64)
    for _ in range(_ROUNDS):
        left = wanted - np.bincount(pairs // n_items, minlength=n_users)
        if not left.any():
            break
        # Sorting is several times quicker here than the hashing of np.unique.
        pairs = np.sort(np.concatenate([pairs, _draw(left, tastes, chances, generator)]))
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    # Who drew one item only, however often, gets any other.
    alone = pairs[np.bincount(pairs // n_items, minlength=n_users)[pairs // n_items] < _FEWEST]
    others = (alone + generator.integers(1, n_items, len(alone))) % n_items
    pairs = np.sort(np.concatenate([pairs, alone // n_items * n_items + others]))
    return Interactions(
        IdMap(np.arange(n_users)),
        IdMap(np.arange(n_items)),
        pairs // n_items,
        pairs % n_items,
        timestamp=_START + generator.integers(_SPAN, size=len(pairs)),
    )


def checkerboard(n: int = 50) -> tuple[Interactions, Interactions]:
    """Return interactions with a known answer: users like the items of their own parity.

    The training part holds all of them but the item that has the user's own number; the test part holds
    these. The best item that a user has not seen is therefore that one: precision@1 can be 1.

    Parameters
    ----------
    n : int >= 4, default=50
        Users, and items.

    Returns
    -------
    train, test : Interactions
        With the same id maps.

    References
    ----------
    The idea is that of the contract tests of the ``implicit`` library.

    Examples
    --------
    >>> train, test = checkerboard(4)
    >>> train.csr.toarray().astype(int).tolist()
    [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    """
    n = check_int("n", n, minimum=4)
    user_index, item_index = np.nonzero(np.arange(n)[:, None] % 2 == np.arange(n) % 2)
    ids = IdMap(np.arange(n))
    board = Interactions(ids, ids, user_index, item_index)
    own = board.user_index == board.item_index
    return board.subset(~own), board.subset(own)


def _activity(n_users: int, total: int, most: int, generator: np.random.Generator) -> Array:
    """Return how many interactions each user has: between two and ``most``, ``total`` together."""
    weight = generator.lognormal(0, _SPREAD_OF_ACTIVITY, n_users)
    counts: Array = np.clip(np.floor(weight / weight.sum() * total), _FEWEST, most).astype(np.int64)
    while (short := total - int(counts.sum())) != 0:
        # Users with room, in random order, take or give one each until the total is right.
        room = np.flatnonzero(counts < most if short > 0 else counts > _FEWEST)
        chosen = generator.permutation(room)[: abs(short)]
        counts[chosen] += 1 if short > 0 else -1
    return counts


def _draw(left: Array, tastes: Array, chances: list[Array], generator: np.random.Generator) -> Array:
    """Return ``left[u]`` drawn pairs of each user u, as user · n_items + item; some may be the same."""
    n_items = len(chances[0])
    drawn = []
    for counts, chance in zip(generator.multinomial(left, tastes).T, chances, strict=True):
        users = np.repeat(np.arange(len(left)), counts)
        items = np.searchsorted(chance, generator.random(len(users)) * chance[-1], side="right")
        drawn.append(users * n_items + np.minimum(items, n_items - 1))
    return np.concatenate(drawn)
