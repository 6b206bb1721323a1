"""Recommendations on stdout, and in a parquet file that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hashgnn.cli._output import Output


def print_ranked(out: Output, blocks: list[Any], asked: dict[str, Any]) -> None:
    """Print blocks of :class:`~hashgnn.recommender.Recommendations`: a JSON document, or a line a result."""
    query, result = blocks[0].columns
    if out.as_json:
        out.document({**asked, "results": [row for found in blocks for row in _documents(found)]})
        return
    rows = [row for found in blocks for row in found.to_arrow().to_pylist()]
    # Ids are names, even where they are numbers: no thousands separators.
    table = [[str(row[query]), row["rank"], str(row[result]), row["score"]] for row in rows]
    out.table([query, "rank", result, "score"], table)


def _documents(found: Any) -> list[dict[str, Any]]:
    query, result = found.columns
    rows = zip(found.query_ids.tolist(), found.lists(), found.scores.tolist(), strict=True)
    return [{query: one, f"{result}s": ids, "scores": scores[: len(ids)]} for one, ids, scores in rows]


def write_ranked(blocks: Iterable[Any], path: Path) -> dict[str, Any]:
    """Write blocks of recommendations to one parquet file, and return what was written."""
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
