"""Ranked positions as the JSON text of a response, joined from pieces that are ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.answering import EncodedEntities
from hashgnn.answering.ruled_search import RuleEffects
from hashgnn.ranking import Matches
from hashgnn.serving.models.item_metadata import ItemMetadata, documents_of
from hashgnn.serving.wire.json_ids import IdWriter


def item_objects(positions: Array, ids: IdWriter, metadata: ItemMetadata | None) -> list[bytes]:
    """Return a JSON object ``{id, metadata}`` for each item."""
    pairs = zip(ids.texts(positions), documents_of(positions, metadata), strict=True)
    return [b'{"id":%b,"metadata":%b}' % pair for pair in pairs]


def scored_item_lists(
    found: Matches,
    ids: IdWriter,
    metadata: ItemMetadata | None,
    effects: RuleEffects | None = None,
    more: Sequence[bytes] | None = None,
) -> list[bytes]:
    """Return a JSON list of ``{id, score, metadata}`` for each row of a result, with what rules did to each.

    ``more`` has further members of each result as text, such as ``,"reasons":[]``.
    """
    counts = found.counts.tolist()
    valid = found.valid
    positions = found.positions[valid]
    scores = [b"%.7g" % score for score in found.scores[valid].tolist()]
    members = [b""] * len(scores) if more is None else more
    parts = zip(ids.texts(positions), scores, members, documents_of(positions, metadata), strict=True)
    pieces = [b'{"id":%b,"score":%b%b,"metadata":%b}' % part for part in parts]
    if effects is not None:
        bases = zip(effects.base_ranks[valid].tolist(), effects.base_scores[valid].tolist(), strict=True)
        pieces = [
            b'%b,"base_rank":%b,"base_score":%.7g}' % (piece[:-1], b"%d" % rank if rank else b"null", score)
            for piece, (rank, score) in zip(pieces, bases, strict=True)
        ]
    lists, start = [], 0
    for count in counts:
        lists.append(b"[%b]" % b",".join(pieces[start : start + count]))
        start += count
    return lists


def ranked_response(version: str, search: str, milliseconds: float, rows: list[bytes]) -> bytes:
    """Return the whole document of ranked rows."""
    head = b'{"model_version":%b,"search":"%b","milliseconds":%.3f,"results":['
    return head % (dumps(version), search.encode(), milliseconds) + b",".join(rows) + b"]}"


def rule_objects(effects: RuleEffects | None, n_rows: int) -> list[bytes]:
    """Return what stands behind the items of each row: what rules did to it, nothing without rules."""
    if effects is None:
        return [b""] * n_rows
    counts = {name: per_row.tolist() for name, per_row in effects.n_capped.items()}
    return [
        b',"rules":%b'
        % dumps({"allowed": effects.n_allowed, "capped": {name: row[n] for name, row in counts.items()}})
        for n in range(n_rows)
    ]


def recommended_rows(
    key: Literal["user", "history"],
    values: Sequence[Any],
    sources: Sequence[str],
    lists: list[bytes],
    version: str | None,
    rules: list[bytes],
    explanations: Sequence[str] | None = None,
) -> list[bytes]:
    """Return the object of each row.

    Parameters
    ----------
    key : {"user", "history"}
        What a row is named by.
    values : sequence
        The ids of users, or the places of histories in the request.
    sources : list of str
    lists : list of bytes
        The items of each row.
    version : str or None
        Given where it is not that of the whole response.
    rules : list of bytes
        Of :func:`rule_objects`.
    explanations : list of str, optional
        The kind of each row's reasons, where results have some.
    """
    end = b"}" if version is None else b',"model_version":%b}' % dumps(version)
    kinds = [b""] * len(lists)
    if explanations is not None:
        kinds = [b',"explanation":%b' % dumps(kind) for kind in explanations]
    return [
        b'{"%b":%b,"source":"%b"%b,"items":%b%b%b'
        % (key.encode(), dumps(value), source.encode(), kind, items, ruled, end)
        for value, source, kind, items, ruled in zip(values, sources, kinds, lists, rules, strict=True)
    ]


def similar_rows(items: Sequence[Any], lists: list[bytes], rules: list[bytes]) -> list[bytes]:
    """Return the object of each item; ``rules`` are of :func:`rule_objects`."""
    return [
        b'{"item":%b,"items":%b%b}' % (dumps(item), row, ruled)
        for item, row, ruled in zip(items, lists, rules, strict=True)
    ]


def encoded_rows(encoded: EncodedEntities, known: Array) -> list[dict[str, Any]]:
    """Return codes and embeddings as JSON values.

    Parameters
    ----------
    encoded : EncodedEntities
        Of the entries that are known, in order.
    known : ndarray of shape (n,), bool
        The result has one object for each; its values are null where this is false.
    """
    codes, embeddings = encoded.codes.packed, encoded.embeddings
    biases = None if encoded.bias is None else encoded.bias.values().tolist()
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
