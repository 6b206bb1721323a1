"""Lists that grow: later codes move into the lists of their nearest centroids, and lists that became long are split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.index._clustering import (
    around_means,
    assign,
    majorities,
    train_centroids,
    two_centroids,
)

#: Later codes that wait in a list of their own, which every query reads.
WAITING = 1024
#: They may be more where they are fewer than this part of the codes in lists.
WAITING_PART = 32

_LONG = 4.0  # times the mean length: such a list is split, however many lists there are
_NEAR = 8  # lists around a split one whose codes may move


@dataclass(frozen=True, eq=False)
class ListedCodes:
    """Codes, each in a list.

    Attributes
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    lists : ndarray of shape (n,), int64
        The list of each code.
    centroids : BinaryCodes of shape (n_lists, n_bits)
    """

    codes: BinaryCodes
    lists: Array
    centroids: BinaryCodes


def is_due(n_waiting: int, n_listed: int) -> bool:
    """Whether so many later codes should move into the lists of so many others."""
    return n_waiting > max(WAITING, n_listed // WAITING_PART)


def is_due_anew(n_joined: int, n_clustered: int) -> bool:
    """Whether so many codes have joined lists of so many that all should be clustered anew: half as many."""
    return 2 * n_joined >= n_clustered


def grown(listed: ListedCodes, more: BinaryCodes, *, anew: bool, by_means: bool = False) -> ListedCodes:
    """Return the lists with more codes, as many more lists as the square root of the number of codes grew.

    Each new code goes to the list of its nearest centroid. Then the longest lists are split in two, until there
    are as many as wanted, and none is longer than four times the mean. Centroids around a split list become the
    majorities of their codes, and these codes move to the nearest. The same codes in the same order make the same
    lists.

    Parameters
    ----------
    listed : ListedCodes
    more : BinaryCodes
    anew : bool
        Cluster all codes anew instead: splits alone find a little less than new lists do.
    by_means : bool, default=False
        Then cluster them for float queries.

    References
    ----------
    Xu et al., "SPFresh: Incremental In-Place Update for Billion-Scale Vector Search", SOSP 2023: to split what
    became long and to assign the neighbourhood again keeps lists good for long.
    """
    n_before, n_lists = len(listed.codes), len(listed.centroids)
    codes = BinaryCodes(np.concatenate([listed.codes.packed, more.packed]), more.n_bits)
    wanted = round(n_lists * float(np.sqrt(len(codes) / n_before))) if n_before else n_lists
    if anew and len(codes) >= wanted:
        centroids = train_centroids(codes, wanted, rng=np.random.default_rng(0), n_threads=1)
        lists = assign(codes, centroids, n_threads=1)
        if by_means:
            centroids, lists = around_means(codes, lists, centroids, n_threads=1)
        return ListedCodes(codes, lists, centroids)
    lists = np.concatenate([listed.lists, assign(more, listed.centroids, n_threads=1)])
    packed, touched = _split(codes, lists, listed.centroids, wanted)
    centroids = BinaryCodes(packed, codes.n_bits)
    if touched.size:
        centroids = _moved(codes, lists, centroids, touched)
    return ListedCodes(codes, lists, centroids)


def _split(codes: BinaryCodes, lists: Array, centroids: BinaryCodes, wanted: int) -> tuple[Array, Array]:
    """Split the longest lists in two, ``lists`` in place; return the centroids and which lists were touched."""
    n_lists, touched = len(centroids), set[int]()
    changed = centroids.packed.copy()
    lengths = np.bincount(lists, minlength=n_lists)
    order = np.argsort(lists, kind="stable")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    members: dict[int, Array] = {}
    mean = len(codes) / max(1, n_lists)
    new: list[Array] = []
    while True:
        longest = int(np.argmax(lengths))
        length = int(lengths[longest])
        if length < 2 or not (length > _LONG * mean or (n_lists + len(new) < wanted and length > mean)):
            break
        rows = members.pop(longest, None)
        if rows is None:
            rows = order[starts[longest] : starts[longest + 1]]
        pair, is_second = two_centroids(codes[rows])
        if not is_second.any() or is_second.all():  # all codes are the same
            lengths[longest] = 0
            continue
        number = n_lists + len(new)
        new.append(pair.packed[1])
        if longest < n_lists:
            changed[longest] = pair.packed[0]
        else:
            new[longest - n_lists] = pair.packed[0]
        members[longest], members[number] = rows[~is_second], rows[is_second]
        lists[members[number]] = number
        lengths[longest] = len(members[longest])
        lengths = np.append(lengths, len(members[number]))
        touched |= {longest, number}
    packed = [changed] if not new else [changed, np.stack(new)]
    return np.concatenate(packed), np.array(sorted(touched), np.int64)


def _moved(codes: BinaryCodes, lists: Array, centroids: BinaryCodes, touched: Array) -> BinaryCodes:
    """Return better centroids around lists that were touched; their codes go to the nearest, ``lists`` in place."""
    distances = BinaryCodes(centroids.packed[touched], centroids.n_bits).distances(centroids)
    count = min(_NEAR, len(centroids))
    near = np.argsort(distances, axis=1, kind="stable")[:, :count]
    is_near = np.zeros(len(centroids), bool)
    is_near[near.ravel()] = True
    rows = np.flatnonzero(is_near[lists])
    better = majorities(codes[rows], lists[rows], centroids)
    lists[rows] = assign(codes[rows], better, n_threads=1)
    return better
