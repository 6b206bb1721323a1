"""Matches positions as the JSON text of an answer, put together from finished pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.ranking import Matches
from hashgnn.recommender.encoded import Encoded
from hashgnn.serving.json_text import dumps
from hashgnn.serving.versions import Version


def item_lists(version: Version, found: Matches) -> list[bytes]:
    """Return each row's results as the text of a JSON list of ``{id, score, metadata}``."""
    counts = found.counts.tolist()
    real = np.arange(found.positions.shape[1]) < found.counts[:, None]
    positions = found.positions[real]
    ids = version.item_texts(positions)
    scores = [b"%.7g" % score for score in found.scores[real].tolist()]
    known = [b"null"] * len(ids) if version.metadata is None else version.metadata.documents(positions)
    pieces = [b'{"id":%b,"score":%b,"metadata":%b}' % piece for piece in zip(ids, scores, known, strict=True)]
    lists, start = [], 0
    for count in counts:
        lists.append(b"[%b]" % b",".join(pieces[start : start + count]))
        start += count
    return lists


def answer(version: str, search: str, milliseconds: float, rows: list[bytes]) -> bytes:
    """Return the document of ranked rows."""
    head = b'{"model_version":%b,"search":"%b","milliseconds":%.3f,"results":['
    return head % (dumps(version), search.encode(), milliseconds) + b",".join(rows) + b"]}"


def recommended_row(user: bytes, source: str, items: bytes, version: str | None) -> bytes:
    """Return the document of one user's results; a version where it is not that of the whole answer."""
    row = b'{"user":%b,"source":"%b","items":%b' % (user, source.encode(), items)
    return row + (b"}" if version is None else b',"model_version":%b}' % dumps(version))


def similar_row(item: bytes, items: bytes) -> bytes:
    """Return the document of the items alike to one."""
    return b'{"item":%b,"items":%b}' % (item, items)


def encoded_rows(encoded: Encoded, known: Array, bias: Array | None) -> list[dict[str, Any]]:
    """Return codes and embeddings as JSON values, one for each entry of ``known``; null where it is false."""
    codes, embeddings = encoded.codes.packed, encoded.embeddings
    biases = None if bias is None else bias.tolist()
    rows: list[dict[str, Any]] = []
    place = 0
    for is_known in known.tolist():
        if not is_known:
            rows.append({"code": None, "embedding": None, "known": False, "item_bias": None})
            continue
        rows.append(
            {
                "code": codes[place].tobytes().hex(),
                "embedding": [float(f"{value:.7g}") for value in embeddings[place].tolist()],
                "known": True,
                "item_bias": None if biases is None else biases[place],
            }
        )
        place += 1
    return rows
