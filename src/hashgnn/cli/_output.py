"""Output of the commands: results to stdout or a file; notes, warnings and progress to stderr."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from hashgnn._extras import require
from hashgnn._json_text import plain
from hashgnn.errors import HashGNNWarning, MissingExtraError

_WIDE = 1000  # columns of a file or pipe: a table there is never cut


@dataclass(frozen=True)
class Output:
    """Where a command's words go.

    Attributes
    ----------
    as_json : bool
        The result is one JSON document instead of tables.
    quiet : bool
        No notes and no progress.
    prefix : str
        Begins every line that is printed, JSON aside.
    """

    as_json: bool
    quiet: bool
    prefix: str = ""

    @property
    def progress(self) -> bool | None:
        """The library's ``progress=`` argument: ``None`` reports on stderr, ``False`` is silent.

        Lines of the library have no prefix. Where every line must have one, only a bar on a terminal is shown.
        """
        silent = self.quiet or (self.prefix != "" and not sys.stderr.isatty())
        return False if silent else None

    def with_prefix(self, prefix: str) -> Output:
        """Return the same output with another prefix."""
        return replace(self, prefix=prefix)

    def note(self, text: str) -> None:
        """Say on stderr what happens."""
        if not self.quiet:
            self._print(text, sys.stderr)

    def can_plot(self, otherwise: str) -> bool:
        """Say whether matplotlib is there; where it is not, a note begins with what happens instead."""
        try:
            # Imported and not only looked for: one that is broken must not end the command after its work.
            require("matplotlib", extra="plots", purpose="a plot")
        except MissingExtraError as error:
            self.note(f"{otherwise}: {error}")
            return False
        return True

    def document(self, value: Mapping[str, Any]) -> None:
        """Print one JSON document to stdout; NaN and infinity become null."""
        print(json.dumps(plain(value), allow_nan=False))

    def line(self, text: str = "") -> None:
        """Print a line of the result to stdout."""
        self._print(text, sys.stdout)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
    ) -> None:
        """Print a table to stdout; numbers are aligned to the right, floats are rounded."""
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        body = [list(row) for row in rows]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(columns):
            numeric = any(isinstance(row[number], int | float) for row in body)
            table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
        for row in body:
            table.add_row(*(Text(_cell(value)) for value in row))
        width = None if sys.stdout.isatty() else _WIDE
        console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
        if self.prefix and console.width > 4 * len(self.prefix):
            console.width -= len(self.prefix)
        with console.capture() as printed:
            console.print(table)
        lines = [line.rstrip() for line in printed.get().strip("\n").splitlines()]
        for line in ([title] if title else []) + [line for line in lines if line]:
            self._print(line, sys.stdout)

    @contextmanager
    def warnings_as_notes(self) -> Iterator[None]:
        """Print the library's warnings as notes while the block runs."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", HashGNNWarning)
            show = warnings.showwarning

            def as_note(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if issubclass(category, HashGNNWarning):
                    self.note(str(message))
                else:
                    show(message, category, filename, lineno, file, line)

            warnings.showwarning = as_note
            yield

    def _print(self, text: str, stream: TextIO) -> None:
        for line in text.split("\n"):
            print((self.prefix + line).rstrip(), file=stream)
        stream.flush()


def size(n_bytes: float) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> size(17), size(70_000), size(2_500_000)
    ('17 bytes', '70.0 kB', '2.5 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    power = min(int(math.log10(n_bytes)) // 3, 3)
    return f"{n_bytes / 1000**power:.1f} {('', 'kB', 'MB', 'GB')[power]}"


def print_ranked(out: Output, blocks: list[Any], request: dict[str, Any]) -> None:
    """Print blocks of :class:`~hashgnn.recommender.Recommendations`: a JSON document, or a line a result."""
    from hashgnn.data._id_kinds import printed

    query, result = blocks[0].columns
    if out.as_json:
        out.document({**request, "results": [row for found in blocks for row in _documents(found)]})
        return
    # Ids are names, even where they are numbers: no thousands separators.
    table = [
        [printed(one), rank, printed(item), score]
        for found in blocks
        for one, items, scores in _rows(found)
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1)
    ]
    columns = [query, "rank", result, "score"]
    if blocks[0].effects is not None:
        columns.append("rank before")
        bases = [rank for found in blocks for _, ranks, _ in _bases(found) for rank in ranks]
        table = [[*row, "" if rank is None else rank] for row, rank in zip(table, bases, strict=True)]
    out.table(columns, table)
    for found in blocks:
        _note_effects(out, found)


def _documents(found: Any) -> list[dict[str, Any]]:
    query, result = found.columns
    rows = [
        {query: json_id(one), f"{result}s": [json_id(item) for item in items], "scores": scores}
        for one, items, scores in _rows(found)
    ]
    if found.effects is None:
        return rows
    return [
        {**row, "base_ranks": ranks, "base_scores": scores, "rules": rules}
        for row, (scores, ranks, rules) in zip(rows, _bases(found), strict=True)
    ]


def _bases(found: Any) -> Iterator[tuple[list[float], list[int | None], dict[str, Any]]]:
    """Yield scores and ranks before the rules, and what the rules did, of each row."""
    effects = found.effects
    for row, count in enumerate(found.counts.tolist()):
        ranks = [rank or None for rank in effects.base_ranks[row, :count].tolist()]
        capped = {name: int(counts[row]) for name, counts in effects.n_capped.items()}
        rules = {"allowed": effects.n_allowed, "capped": capped}
        yield effects.base_scores[row, :count].tolist(), ranks, rules


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


def json_id(value: Any) -> int | str:
    """Return an id as JSON writes it: an integer, else text."""
    from hashgnn.data._id_kinds import printed

    return value if isinstance(value, int) and not isinstance(value, bool) else printed(value)


def write_ranked(blocks: Iterable[Any], path: Path) -> dict[str, Any]:
    """Write blocks of recommendations to one parquet file, and return a summary of it."""
    import pyarrow.parquet

    from hashgnn._files import atomic_file

    n_rows = n_results = 0
    with atomic_file(path) as temporary:
        writer = None
        try:
            for found in blocks:
                table = found.to_arrow()
                if writer is None:
                    writer = pyarrow.parquet.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
                n_rows += len(found)
                n_results += len(table)
        finally:
            if writer is not None:
                writer.close()
    return {"path": path, "n_users": n_rows, "n_results": n_results}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
