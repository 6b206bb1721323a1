"""The rules of a request on the command line: the table of items, and the options of its rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.errors import ParameterError

_RULES = "Rules"

Items = Annotated[
    Path | None,
    typer.Option(
        "--items",
        metavar="FILE",
        help="Table of items for rules and titles: parquet, CSV, JSON lines or Arrow; rules default to the table in the "
        "model's folder.",
        rich_help_panel=_RULES,
    ),
]
ItemId = Annotated[
    str,
    typer.Option(
        "--item-id", metavar="COLUMN", help="Column of item ids in --items.", rich_help_panel=_RULES
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="EXPR",
        help='Only items that this holds for, as "in_stock and price < 30".',
        rich_help_panel=_RULES,
    ),
]
BoostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--boost",
        metavar="EXPR:X",
        help="Multiply scores of items that EXPR holds for by X, or add X where it has a sign. May be repeated.",
        rich_help_panel=_RULES,
    ),
]
MaxPer = Annotated[
    list[str] | None,
    typer.Option(
        "--max-per",
        metavar="COLUMN=N",
        help="At most N results of one value of a column. May be repeated.",
        rich_help_panel=_RULES,
    ),
]
Diversity = Annotated[
    float,
    typer.Option(
        "--diversity",
        metavar="X",
        help="0 ranks by score; up to 1, results differ more from one another.",
        rich_help_panel=_RULES,
    ),
]
Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="TIME",
        help="What now stands for in expressions, as 2026-01-31; default: the present minute.",
        rich_help_panel=_RULES,
    ),
]


def rules_of(
    where: str | None,
    boost: list[str] | None,
    max_per: list[str] | None,
    diversity: float,
    now: str | None,
) -> dict[str, Any]:
    """Return the options as arguments of :meth:`HashGNN.recommend`; empty where no rule is given.

    Examples
    --------
    >>> rules_of(None, ["brand = 'a:b': 1.2"], ["brand=2"], 0.0, None)
    {'boost': {"brand = 'a:b'": '1.2'}, 'max_per': {'brand': 2}}
    """
    found: dict[str, Any] = {}
    if where is not None:
        found["where"] = where
    if boost:
        found["boost"] = _pairs("--boost", boost, ":", 'EXPR:X, as "price < 30: 1.2"')
    if max_per:
        caps = _pairs("--max-per", max_per, "=", "COLUMN=N, as brand=2")
        wrong = [text for text in caps.values() if not (text.isascii() and text.isdigit() and len(text) < 10)]
        if wrong:
            raise ParameterError(f"--max-per must be COLUMN=N, as brand=2, got {wrong[0]!r:.80} for N")
        found["max_per"] = {column: int(text) for column, text in caps.items()}
    if diversity:
        found["diversity"] = diversity
    if found and now is not None:
        found["now"] = now
    return found


def read_items(path: Path | None, item_id: str, item_ids: Any) -> Any:
    """Return the table of ``--items`` as :class:`~hashgnn.rules.ItemAttributes`; ``None`` without one."""
    if path is None:
        return None
    from hashgnn.rules import ItemAttributes

    return ItemAttributes.read(path, item_ids, id_column=item_id)


@dataclass(frozen=True)
class AttributeRows:
    """Rows of a model's table of items, read and checked.

    Attributes
    ----------
    path : Path
    id_column : str
    table : pyarrow.Table
        Ids, and the columns that the model's table of items has too.
    """

    path: Path
    id_column: str
    table: Any

    @classmethod
    def read(cls, path: Path, item_id: str | None, model: Any) -> AttributeRows:
        """Read the file of ``--attributes``.

        Raises
        ------
        DataError
            If it cannot be read.
        ParameterError
            If the model has no table of items, the file none of its columns, or a value does not fit.
        """
        from hashgnn.rules.item_files import read_items as read_file

        items, key = model.item_attributes, item_id or "item_id"
        if items is None:
            raise ParameterError(
                "--attributes needs a model with a table of items, and OLD has none; save one with hashgnn fit --items"
            )
        texts = [name for name, kind in items.kinds.items() if kind == "text"]
        found = read_file(path, model.state_.items.ids, id_column=key, text=texts)
        if key not in found.column_names:
            raise ParameterError(
                f"{path}: has no column {key!r}, its columns are {', '.join(found.column_names)}"
            )
        names = [name for name in found.column_names if name in items.kinds and name != key]
        if not names:
            listed = ", ".join(items.kinds)
            raise ParameterError(
                f"{path}: must have columns of OLD's table of items, which has {listed:.200}"
            )
        try:
            items.read_rows(found.select(names), len(found))
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from None
        return cls(path, key, found.select([key, *names]))

    def of_items(self, ids: list[Any]) -> Any:
        """Return the rows of some items in their order, without ids; nulls for an item that has none."""
        from hashgnn.data import IdMap
        from hashgnn.rules import ItemAttributes

        return ItemAttributes.of(self.table, IdMap(ids), id_column=self.id_column).to_arrow()

    def put(self, model: Any) -> Any:
        """Change the table of items of a model, and return the model; rows of other items are left out."""
        import numpy as np

        from hashgnn.data.aligned_rows import id_positions, set_rows

        ids, items = model.state_.items.ids, model.item_attributes
        index = id_positions(self.table[self.id_column], ids, "item", self.id_column)
        kept = np.flatnonzero(index >= 0)
        set_rows(np.full(len(ids), -1), index[kept], kept, "item")
        rows = self.table.drop_columns([self.id_column]).take(kept)
        items.put(index[kept], items.read_rows(rows, len(kept)))
        return model


def with_items(model: Any, items: Any) -> Any:
    """Return a model with a table of items, itself where there is none."""
    return model if items is None else model.with_item_table(items)


def _pairs(option: str, texts: list[str], sign: str, form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, found_sign, value = (part.strip() for part in text.rpartition(sign))
        if not found_sign or not key or not value:
            raise ParameterError(f"{option} must be {form}, got {text!r:.80}")
        if key in found:
            raise ParameterError(f"{option} names {key!r:.80} twice; name it once")
        found[key] = value
    return found
