"""Splits of interactions into parts that share their id maps. Every row lands in exactly one part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_float
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.data.interactions import Interactions
from hashgnn.errors import DataError, ParameterError

Pair = tuple[Interactions, Interactions]

METHODS = ("temporal", "temporal_per_user", "random", "leave_one_out", "users")

__all__ = ["leave_one_out", "random", "temporal", "temporal_per_user", "train_valid_test", "users"]


def random(interactions: Interactions, test_size: float = 0.2, *, rng: RngLike = None) -> Pair:
    """Hold out a random share of each user's interactions.

    Parameters
    ----------
    interactions : Interactions
    test_size : float in (0, 1), default=0.2
        Share of each user's rows. A fraction of a row is rounded up or down by chance, so that the
        share holds on average; at least one row of a user stays in training.
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    train, test : Interactions

    See Also
    --------
    temporal : By time, as in use.
    train_valid_test : Three parts.
    hashgnn.data.split_table : A table with all of its columns.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> train, test = random(Interactions.from_csr(sp.csr_matrix(np.ones((3, 4)))), 0.25, rng=0)
    >>> len(train), len(test)
    (9, 3)
    """
    share = _share(test_size)
    generator = as_generator(rng)
    order = np.lexsort((generator.random(len(interactions)), interactions.user_index))
    degrees = np.bincount(interactions.user_index, minlength=interactions.n_users)
    held = np.floor(degrees * share + generator.random(len(degrees))).astype(np.int64)
    return _hold_last(interactions, order, degrees, held)


def leave_one_out(interactions: Interactions, *, rng: RngLike = None) -> Pair:
    """Hold out one interaction of each user: the latest, or a random one where there are no times.

    A user with a single interaction keeps it in training. Among equal times one is drawn by ``rng``.
    """
    generator = as_generator(rng)
    order = _by_user_and_time(interactions, generator)
    degrees = np.bincount(interactions.user_index, minlength=interactions.n_users)
    return _hold_last(interactions, order, degrees, np.ones_like(degrees))


def temporal_per_user(interactions: Interactions, test_size: float = 0.2, *, rng: RngLike = None) -> Pair:
    """Hold out the latest share of each user's interactions, rounded to whole rows.

    At least one row of a user stays in training. Among equal times the order is drawn by ``rng``.

    Raises
    ------
    DataError
        If the interactions have no timestamps.
    """
    share = _share(test_size)
    _timestamps(interactions)
    order = _by_user_and_time(interactions, as_generator(rng))
    degrees = np.bincount(interactions.user_index, minlength=interactions.n_users)
    return _hold_last(interactions, order, degrees, np.rint(degrees * share).astype(np.int64))


def temporal(interactions: Interactions, test_size: float = 0.2) -> Pair:
    """Cut at one moment: interactions at or after it are the test part.

    The moment is chosen so that the test part is as near ``test_size`` of the rows as equal times allow.
    Users and items that appear only later keep their place in the id maps, without training rows.

    Raises
    ------
    DataError
        If the interactions have no timestamps, or all have the same.
    """
    share = _share(test_size)
    times = _timestamps(interactions)
    moments, counts = np.unique(times, return_counts=True)
    if len(moments) < 2:
        raise DataError("a temporal split needs at least two different timestamps, got one")
    later = np.cumsum(counts[::-1])[::-1] / len(interactions)
    cut = moments[1:][np.abs(later[1:] - share).argmin()]
    return interactions.subset(times < cut), interactions.subset(times >= cut)


def users(interactions: Interactions, test_size: float = 0.1, *, rng: RngLike = None) -> Pair:
    """Hold out whole users, as for measuring fold-in; at least one on each side."""
    share = _share(test_size)
    present = np.flatnonzero(np.bincount(interactions.user_index, minlength=interactions.n_users))
    if len(present) < 2:
        raise DataError(f"holding out users needs at least 2 users with interactions, got {len(present)}")
    n_held = min(max(round(len(present) * share), 1), len(present) - 1)
    held = np.zeros(interactions.n_users, bool)
    held[as_generator(rng).choice(present, n_held, replace=False)] = True
    mask = held[interactions.user_index]
    return interactions.subset(~mask), interactions.subset(mask)


def train_valid_test(
    interactions: Interactions,
    method: str = "random",
    test_size: float = 0.1,
    *,
    valid_size: float | None = None,
    rng: RngLike = None,
) -> tuple[Interactions, Interactions | None, Interactions]:
    """Split into three parts: the test part first, then the validation part from what is left.

    Parameters
    ----------
    interactions : Interactions
    method : {"temporal", "temporal_per_user", "random", "leave_one_out", "users"}, default="random"
        A function of this module.
    test_size : float in (0, 1), default=0.1
        Share of all rows, or of all users for ``"users"``. ``"leave_one_out"`` does not look at it.
    valid_size : float in [0, 1) or None, default=None
        The same for the validation part; ``None`` is ``test_size``, and 0 makes none. ``"leave_one_out"``
        only distinguishes 0 from the rest.
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    train, valid, test : Interactions
        ``valid`` is ``None`` where ``valid_size`` is 0.

    Raises
    ------
    ParameterError
        If the shares leave nothing to train on.
    DataError
        If a part is empty, or a temporal method finds no timestamps.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> whole = Interactions.from_csr(sp.csr_matrix(np.ones((5, 10))))
    >>> [len(part) for part in train_valid_test(whole, "random", 0.2, rng=0)]
    [30, 10, 10]
    """
    check_choice("method", method, METHODS)
    test_share = _share(test_size)
    valid_share = (
        test_share
        if valid_size is None
        else check_float("valid_size", valid_size, minimum=0, maximum=1, open_maximum=True)
    )
    if method != "leave_one_out" and test_share + valid_share >= 1:
        raise ParameterError(
            f"test_size and valid_size must add up to less than 1, got {test_share:g} and {valid_share:g}"
        )
    generator = as_generator(rng)
    train, test = _in_two(interactions, method, test_share, generator)
    valid = None
    if valid_share:
        # Of what is left, the share that is valid_size of the whole.
        rest = valid_share / (1 - test_share) if method != "leave_one_out" else valid_share
        train, valid = _in_two(train, method, rest, generator)
    for name, part in (("test", test), ("valid", valid), ("train", train)):
        if part is not None and not len(part):
            raise DataError(
                f"the {name} part is empty: {len(interactions)} interactions are too few for this split"
            )
    return train, valid, test


def _in_two(interactions: Interactions, method: str, share: float, generator: np.random.Generator) -> Pair:
    if method == "temporal":
        return temporal(interactions, share)
    if method == "leave_one_out":
        return leave_one_out(interactions, rng=generator)
    by_share: dict[str, Callable[..., Any]] = {
        "temporal_per_user": temporal_per_user,
        "random": random,
        "users": users,
    }
    train, test = by_share[method](interactions, share, rng=generator)
    return train, test


def _share(test_size: float) -> float:
    return check_float("test_size", test_size, minimum=0, maximum=1, open_minimum=True, open_maximum=True)


def _timestamps(interactions: Interactions) -> Array:
    if interactions.timestamp is None:
        raise DataError("a temporal split needs timestamps, got interactions without; use split.random")
    return interactions.timestamp


def _by_user_and_time(interactions: Interactions, generator: np.random.Generator) -> Array:
    chance = generator.random(len(interactions))
    keys = (chance,) if interactions.timestamp is None else (chance, interactions.timestamp)
    return np.lexsort((*keys, interactions.user_index))


def _hold_last(interactions: Interactions, order: Array, degrees: Array, held: Array) -> Pair:
    """Hold out the last ``held`` rows of each user in ``order``, which is sorted by user."""
    held = np.minimum(held, np.maximum(degrees - 1, 0))
    starts = np.cumsum(degrees) - degrees
    owner = interactions.user_index[order]
    rank = np.arange(len(order)) - starts[owner]
    mask = np.zeros(len(order), bool)
    mask[order] = rank >= (degrees - held)[owner]
    return interactions.subset(~mask), interactions.subset(mask)
