"""Inputs of the command line: saved models, interactions, side features, ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from hashgnn.cli._option_values import byte_size, comma_list, id_lines, weights_of_events
from hashgnn.cli._output import Output
from hashgnn.errors import ParameterError

# That of ``hashgnn._types``, which imports NumPy: a command may set its threads first.
SideName = Literal["user", "item"]


def open_model(
    path: Path,
    *,
    index_recall: float | None = None,
    bytes_per_item: float | None = None,
    engine: str | None = None,
) -> Any:
    """Return the :class:`~hashgnn.recommender.HashGNN` saved in a folder; torch is not imported.

    ``engine`` is the URL of one that holds its items, or None.
    """
    from hashgnn.recommender import HashGNN

    return HashGNN.load(path, index_recall=index_recall, bytes_per_item=bytes_per_item, engine=engine)


@dataclass(frozen=True)
class Columns:
    """The columns of a file by their role, its form, and what events and ages weigh.

    ``None`` lets the reader decide.
    """

    user: str | None = None
    item: str | None = None
    weight: str | None = None
    time: str | None = None
    file_format: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    max_decompressed: str | None = None
    event: str | None = None
    event_weights: str | None = None
    half_life: str | None = None
    reference_time: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the columns that the parameters of a command name; call it as ``Columns.of(locals())`` at its start."""
        names = {field.name: field.name for field in fields(cls)} | {"event": "event_column"}
        return cls(**{name: options[option] for name, option in names.items() if option in options})

    def arguments(self) -> dict[str, Any]:
        """Return them as the arguments of :func:`hashgnn.data.read_interactions`."""
        weights, size = self.event_weights, self.max_decompressed
        return {
            "format": self.file_format,
            "delimiter": self.delimiter,
            "decimal": self.decimal,
            "max_decompressed": None if size is None else byte_size("--max-decompressed", size),
            "user": self.user,
            "item": self.item,
            "weight": self.weight,
            "timestamp": self.time,
            "event_column": self.event,
            "event_weights": None if weights is None else weights_of_events("--event-weights", weights),
            "half_life": self.half_life,
            "reference_time": self.reference_time,
        }


def read_interactions(
    path: Path,
    columns: Columns,
    out: Output,
    *,
    known: tuple[Any, Any] | None = None,
    on_unknown: str = "skip",
    weighting: Any = None,
) -> Any:
    """Return the :class:`~hashgnn.data.Interactions` of a file.

    Parameters
    ----------
    path : Path
    columns : Columns
    out : Output
    known : pair of IdMap, or None
        Ids of users and of items that the rows are aligned to.
    on_unknown : {"skip", "add"}, default="skip"
        Whether rows of other users and items are left out, and counted in a warning, or add their ids.
    weighting : Weighting or None
        That of a model.
    """
    import numpy as np

    from hashgnn._counting import counts
    from hashgnn.data import read_interactions as read

    aligned: dict[str, Any] = {}
    if known is not None:
        aligned = {"user_ids": known[0], "item_ids": known[1], "on_unknown": on_unknown}
    interactions = read(path, **columns.arguments(), weighting=weighting, **aligned)
    n_users, n_items = (
        np.count_nonzero(counts(index, n))
        for index, n in (
            (interactions.user_index, interactions.n_users),
            (interactions.item_index, interactions.n_items),
        )
    )
    merged = f", {interactions.n_merged:,} repeated rows merged" if interactions.n_merged else ""
    out.note(f"{path}: {len(interactions):,} interactions of {n_users:,} users and {n_items:,} items{merged}")
    return interactions


def read_features(
    side: SideName,
    path: Path | None,
    columns: str | None,
    id_column: str | None,
    known: Any,
    *,
    like: Any = None,
) -> Any:
    """Return the :class:`~hashgnn.data.SideFeatures` of a table of users or items, or ``None`` without a file.

    Columns of numbers are numeric, all others categories; without names every column but the id is used. Ids
    are of the kind of ``known``, those of the interactions. ``like`` is the vocabulary of a model: its columns are
    the default, and what is a category there is one here.
    """
    if path is None:
        if columns is not None:
            raise ParameterError(f"--{side}-columns needs --{side}-features FILE")
        return None
    import pyarrow as pa

    from hashgnn.data import SideFeatures
    from hashgnn.data.readers import read_table

    keys = (id_column or f"{side}_id", side)
    table = read_table(path, text=() if known.kind == "int" else keys)
    key = id_column or f"{side}_id"
    if key not in table.column_names and side in table.column_names and id_column is None:
        key = side
    named = comma_list(f"--{side}-columns", columns) if columns else None
    if like is not None:
        categories, numbers = list(like.categories), list(like.numbers)
        if named is not None:
            categories = [name for name in named if name not in numbers]
            numbers = [name for name in named if name in numbers]
        return SideFeatures.from_frame(table, id=key, categorical=categories, numeric=numbers)
    used = named or [name for name in table.column_names if name != key]
    numeric = [
        name
        for name in used
        if name in table.column_names
        and (pa.types.is_integer(kind := table.schema.field(name).type) or pa.types.is_floating(kind))
    ]
    categorical = [name for name in used if name not in numeric]
    return SideFeatures.from_frame(table, id=key, categorical=categorical, numeric=numeric)


def table_rows(side: SideName, path: Path, id_column: str | None, known: Any) -> dict[Any, dict[str, Any]]:
    """Return the rows of a table of users or items by their ids, each a dict without the id.

    Ids are of the kind of ``known``.
    """
    from hashgnn.data.readers import read_table

    key = id_column or f"{side}_id"
    table = read_table(path, text=() if known.kind == "int" else (key, side))
    if key not in table.column_names and side in table.column_names and id_column is None:
        key = side
    if key not in table.column_names:
        raise ParameterError(
            f"{path}: has no column {key!r}, its columns are {', '.join(table.column_names)}"
        )
    ids = known.read(table.column(key).to_pylist(), f"{side} ids")
    rows = table.drop_columns([key]).to_pylist()
    found = dict(zip(ids, rows, strict=True))
    if len(found) < len(rows):
        raise ParameterError(f"{path}: {key} must be unique, got {len(rows) - len(found)} repeated")
    return found


def listed_ids(
    side: SideName, option: str, text: str | None, path: Path | None, known: Any
) -> list[Any] | None:
    """Return the ids of ``--option A,B`` and of ``--option-file FILE`` together; ``None`` without either."""
    if text is None and path is None:
        return None
    named = id_list(option, text, known) if text is not None else []
    return typed_ids(side, [*named, *(id_lines(path) if path is not None else [])], known)


def id_list(option: str, text: str, known: Any) -> list[str]:
    """Split the ids of ``--option A,B``; those that are tuples are JSON lists.

    Examples
    --------
    >>> from hashgnn.data import IdMap
    >>> id_list("--users", '["shop",7], ["shop",8]', IdMap([("shop", 7)]))
    ['["shop", 7]', '["shop", 8]']
    """
    if known.kind == "tuple":
        try:
            values = json.loads(f"[{text}]")
        except (ValueError, RecursionError):
            values = []
        if not values:
            raise ParameterError(f"{option} must be JSON lists like [1,2],[3,4], got {text!r:.80}")
        return [json.dumps(value) for value in values]
    return comma_list(option, text)


def known_ids(model: Any) -> tuple[Any, Any]:
    """Return the ids of a model's users and of its items."""
    return model.state_.users.ids, model.state_.items.ids


def known_events(model: Any) -> Any:
    """Return what a model's events weigh, without ages; ``None`` where it knows none."""
    from hashgnn.data import Weighting

    known = model.weighting
    return None if known is None or not known.event_weights else Weighting(known.event_weights)


def typed_ids(side: SideName, texts: Sequence[str], known: Any) -> list[Any]:
    """Return the ids of a model's kind that some texts stand for.

    Text stays text where the ids are text. Where they are integers, UUIDs, bytes, dates, times or tuples it is
    read as their printed form.

    Parameters
    ----------
    side : {"user", "item"}
        For the message.
    texts : list of str
    known : IdMap
        The ids of the model.

    Raises
    ------
    ParameterError
        If a text is no id of that kind.

    Examples
    --------
    >>> from hashgnn.data import IdMap
    >>> typed_ids("user", ["7", "12"], IdMap([7, 8, 12]))
    [7, 12]
    """
    ids = [known.read_text(text) for text in texts]
    if None in ids:
        raise ParameterError(f"{side} ids of this model are {known.noun}, got {texts[ids.index(None)]!r:.80}")
    return ids
