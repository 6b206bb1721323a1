"""Documents in parts of JSON lines, for Elasticsearch, OpenSearch and Vespa."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from hashgnn.codes import code_form
from hashgnn.engines.writing import FileJob, codes_of

_PART_BYTES = 32 << 20  # of one request, below the 100 MB that Elasticsearch takes

ATTRIBUTE_TYPES = {
    "int": "long",
    "float": "double",
    "bool": "boolean",
    "text": "keyword",
    "date": "date",
    "time": "date",
}


def documents(job: FileJob, form: str, *, floats: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the fields of each item; an attribute without a value is left out."""
    for rows in job.rows():
        codes = {field: _plain(code_form(codes_of(rows, field), form)) for field in job.widths}
        names = [] if rows.attributes is None else rows.attributes.table.column_names
        columns = [] if rows.attributes is None else rows.attributes.columns()
        for row, (item, position) in enumerate(zip(rows.ids, rows.positions.tolist(), strict=True)):
            fields: dict[str, Any] = {"item_id": item, "pos": position}
            fields |= {field: values[row] for field, values in codes.items()}
            if floats and rows.floats is not None:
                fields["embedding"] = [float(f"{value:.5g}") for value in rows.floats[row].tolist()]
            for name, column in zip(names, columns, strict=True):
                if column[row] is not None:
                    value = column[row]
                    fields[name] = value.isoformat() if isinstance(value, date) else value
            yield item, fields


def write_parts(
    job: FileJob, name: str, lines: Iterator[Any], made: Callable[[Any], list[dict[str, Any]]]
) -> None:
    """Write JSON lines in files ``NAME-00000.jsonl`` that are small enough for one request each."""
    number, size, file = 0, 0, None
    try:
        for line in lines:
            text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in made(line)).encode()
            if file is None or size + len(text) > _PART_BYTES:
                if file is not None:
                    file.close()
                file, size = (job.folder / f"{name}-{number:05d}.jsonl").open("wb"), 0
                number += 1
            file.write(text)
            size += len(text)
    finally:
        if file is not None:
            file.close()


def _plain(values: Any) -> list[Any]:
    listed: list[Any] = values if isinstance(values, list) else values.tolist()
    return listed
