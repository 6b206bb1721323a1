"""Files for usearch: an index of bits, by its own library."""

from __future__ import annotations

from hashgnn._extras import require
from hashgnn.engines.writing import FileJob, codes_of


def write_usearch(job: FileJob) -> str:
    """Write ``code.usearch`` and, of a model with an item bias, ``biased.usearch``; keys are positions.

    Raises
    ------
    MissingExtraError
        If usearch is not installed.
    """
    usearch = require("usearch.index", extra="benchmark", purpose="files for usearch")
    for field, width in job.widths.items():
        index = usearch.Index(ndim=width, metric="hamming", dtype="b1")
        for rows in job.rows():
            index.add(rows.positions, codes_of(rows, field))
        index.save(str(job.folder / f"{field}.usearch"))
    job.write_items()
    return "uint8"
