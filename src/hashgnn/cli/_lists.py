"""Ranked lists as a command prints or writes them: a table, JSON, a file, with titles of the items."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn._addresses import restored
from hashgnn.cli._option_values import comma_list
from hashgnn.cli._output import Output, json_id
from hashgnn.errors import ParameterError

STDOUT, ITEM_ID = "-", "item_id"


@dataclass(frozen=True)
class ListOutput:
    """Where lists go, and which columns of a table of items they have.

    Attributes
    ----------
    path : Path or None
        ``None`` prints; ``-`` writes to stdout.
    format : str or None
    overwrite : bool
    items : Path or None
    title : str or None
        Names, ``a,b``.
    item_id : str
        Column of ids in ``items``.
    needs_titles : bool, default=True
        Whether ``items`` must have a title or a name; the table of rules need not.
    """

    path: Path | None
    format: str | None = None
    overwrite: bool = False
    items: Path | None = None
    title: str | None = None
    item_id: str = ITEM_ID
    needs_titles: bool = True

    @property
    def titles(self) -> list[str] | None:
        """The columns by name; ``None`` is the usual ones."""
        return None if self.title is None else comma_list("--title", self.title)

    @property
    def is_stdout(self) -> bool:
        """Whether ``-o -`` was given."""
        return is_to_stdout(self.path)

    @property
    def in_parts(self) -> dict[str, Any]:
        """The arguments of the verbs that answer for all."""
        return {
            "format": self.format,
            "overwrite": self.overwrite,
            "items": self.items,
            "item_id": self.item_id,
            "title": self.titles,
        }

    def check(self) -> None:
        """Raise before any work if one file could not be written.

        Raises
        ------
        ParameterError
            If the format is unknown, the file exists, or its folder cannot be written.
        """
        if self.title is not None and self.items is None:
            raise ParameterError("--title needs --items FILE")
        if self.path is None:
            if self.format is not None or self.overwrite:
                raise ParameterError(f"{'--format' if self.format else '--overwrite'} needs --output FILE")
            return
        check_output(self.path, format=self.format, overwrite=self.overwrite)

    def put(self, blocks: Iterable[Any], ids: Any, out: Output, request: dict[str, Any], noun: str) -> None:
        """Print or write blocks of :class:`~hashgnn.recommender.Recommendations`.

        Parameters
        ----------
        blocks : iterable
            At least one.
        ids : IdMap
            Of the model's items.
        out : Output
        request : dict
            For JSON.
        noun : str
            Of the rows, for the note.
        """
        items = self._opened(ids)
        if self.path is None:
            _print(out, list(blocks), request, items, self.titles)
            return
        counts = {f"n_{noun}": 0, "n_results": 0}

        def tables() -> Iterator[Any]:
            for found in blocks:
                counts[f"n_{noun}"] += len(found)
                counts["n_results"] += int(found.counts.sum())
                yield found.to_arrow(items=items, title=self.titles)

        write_output(tables(), self.path, format=self.format, overwrite=self.overwrite)
        if self.is_stdout:
            return
        if out.as_json:
            out.document({"path": restored(str(self.path)), **counts})
        results = "recommendations" if noun == "users" else "results"
        out.note(
            f"{restored(str(self.path))}: {counts['n_results']} {results} for {counts[f'n_{noun}']} {noun}"
        )

    def _opened(self, ids: Any) -> Any:
        if self.items is None:
            return None
        from hashgnn.data.item_columns import open_items

        opened = open_items(self.items, ids, id_column=None if self.item_id == ITEM_ID else self.item_id)
        if self.title is None and not self.needs_titles and not opened.has_titles:
            return None
        opened.title_columns(self.titles)  # before anything is ranked
        return opened


def is_to_stdout(path: Path | None) -> bool:
    """Return whether ``-o -`` was given."""
    return path is not None and str(path) == STDOUT


def check_output(path: Path, *, format: str | None = None, overwrite: bool = False) -> None:
    """Raise before any work if a table could not be written to a file; ``-`` is stdout."""
    from hashgnn.data.table_files import check_table_file

    if str(path) != STDOUT:
        check_table_file(path, format=format, overwrite=overwrite)
    elif (format or "csv") == "parquet" and sys.stdout.isatty():
        raise ParameterError("--format must be csv or jsonl on a terminal, got parquet")


def write_output(tables: Any, path: Path, *, format: str | None = None, overwrite: bool = False) -> None:
    """Write a table, or several, to a file; ``-`` is stdout, in CSV unless a format is named."""
    from hashgnn.data import write_table

    if str(path) == STDOUT:
        write_table(tables, sys.stdout.buffer, format=format or "csv")
    else:
        write_table(tables, path, format=format, overwrite=overwrite)


def _print(out: Output, blocks: list[Any], request: dict[str, Any], items: Any, titles: Any) -> None:
    from hashgnn.data.table_text import json_values

    query, result = blocks[0].columns
    added: list[str] = [] if items is None else items.title_columns(titles)
    columns: dict[str, list[Any]] = {name: [] for name in added}
    if added:
        for found in blocks:
            table = found.to_arrow(items=items, title=added)
            for name in added:
                columns[name] += json_values(table[name])
    rows = [row for found in blocks for row in _rows(found)]
    if out.as_json:
        documents = _documents(rows, query, result, columns)
        effects = (effect for found in blocks for effect in _effects(found))
        out.document(
            {
                **request,
                "results": [{**row, **effect} for row, effect in zip(documents, effects, strict=True)],
            }
        )
        return
    # Ids are names, even where they are numbers: no thousands separators.
    from hashgnn.data._id_kinds import printed

    places = iter(zip(*columns.values(), strict=True)) if added else None
    table = [
        [printed(one), rank, printed(item), *(next(places) if places is not None else ()), score]
        for one, ids, scores in rows
        for rank, (item, score) in enumerate(zip(ids, scores, strict=True), start=1)
    ]
    names = [query, "rank", result, *added, "score"]
    if blocks[0].effects is not None:
        names.append("rank before")
        before = [rank for found in blocks for effect in _effects(found) for rank in effect["base_ranks"]]
        table = [[*row, "" if rank is None else rank] for row, rank in zip(table, before, strict=True)]
    out.table(names, table)
    for found in blocks:
        _note_effects(out, found)


def _documents(
    rows: list[Any], query: str, result: str, columns: dict[str, list[Any]]
) -> Iterator[dict[str, Any]]:
    start = 0
    for one, ids, scores in rows:
        stop = start + len(ids)
        more = {name: values[start:stop] for name, values in columns.items()}
        yield {query: json_id(one), f"{result}s": [json_id(item) for item in ids], **more, "scores": scores}
        start = stop


def _effects(found: Any) -> Iterator[dict[str, Any]]:
    """Yield ranks and scores before the rules, and what the rules did, of each row; nothing without rules."""
    effects = found.effects
    for row, count in enumerate(found.counts.tolist()):
        if effects is None:
            yield {}
            continue
        capped = {name: int(counts[row]) for name, counts in effects.n_capped.items()}
        yield {
            "base_ranks": [rank or None for rank in effects.base_ranks[row, :count].tolist()],
            "base_scores": effects.base_scores[row, :count].tolist(),
            "rules": {"allowed": effects.n_allowed, "capped": capped},
        }


def _note_effects(out: Output, found: Any) -> None:
    """Say how many items the filter let through, and how many the caps kept out."""
    if found.effects is None:
        return
    allowed = found.effects.n_allowed
    parts = [] if allowed is None else [f"where lets {allowed:,} items through"]
    parts += [f"max_per {name} kept {int(n.sum()):,} out" for name, n in found.effects.n_capped.items()]
    if parts:
        out.note("; ".join(parts))


def _rows(found: Any) -> Iterator[tuple[Any, list[Any], list[float]]]:
    rows = zip(found.query_ids.tolist(), found.lists(), found.scores.tolist(), strict=True)
    return ((one, items, scores[: len(items)]) for one, items, scores in rows)
