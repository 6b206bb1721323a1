"""A table of events split into train, valid and test, row by row, with a note of how."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import check_choice, check_int, quote_some
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.data import _columns
from hashgnn.data._moments import moment
from hashgnn.data.interactions import Interactions
from hashgnn.data.split import train_valid_test
from hashgnn.errors import DataError, DataWarning, ParameterError

PARTS = ("train", "valid", "test")
_RULE = (
    "All rows of one user and one item are in one part: that of the latest of them. "
    "First and last times are of these latest rows."
)


@dataclass(frozen=True, eq=False)
class TableSplit:
    """Three parts of a table, with all its columns, and how they were made.

    Attributes
    ----------
    train, test : pyarrow.Table
    valid : pyarrow.Table or None
    note : dict
        JSON values: method, shares, seed, columns, filters, and counts of each part.
    """

    train: pa.Table
    valid: pa.Table | None
    test: pa.Table
    note: dict[str, Any]

    @property
    def parts(self) -> dict[str, pa.Table]:
        """The parts that there are, by name."""
        named = {name: getattr(self, name) for name in PARTS}
        return {name: table for name, table in named.items() if table is not None}


def split_table(
    frame: Any,
    method: str = "temporal",
    test_size: float = 0.1,
    *,
    valid_size: float | None = None,
    user: str | None = None,
    item: str | None = None,
    timestamp: str | None = None,
    event_column: str | None = None,
    events: Sequence[str] | None = None,
    since: Any = None,
    until: Any = None,
    user_k: int | None = None,
    item_k: int | None = None,
    unknown: str = "keep",
    rng: RngLike = None,
) -> TableSplit:
    """Split the rows of a table of events. Every column stays.

    The filters come first, in this order: event types, period, k-core. The rows of one user and one item
    stay together, so no pair of the training part is also in another part.

    Parameters
    ----------
    frame : data frame, or anything with ``__arrow_c_stream__``
    method, test_size, valid_size, rng
        As in :func:`hashgnn.split.train_valid_test`.
    user, item, timestamp : str or None, default=None
        Columns; ``None`` as in :meth:`Interactions.from_frame`.
    event_column : str or None, default=None
        Column of the event types; ``None`` is ``event``.
    events : sequence of str or None, default=None
        Keep the rows of these types only.
    since, until : str, date, datetime or number, default=None
        Keep rows from ``since`` on, and before ``until``: ISO 8601, in UTC where no zone is named, or a
        number in the unit of the column. Numeric timestamps are taken as seconds, milliseconds,
        microseconds or nanoseconds since 1970, by their size.
    user_k, item_k : int or None, default=None
        Keep the part in which every user has ``user_k`` different items and every item ``item_k`` users.
    unknown : {"keep", "drop"}, default="keep"
        Rows of valid and test whose user or item is not in the training part. The note counts them. Method
        ``"users"`` holds out users on purpose: there only new items are dropped.

    Returns
    -------
    TableSplit

    Raises
    ------
    ParameterError
        If an argument breaks its rule.
    DataError
        If a column is missing, a value breaks its rule, or a filter or part leaves nothing.

    See Also
    --------
    write_split : Writes the parts, with a note of how.
    hashgnn.data.split : Splits of interactions.

    Examples
    --------
    >>> rows = pa.table({"user": [1, 1, 2, 2], "item": [1, 2, 1, 2], "time": [1, 2, 3, 4], "page": list("abcd")})
    >>> made = split_table(rows, "temporal", 0.25, valid_size=0)
    >>> made.test.to_pylist(), made.note["parts"]["test"]["new_users"]
    ([{'user': 2, 'item': 2, 'time': 4, 'page': 'd'}], 0)
    """
    check_choice("unknown", unknown, ("keep", "drop"))
    table = _arrow(frame)
    names = table.column_names
    role = _columns.resolve(names, user=user, item=item, timestamp=timestamp)
    role = {name: role[name] for name in ("user", "item", "timestamp")}
    filters: list[dict[str, Any]] = []
    rows = np.arange(table.num_rows)
    try:
        if events is not None or event_column is not None:
            kept = _of_events(table, event_column or "event", events, filters)
            rows, table = rows[kept], table.filter(pa.array(kept))
        if since is not None or until is not None:
            kept = _of_period(table, role["timestamp"], since, until, filters)
            rows, table = rows[kept], table.filter(pa.array(kept))
        used = [name for name in role.values() if name is not None]
        interactions = Interactions.from_frame(
            table.select(used), user=role["user"], item=role["item"], timestamp=role["timestamp"]
        )
    except _columns.RowError as error:  # name the row of the table as it was given
        raise _columns.RowError(int(rows[error.row]), error.problem) from None
    if user_k is not None or item_k is not None:
        interactions, table = _core(interactions, table, role, user_k, item_k, filters)
    parts = dict(
        zip(
            PARTS,
            train_valid_test(interactions, method, test_size, valid_size=valid_size, rng=rng),
            strict=True,
        )
    )
    pair = _pairs(interactions, table, role)
    tables: dict[str, pa.Table | None] = {}
    described: dict[str, Any] = {}
    for name, part in parts.items():
        if part is None:
            tables[name] = None
            continue
        facts: dict[str, Any] = {}
        if name != "train":
            known = parts["train"]
            assert known is not None
            part, facts = _without_unknown(name, part, known, unknown, new_users_stay=method == "users")
        chosen = np.isin(pair, _keys(part))
        tables[name] = table.filter(pa.array(chosen))
        described[name] = _described(part, int(chosen.sum()), facts)
    train, test = tables["train"], tables["test"]
    assert train is not None
    assert test is not None
    shares = {} if method == "leave_one_out" else {"test_size": test_size}
    if method != "leave_one_out" and parts["valid"] is not None:
        shares["valid_size"] = test_size if valid_size is None else valid_size
    note = {
        "method": method,
        **shares,
        "seed": rng if isinstance(rng, int | np.integer) else None,
        "columns": role,
        "rule": _RULE,
        "unknown": unknown,
        "rows": table.num_rows,
        "interactions": len(interactions),
        "filters": filters,
        "parts": described,
    }
    return TableSplit(train, tables["valid"], test, note)


def _arrow(frame: Any) -> pa.Table:
    wrapped = _columns.as_frame(frame)
    try:
        table = wrapped.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"the table cannot be written as parquet, {reason}") from None
    if not table.num_rows:
        raise DataError("the table must not be empty, got 0 rows")
    return table.replace_schema_metadata(None)


def _of_events(
    table: pa.Table, name: str, events: Sequence[str] | None, filters: list[dict[str, Any]]
) -> Array:
    if events is None:
        raise ParameterError(f"event_column {name!r} needs events, the types to keep")
    if isinstance(events, str) or not events:
        raise ParameterError(f"events must be a list of event types, got {events!r}")
    if name not in table.column_names:
        raise _columns.missing(table.column_names, name, "event_column")
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    column = column.cast(pa.large_string())
    counted = {one["values"]: one["counts"] for one in column.value_counts().to_pylist()}
    if absent := [one for one in events if one not in counted]:
        found = ", ".join(f"{kind} ({counted[kind]:,})" for kind in sorted(counted, key=str))
        raise DataError(f"events must be among those of {name}, {found}, got {quote_some(absent)}")
    kept = np.asarray(pc.is_in(column, pa.array(list(events), pa.large_string())))
    filters.append({"filter": "events", "column": name, "events": list(events), "rows": int(kept.sum())})
    return kept


def _of_period(
    table: pa.Table, name: str | None, since: Any, until: Any, filters: list[dict[str, Any]]
) -> Array:
    if name is None:
        raise DataError(
            "since and until need timestamps, got a table without; name the column with timestamp="
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the same is said where the rows become interactions
        times = _columns.timestamp_column(nw.from_native(table)[name], name)
    kept = np.ones(len(times), bool)
    if since is not None:
        kept &= times >= moment("since", since, times, table[name])
    if until is not None:
        kept &= times < moment("until", until, times, table[name])
    if not kept.any():
        raise DataError(f"no row is left of {len(times):,} from since={since} to before until={until}")
    given = {"since": None if since is None else str(since), "until": None if until is None else str(until)}
    filters.append({"filter": "period", **given, "rows": int(kept.sum())})
    return kept


def _core(
    interactions: Interactions,
    table: pa.Table,
    role: dict[str, str | None],
    user_k: int | None,
    item_k: int | None,
    filters: list[dict[str, Any]],
) -> tuple[Interactions, pa.Table]:
    users, items = (
        check_int(name, 1 if k is None else k, minimum=1)
        for name, k in (("user_k", user_k), ("item_k", item_k))
    )
    core = interactions.k_core(users, items)
    kept = np.isin(_pairs(core, table, role), _keys(core))
    filters.append({"filter": "k_core", "user_k": users, "item_k": items, "rows": int(kept.sum())})
    return core, table.filter(pa.array(kept))


def _keys(interactions: Interactions) -> Array:
    """Return one number for each pair of a user and an item."""
    keys: Array = interactions.user_index.astype(np.int64) * interactions.n_items + interactions.item_index
    return keys


def _pairs(interactions: Interactions, table: pa.Table, role: dict[str, str | None]) -> Array:
    """Return the number of each row's pair; -1 where its user or item is not known."""
    frame = nw.from_native(table)
    index = []
    for name, ids in (("user", interactions.user_ids), ("item", interactions.item_ids)):
        column = role[name]
        assert column is not None
        index.append(ids.index_of(_columns.id_column(frame[column], column), on_unknown="skip"))
    users, items = index
    return np.where((users >= 0) & (items >= 0), users * interactions.n_items + items, -1)


def _without_unknown(
    name: str, part: Interactions, train: Interactions, rule: str, *, new_users_stay: bool
) -> tuple[Interactions, dict[str, Any]]:
    """Count, and drop where the rule says so, what the training part does not know."""
    new_users = ~np.isin(part.user_index, train.user_index)
    new_items = ~np.isin(part.item_index, train.item_index)
    facts: dict[str, Any] = {
        "new_users": len(np.unique(part.user_index[new_users])),
        "new_items": len(np.unique(part.item_index[new_items])),
        "interactions_of_new_users": int(new_users.sum()),
        "interactions_of_new_items": int(new_items.sum()),
        "interactions_dropped": 0,
    }
    if rule == "keep":
        return part, facts
    dropped = new_items if new_users_stay else new_items | new_users
    facts["interactions_dropped"] = int(dropped.sum())
    if dropped.all():
        raise DataError(
            f'the {name} part has no interaction whose user and item are in train; pass unknown="keep"'
        )
    return part.subset(~dropped), facts


def _described(part: Interactions, n_rows: int, facts: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "rows": n_rows,
        "interactions": len(part),
        "users": len(np.unique(part.user_index)),
        "items": len(np.unique(part.item_index)),
    }
    if part.timestamp is not None:
        described |= {"first_time": int(part.timestamp.min()), "last_time": int(part.timestamp.max())}
    return described | facts
