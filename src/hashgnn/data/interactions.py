"""``Interactions``: pairs of users and items, as internal indices with their external ids."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_choice, check_int
from hashgnn._types import Array, ArrowStream, Frame, Ids
from hashgnn.data import _columns
from hashgnn.data._k_core import k_core
from hashgnn.data._merging import merge
from hashgnn.data._statistics import describe
from hashgnn.data.ids import IdMap
from hashgnn.data.weighting import HalfLife, Moment, Weighting, event_role, requested, weigh
from hashgnn.errors import DataError, DataWarning, ParameterError

_DTYPES = {"user_index": np.int32, "item_index": np.int32, "weight": np.float32, "timestamp": np.int64}


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Observed (user, item[, weight, time]) rows: each pair once, sorted by user and item.

    Make one with :meth:`from_frame`, :meth:`from_csr`, :meth:`from_arrays` or
    :func:`~hashgnn.data.read_interactions`.

    Attributes
    ----------
    user_ids, item_ids : IdMap
    user_index, item_index : ndarray of shape (n,), int32
    weight : ndarray of shape (n,), float32, or None
    timestamp : ndarray of shape (n,), int64, or None
        In the unit it was given in; dates and times become microseconds since 1970.
    n_merged : int
        Rows that were merged into another of the same pair: weights added, the latest time kept.
    weighting : Weighting or None
        What made the weights of types of events and of ages; ``None`` where neither counts.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = pa.table({"user_id": ["u2", "u1", "u2", "u2"], "item_id": [7, 9, 9, 7]})
    >>> interactions = Interactions.from_frame(rows)
    >>> interactions
    Interactions(n=3, n_users=2, n_items=2, n_merged=1)
    >>> interactions.csr.toarray()
    array([[0., 1.],
           [1., 1.]], dtype=float32)
    """

    user_ids: IdMap
    item_ids: IdMap
    user_index: Array
    item_index: Array
    weight: Array | None = None
    timestamp: Array | None = None
    n_merged: int = field(default=0, kw_only=True)
    weighting: Weighting | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        # Rows are checked, merged and sorted by the from_ methods; here they are taken as they are.
        for name, dtype in _DTYPES.items():
            values = getattr(self, name)
            if values is not None:
                view = np.ascontiguousarray(values, dtype).view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __getstate__(self) -> dict[str, Any]:
        """Send the rows and their ids by value; the matrix ``csr`` is left behind."""
        return {name: value for name, value in self.__dict__.items() if name != "csr"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # an array that was sent can be written to

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        user: str | None = None,
        item: str | None = None,
        weight: str | None = None,
        timestamp: str | None = None,
        event_column: str | None = None,
        event_weights: Mapping[str, float] | None = None,
        half_life: HalfLife | None = None,
        reference_time: Moment | None = None,
        weighting: Weighting | None = None,
        user_ids: IdMap | Ids | None = None,
        item_ids: IdMap | Ids | None = None,
        on_unknown: str = "error",
    ) -> Interactions:
        """Read a pandas, polars or Arrow data frame.

        Parameters
        ----------
        frame : data frame, or anything with ``__arrow_c_stream__``
            An Arrow record batch, reader or dataset too. A reader is read to its end.
        user, item : str or None, default=None
            Columns of the external ids; ``None`` takes the first of ``user_id``, ``user``, ``userId`` and
            of ``item_id``, ``item``, ``itemId``, ``movieId`` that is present.
        weight, timestamp : str or None, default=None
            Columns of weights and times; ``None`` takes ``weight`` and ``timestamp`` or ``time`` where
            they are present. A rating is a weight only where you say so. Times that were not requested and
            are incomplete are left out, with a warning.
        event_column : str or None, default=None
            Column of the types of events; ``None`` takes ``event`` where types have weights.
        event_weights : mapping of str to float, optional
            Weight of each type, >= 0, as ``{"view": 1, "purchase": 5}``. It is multiplied with the weight of
            the row, if there is one. 0 leaves rows out. A type without a weight is an error; a row without
            a type counts as one of weight 1, with a warning.
        half_life : str, timedelta, float, optional
            Age at which an interaction weighs half: ``"90d"`` (units s, m, h, d, w) or seconds. It needs
            times; numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, as the size of
            the newest shows. No age leaves less than ``2**-20`` of a weight.
        reference_time : number, date, time or ISO 8601 text, optional
            When the age is 0; ``None`` is the newest time. What is newer has age 0 too.
        weighting : Weighting, optional
            That of a model or of other interactions, to weigh these the same: its events, where there is a
            column of them, and its half-life.
        user_ids, item_ids : IdMap, list of ids or None, default=None
            Known ids to align to, of a training set for instance.
        on_unknown : {"error", "skip", "add"}, default="error"
            What to do with rows whose user or item is not among the known ids. ``"skip"`` leaves them out
            and warns with their number; ``"add"`` puts their ids behind the known ones.

        Raises
        ------
        DataError
            If a column is missing, the frame is empty, or a value breaks its rule; the row is named.
        ParameterError
            If ``event_weights`` or ``half_life`` breaks its rule, or contradicts ``weighting``.
        UnknownIdError
            If an id is not known and ``on_unknown="error"``.
        """
        wanted = requested(event_column, event_weights, half_life, reference_time, weighting)
        table = _columns.as_frame(frame)
        roles = {"user": user, "item": item, "weight": weight, "timestamp": timestamp}
        roles |= event_role(wanted, event_column, event_weights)
        named = _columns.resolve(table.columns, **roles)
        users, items = (
            _columns.id_column(table[name], name) for name in (named["user"], named["item"]) if name
        )
        weights = times = None
        if (name := named["weight"]) is not None:
            weights = _columns.weight_column(table[name], name)
        if (name := named["timestamp"]) is not None:
            is_needed = timestamp is not None or (wanted is not None and wanted.half_life is not None)
            n_empty = 0 if is_needed else _columns.n_empty(table[name])
            if n_empty:
                warnings.warn(
                    f"{name} is empty in {n_empty} of {len(table)} rows; times are left out",
                    DataWarning,
                    stacklevel=2,
                )
            else:
                times = _columns.timestamp_column(table[name], name)
        event = named.get("event")
        events = None if event is None else (event, _columns.text_column(table[event], event))
        weighed = weigh(wanted, users, items, weights, times, events, reference_time)
        return cls._from_columns(*weighed, user_ids, item_ids, on_unknown)

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        *,
        weight: Any = None,
        timestamp: Any = None,
        event: Any = None,
        event_weights: Mapping[str, float] | None = None,
        half_life: HalfLife | None = None,
        reference_time: Moment | None = None,
        weighting: Weighting | None = None,
        user_ids: IdMap | Ids | None = None,
        item_ids: IdMap | Ids | None = None,
        on_unknown: str = "error",
    ) -> Interactions:
        """Read parallel sequences of external ids; see :meth:`from_frame` for the rules.

        ``event`` holds the type of each row's event, which ``event_weights`` or ``weighting`` weighs.
        """
        named = None if event is None else "event"
        wanted = requested(named, event_weights, half_life, reference_time, weighting)
        if event_weights is not None and event is None:
            raise DataError("event must be given with event_weights, got none")
        users, items = _columns.id_values(users, "users"), _columns.id_values(items, "items")
        for name, values in (
            ("items", items),
            ("weight", weight),
            ("timestamp", timestamp),
            ("event", event),
        ):
            if values is not None and (length := _length(name, values)) != len(users):
                raise DataError(f"{name} must be as long as users, {len(users)}, got {length}")
        weights = None if weight is None else _columns.weight_values(weight, "weight")
        times = None if timestamp is None else _columns.time_values(timestamp, "timestamp")
        events = None if event is None else ("event", _columns.text_values(event, "event"))
        weighed = weigh(wanted, users, items, weights, times, events, reference_time)
        return cls._from_columns(*weighed, user_ids, item_ids, on_unknown)

    @classmethod
    def from_csr(
        cls,
        matrix: Any,
        *,
        user_ids: IdMap | Ids | None = None,
        item_ids: IdMap | Ids | None = None,
    ) -> Interactions:
        """Read a SciPy sparse matrix, users in rows and items in columns.

        Entries that are stored and zero are left out. Ids are the row and column numbers where no maps are
        given. A matrix of ones has no weights.
        """
        found: Any = matrix
        if not sp.issparse(matrix) or found.ndim != 2:
            raise DataError(f"matrix must be a 2-d SciPy sparse matrix, got {type(matrix).__name__}")
        n_stored = int(found.nnz)
        csr = sp.csr_matrix(found, copy=True)
        csr.sum_duplicates()
        n_merged = n_stored - csr.nnz
        csr.eliminate_zeros()
        row_ids, column_ids = (
            given if isinstance(given, IdMap) else IdMap(np.arange(n) if given is None else given)
            for given, n in zip((user_ids, item_ids), csr.shape, strict=True)
        )
        if csr.shape != (len(row_ids), len(column_ids)):
            raise DataError(
                f"matrix must have a row per user and a column per item, ({len(row_ids)}, {len(column_ids)}), "
                f"got {csr.shape}; is it transposed?"
            )
        if csr.nnz == 0:
            raise DataError("interactions must not be empty, got a matrix without entries")
        users = np.repeat(np.arange(csr.shape[0], dtype=np.int32), np.diff(csr.indptr))
        try:
            weights = _columns.check_weights(csr.data, "an entry of the matrix")
        except _columns.RowError as error:
            place = f"({users[error.row]}, {csr.indices[error.row]})"
            raise DataError(f"{error.problem} at {place}") from None
        plain = bool((weights == 1).all())
        return cls(row_ids, column_ids, users, csr.indices, None if plain else weights, n_merged=n_merged)

    @classmethod
    def _from_columns(
        cls,
        users: Any,
        items: Any,
        weights: Array | None,
        times: Array | None,
        weighting: Weighting | None,
        user_ids: IdMap | Ids | None,
        item_ids: IdMap | Ids | None,
        on_unknown: str,
    ) -> Interactions:
        check_choice("on_unknown", on_unknown, ("error", "skip", "add"))
        if len(users) == 0:
            raise DataError("interactions must not be empty, got 0 rows")
        user_map, user_index = _indexed(users, user_ids, on_unknown, "user ids")
        item_map, item_index = _indexed(items, item_ids, on_unknown, "item ids")
        known = (user_index >= 0) & (item_index >= 0)
        if not known.any():
            raise DataError(f"none of the {len(known)} rows has a user and an item of the training data")
        if not known.all():
            n_unknown = int((~known).sum())
            warnings.warn(
                f"{n_unknown} of {len(known)} rows have a user or item that is not in the training data; "
                "they were left out",
                DataWarning,
                stacklevel=3,
            )
            user_index, item_index = user_index[known], item_index[known]
            weights = None if weights is None else weights[known]
            times = None if times is None else times[known]
        n_rows = len(user_index)
        columns = merge(user_index, item_index, len(item_map), weights, times)
        return cls(user_map, item_map, *columns, n_merged=n_rows - len(columns[0]), weighting=weighting)

    @property
    def n_users(self) -> int:
        """Users of the id map, those without interactions included."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Items of the id map, those without interactions included."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.user_index)

    def __repr__(self) -> str:
        merged = f", n_merged={self.n_merged}" if self.n_merged else ""
        return f"{type(self).__name__}(n={len(self)}, n_users={self.n_users}, n_items={self.n_items}{merged})"

    @cached_property
    def csr(self) -> sp.csr_matrix:
        """Weights, or ones, as a CSR matrix of shape (n_users, n_items), float32, columns ascending."""
        indptr = np.zeros(self.n_users + 1, np.int64)
        np.cumsum(np.bincount(self.user_index, minlength=self.n_users), out=indptr[1:])
        data = np.ones(len(self), np.float32) if self.weight is None else self.weight.copy()
        return sp.csr_matrix((data, self.item_index.copy(), indptr), shape=(self.n_users, self.n_items))

    def subset(self, mask: Array) -> Interactions:
        """Return the rows where ``mask`` is true, with the same id maps."""
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            raise ParameterError(
                f"mask must be bool of shape ({len(self)},), got {mask.dtype} of shape {mask.shape}"
            )
        return Interactions(
            self.user_ids,
            self.item_ids,
            self.user_index[mask],
            self.item_index[mask],
            None if self.weight is None else self.weight[mask],
            None if self.timestamp is None else self.timestamp[mask],
            weighting=self.weighting,
        )

    def k_core(self, user_k: int, item_k: int | None = None) -> Interactions:
        """Keep the largest part in which every user has ``user_k`` and every item ``item_k`` interactions.

        Users and items that fall out leave the id maps too.

        Parameters
        ----------
        user_k : int >= 1
        item_k : int >= 1 or None, default=None
            ``None`` is ``user_k``.

        Raises
        ------
        DataError
            If nothing is left.
        """
        user_k = check_int("user_k", user_k, minimum=1)
        item_k = check_int("item_k", user_k if item_k is None else item_k, minimum=1)
        kept = k_core(self.user_index, self.item_index, user_k, item_k)
        if not kept.any():
            raise DataError(f"no interactions are left in the core with user_k={user_k}, item_k={item_k}")
        return self.subset(kept).compact()

    def compact(self) -> Interactions:
        """Return the same rows with id maps that hold only users and items with interactions."""
        user_places, user_index = np.unique(self.user_index, return_inverse=True)
        item_places, item_index = np.unique(self.item_index, return_inverse=True)
        return Interactions(
            IdMap(self.user_ids.ids[user_places]),
            IdMap(self.item_ids.ids[item_places]),
            user_index,
            item_index,
            self.weight,
            self.timestamp,
            n_merged=self.n_merged,
            weighting=self.weighting,
        )

    def statistics(self) -> dict[str, Any]:
        """Return counts, density and how interactions spread over users and items; JSON values."""
        figures = describe(self.user_index, self.item_index, self.n_users, self.n_items, self.timestamp)
        return {**figures, "n_merged": self.n_merged, "weighted": self.weight is not None}


def _length(name: str, values: Any) -> int:
    try:
        return len(values)
    except TypeError:
        raise DataError(f"{name} must be a list, got {values!r:.80}") from None


def _indexed(values: Any, known: IdMap | Ids | None, on_unknown: str, noun: str) -> tuple[IdMap, Array]:
    if known is None:
        return IdMap.factorize(values)
    known = known if isinstance(known, IdMap) else IdMap(known)
    remedy = 'pass on_unknown="skip" to leave them out' if on_unknown == "error" else None
    index: Array | None = None
    try:
        if on_unknown != "add":
            return known, known.look_up(values, noun, remedy=remedy)
        new, index = IdMap.factorize(values)
        both, places = known.extended(new, noun)
        return both, places[index]
    except ParameterError as error:  # of a kind that the known ids are not, as text where they are integers
        row = getattr(error, "row", None)
        if row is None:
            raise DataError(str(error)) from None
        row = row if index is None else int(np.argmax(index == row))
        raise _columns.RowError(row, str(error)) from None


#: What is taken for interactions: a data frame, an Arrow stream or a sparse matrix, too.
InteractionsLike: TypeAlias = Interactions | Frame | ArrowStream | sp.csr_matrix


def as_interactions(
    data: InteractionsLike, like: Interactions | None = None, *, weighting: Weighting | None = None
) -> Interactions:
    """Convert the supported inputs to interactions: the object itself, a sparse matrix or a data frame.

    Parameters
    ----------
    data : Interactions, data frame, Arrow stream or sparse matrix
    like : Interactions, optional
        Gives the known ids; rows of others are left out, with a warning that counts them.
    weighting : Weighting, optional
        Of a data frame, as in :meth:`Interactions.from_frame`; interactions and matrices have their weights.
    """
    if isinstance(data, Interactions):
        return data
    user_ids, item_ids = (None, None) if like is None else (like.user_ids, like.item_ids)
    if sp.issparse(data):
        return Interactions.from_csr(data, user_ids=user_ids, item_ids=item_ids)
    on_unknown = "error" if like is None else "skip"
    return Interactions.from_frame(
        data, weighting=weighting, user_ids=user_ids, item_ids=item_ids, on_unknown=on_unknown
    )
