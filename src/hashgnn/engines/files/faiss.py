"""Files for faiss: ``IndexBinaryFlat`` as ``faiss.read_index_binary`` reads it."""

from __future__ import annotations

import struct

from hashgnn.engines.writing import FileJob, codes_of


def write_faiss(job: FileJob) -> str:
    """Write ``code.faiss`` and, of a model with an item bias, ``biased.faiss``; ids of faiss are positions.

    References
    ----------
    ``faiss/impl/index_write.cpp``, ``write_index_binary``: the mark ``IBxF``, width in bits and bytes, number of
    codes, whether it is trained, the metric, then the codes behind their number of bytes.
    """
    n = job.state.n_items
    for field, width in job.widths.items():
        with (job.folder / f"{field}.faiss").open("wb") as file:
            file.write(b"IBxF")
            file.write(struct.pack("<iiq?i", width, width // 8, n, True, 1))
            file.write(struct.pack("<Q", n * width // 8))
            for rows in job.rows():
                file.write(codes_of(rows, field).tobytes())
    job.write_items()
    return "uint8"
