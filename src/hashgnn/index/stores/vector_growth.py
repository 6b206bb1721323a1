"""Lists of embeddings that grow: as :mod:`~hashgnn.index.stores.list_growth`, by embeddings instead of codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.index._vector_clustering import (
    EmbeddingsOf,
    assign_vectors,
    clustered,
    radii_of,
    two_centres,
)
from hashgnn.index.stores.list_centres import ListCentres

_LONG = 4.0  # times the mean length: such a list is split, however many lists there are
_NEAR = 8  # lists around a split one whose entries may move
_ROUNDS = 2  # of moving centres and entries there: with none, what lists find decays as they grow
_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class ListedRows:
    """Entries, each in a list, and their rows.

    Attributes
    ----------
    centres : ListCentres
    lists : ndarray of shape (n,), int64
    rows : ndarray of shape (n, n_bytes), uint8
    """

    centres: ListCentres
    lists: Array
    rows: Array


def grown(listed: ListedRows, embeddings_of: EmbeddingsOf, *, anew: bool) -> ListedRows:
    """Return the same with later entries, those in list ``n_lists``, in lists of their own.

    Each later entry goes to the list of its nearest centre. Then the longest lists are split in two, until none
    is longer than four times the mean. The number of lists grows as the square root of the number of entries. Centres
    around a split list become the means of their entries, and these entries move to the nearest centre. Rows are
    written anew where the list of an entry, or its centre, has changed.

    Parameters
    ----------
    listed : ListedRows
    embeddings_of : callable
        Returns the embeddings of some entries.
    anew : bool
        Cluster all entries anew instead.
    """
    before, n = listed.centres, len(listed.lists)
    n_lists = before.n_lists
    n_listed = int((listed.lists < n_lists).sum())
    wanted = max(1, round(n_lists * float(np.sqrt(n / n_listed)))) if n_listed else n_lists
    if anew and n >= wanted:
        floats, lists = clustered(embeddings_of, n, wanted, rng=np.random.default_rng(0), n_threads=1)
        centres = ListCentres.build(floats, before.quantiser)
        return _written(
            ListedRows(centres, lists, listed.rows), np.ones(n, bool), embeddings_of, before.radii
        )
    lists = np.array(listed.lists)
    new = np.flatnonzero(lists == n_lists)
    lists[new] = _nearest(new, before, embeddings_of)
    floats, touched = _split(lists, before.floats[:n_lists], embeddings_of, wanted)
    moved = _around(floats, touched) if touched.size else touched
    around = np.flatnonzero(np.isin(lists, moved))
    centres = ListCentres.build(floats, before.quantiser)
    for _ in range(_ROUNDS if touched.size else 0):
        floats = _moved(floats, lists, around, embeddings_of)
        centres = ListCentres.build(floats, before.quantiser)
        lists[around] = _nearest(around, centres, embeddings_of)
        around = np.flatnonzero(np.isin(lists, moved))
    is_changed = np.isin(lists, moved) | (lists != listed.lists)
    return _written(ListedRows(centres, lists, listed.rows), is_changed, embeddings_of, before.radii)


def _nearest(entries: Array, centres: ListCentres, embeddings_of: EmbeddingsOf) -> Array:
    """Return the list with the nearest centre of some entries."""

    def of_places(some: Array) -> Array:
        return embeddings_of(entries[some])

    return assign_vectors(of_places, len(entries), centres.table, centres.n_lists, n_threads=1)


def _split(lists: Array, centres: Array, embeddings_of: EmbeddingsOf, wanted: int) -> tuple[Array, Array]:
    """Split the longest lists in two, ``lists`` in place; return the centres and which lists were touched."""
    found, touched = list(centres), set[int]()
    lengths = list(np.bincount(lists, minlength=len(found)))
    mean = len(lists) / max(1, len(found))
    while True:
        longest = int(np.argmax(lengths))
        length = int(lengths[longest])
        if length < 2 or not (length > _LONG * mean or (len(found) < wanted and length > mean)):
            break
        entries = np.flatnonzero(lists == longest)
        pair, is_second = two_centres(embeddings_of(entries))
        if not is_second.any() or is_second.all():  # all entries are the same
            lengths[longest] = 0
            continue
        number = len(found)
        found[longest] = pair[0]
        found.append(pair[1])
        lists[entries[is_second]] = number
        lengths[longest] = int((~is_second).sum())
        lengths.append(int(is_second.sum()))
        touched |= {longest, number}
    return np.stack(found).astype(np.float32), np.array(sorted(touched), np.int64)


def _around(centres: Array, touched: Array) -> Array:
    """Return the lists nearest to those that were touched, themselves among them."""
    halves = np.einsum("ij,ij->i", centres, centres) / 2
    count = min(_NEAR, len(centres))
    near = np.argsort(halves - centres[touched] @ centres.T, axis=1, kind="stable")[:, :count]
    found: Array = np.unique(np.concatenate([near.ravel(), touched]))
    return found


def _moved(centres: Array, lists: Array, entries: Array, embeddings_of: EmbeddingsOf) -> Array:
    """Return the centres with those of the lists of some entries, all that these lists hold, at their means."""
    sums, counts = np.zeros(centres.shape, np.float64), np.bincount(lists[entries], minlength=len(centres))
    for start in range(0, len(entries), _BLOCK):
        some = entries[start : start + _BLOCK]
        order = np.argsort(lists[some], kind="stable")
        present, starts = np.unique(lists[some][order], return_index=True)
        sums[present] += np.add.reduceat(embeddings_of(some[order]), starts, axis=0)
    found, has = np.array(centres), counts > 0
    found[has] = sums[has] / counts[has, None]
    return found


def _written(listed: ListedRows, is_changed: Array, embeddings_of: EmbeddingsOf, radii: Array) -> ListedRows:
    """Return the same with the rows of some entries written anew, and radii with them; the others had ``radii``."""
    rows, entries = np.array(listed.rows), np.flatnonzero(is_changed)
    squares = np.empty(len(entries))
    for start in range(0, len(entries), _BLOCK):
        some = entries[start : start + _BLOCK]
        written = listed.centres.rows_of(embeddings_of(some), listed.lists[some])
        rows[some], squares[start : start + _BLOCK] = written
    n_lists = listed.centres.n_lists
    known = np.zeros((2, n_lists))
    known[0] = np.bincount(listed.lists[~is_changed], minlength=n_lists)
    n_known = min(n_lists, len(radii) - 1)
    known[1, :n_known] = radii[:n_known]
    found = radii_of(listed.lists[entries], squares, n_lists, known)
    return ListedRows(listed.centres.with_radii(found), listed.lists, rows)
