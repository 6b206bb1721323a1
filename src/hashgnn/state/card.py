"""The model card: a page for people about a saved model, made from its state alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hashgnn import __version__
from hashgnn.codes import code_health
from hashgnn.config import RECIPES, ModelConfig, load_recipe
from hashgnn.data import IdMap
from hashgnn.data._moments import per_second
from hashgnn.errors import ParameterError

CARD = "model_card.md"
MAX_CARD = 1 << 20  # bytes of a card that is read
MAX_NOTES = 65536  # characters
MAX_LICENSE = 200
_MEASURED_CODES = 65536  # of each side
_BLOCK_IDS = 65536
_FIRST_TIME = 10**8  # seconds since 1970, in 1973
_ABSENT = object()
_MOST_ROWS, _MOST_CHARACTERS = 200, 200  # of a table, and of a value in it

_HEALTH = {
    "n_codes": "codes measured",
    "dead_bits": "dead bits",
    "mean_balance": "mean balance (best 0.5)",
    "mean_entropy": "mean entropy (best 1)",
    "mean_absolute_correlation": "mean correlation of bits (best 0)",
    "collision_share": "share of codes that occur twice",
}


def model_card(state: Any) -> str:
    """Return the card of a model as Markdown: the same text for the same state and version of hashgnn.

    Parameters
    ----------
    state : ModelState

    Notes
    -----
    It states no time but those that the state records. Values that may be a stranger's are shown in one line
    each, cut to 200 characters.
    """
    sections = (
        ("What it is", _what(state)),
        ("Intended use", _USE),
        ("Limits", _LIMITS),
        ("Data", _table(_data(state))),
        ("Validation", _table(state.metrics.items()) or "No metric was measured in training."),
        ("Codes", _health(state)),
        ("Sizes", _table(_sizes(state), ("part", "bytes"))),
        ("Training", _table(_training(state))),
        ("Settings", _table(_flat(state.config.to_dict()), ("setting", "value"))),
        ("Versions", _table(_versions(state), ("library", "version"))),
        ("Licence", state.license or "None is stated."),
        ("Notes", state.card_notes),
    )
    parts = ["# Model card", *(f"## {title}\n\n{text}" for title, text in sections if text)]
    return "\n\n".join(parts) + "\n"


def ids_digest(ids: IdMap) -> str:
    r"""Return the SHA-256 of ids in index order: the printed form of each and a line feed, in UTF-8.

    Examples
    --------
    >>> ids_digest(IdMap(["a", "b"])) == hashlib.sha256(b"a\nb\n").hexdigest()
    True
    """
    digest = hashlib.sha256()
    for start in range(0, len(ids), _BLOCK_IDS):
        printed = ids.printed(np.arange(start, min(start + _BLOCK_IDS, len(ids))))
        digest.update("".join(f"{text}\n" for text in printed).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def check_card_text(name: str, text: str, most: int) -> str:
    """Return a text that a user gives for the card, its line ends as line feeds.

    Raises
    ------
    ParameterError
        If it is longer than ``most`` characters, or holds control characters.
    """
    if not isinstance(text, str):
        raise ParameterError(f"{name} must be text, got {text!r:.80}")
    plain = text.replace("\r\n", "\n")
    if len(plain) > most:
        raise ParameterError(f"{name} must be at most {most:,} characters, got {len(plain):,}")
    if harmless(plain) != plain:
        raise ParameterError(f"{name} must be plain text without control characters, got some")
    return plain


def harmless(text: str) -> str:
    r"""Return a text whose control characters, such as those of a terminal's escapes, are question marks.

    Examples
    --------
    >>> harmless("a\x1b[2Jb\tc")
    'a?[2Jb\tc'
    """
    return "".join(
        c if c in "\n\t" or (c.isprintable() and not "\ud800" <= c <= "\udfff") else "?" for c in text
    )


_USE = (
    "It proposes items to users by what they interacted with: the recall stage of a recommender, whose lists a "
    "ranker or a person's rules may order further."
)
_LIMITS = (
    "It knows the users and items of its training data. Others are folded in from their interactions, and a user "
    "of whom nothing is known gets popular items. It repeats what its data favours, popular items above all. Its "
    "scores order items; they are no probabilities. Nothing here says how it treats groups of people: measure that "
    "with `hashgnn evaluate --segments`."
)


def _what(state: Any) -> str:
    bias = "with an item bias" if state.config.item_bias else "without an item bias"
    return (
        f"A hashgnn model of {state.n_users:,} users and {state.n_items:,} items: codes of {state.n_bits} bits, "
        f"{bias}, and embeddings of {state.dim} floats, by the encoder `{state.config.encoder.name}`. "
        f"It was made at {state.created}."
    )


def _data(state: Any) -> Iterable[tuple[str, Any]]:
    statistics = state.data_statistics
    yield "users", state.n_users
    yield "items", state.n_items
    yield "interactions", int(state.seen.nnz)
    for name in ("first", "last"):
        moment = _moment(statistics.get(f"{name}_timestamp"))
        if moment is not None:
            yield f"{name} interaction", moment
    if state.weighting is not None:
        yield from ((f"weight of {name}", value) for name, value in state.weighting.event_weights.items())
        if state.weighting.half_life is not None:
            yield "half-life in seconds", state.weighting.half_life
    yield "SHA-256 of the user ids", ids_digest(state.users.ids)
    yield "SHA-256 of the item ids", ids_digest(state.items.ids)


def _moment(value: Any) -> Any:
    """Return a time of interactions as a date, where it is one in any unit; smaller numbers stay as they are."""
    if not isinstance(value, int) or value < _FIRST_TIME:
        return value
    try:
        return datetime.fromtimestamp(value / per_second(value), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return value


def _health(state: Any) -> str:
    sides = [
        code_health(side.codes, max_codes=_MEASURED_CODES).summary() if len(side.codes) else {}
        for side in (state.users, state.items)
    ]
    rows = [
        f"| {title} | {' | '.join(_shown(side[key]) if side else '–' for side in sides)} |"
        for key, title in _HEALTH.items()
    ]
    return "\n".join(["| health | users | items |", "|---|---|---|", *rows])


def _sizes(state: Any) -> Iterable[tuple[str, Any]]:
    yield "codes of users", state.n_users * state.n_bits // 8
    yield "codes of items", state.n_items * state.n_bits // 8
    if state.items.bias is not None:
        yield "item bias", state.n_items
    yield "embeddings", 4 * state.dim * (state.n_users + state.n_items)
    yield "fold-in rule", sum(array.nbytes for array in state.fold_in.arrays.values())
    yield "seen items", int(state.seen.data.nbytes + state.seen.indices.nbytes + state.seen.indptr.nbytes)


def _training(state: Any) -> Iterable[tuple[str, Any]]:
    yield "nearest recipe", _recipe(state.config)
    left_out = ("history", "versions", "scales")
    yield from _flat({key: value for key, value in state.training.items() if key not in left_out})


def _recipe(config: ModelConfig) -> str:
    """Return the named recipe that a config differs least from, and the settings that differ."""
    own = dict(_flat(config.to_dict()))
    others = {name: dict(_flat(load_recipe(name).to_dict())) for name in RECIPES}
    differing = {
        name: [key for key in own if own[key] != other.get(key, _ABSENT)] for name, other in others.items()
    }
    name = min(differing, key=lambda one: len(differing[one]))
    changed = ", ".join(differing[name])
    return f"{name}, but for {changed}" if changed else name


def _versions(state: Any) -> Iterable[tuple[str, Any]]:
    yield "hashgnn", __version__
    versions = state.training.get("versions")
    if isinstance(versions, Mapping):
        yield from versions.items()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _table(rows: Iterable[tuple[str, Any]], heading: tuple[str, str] = ("what", "value")) -> str:
    lines = [f"| {_shown(name)} | {_shown(value)} |" for name, value in rows]
    if not lines:
        return ""
    more = [f"| … | {len(lines) - _MOST_ROWS} more |"] if len(lines) > _MOST_ROWS else []
    return "\n".join([f"| {heading[0]} | {heading[1]} |", "|---|---|", *lines[:_MOST_ROWS], *more])


def _shown(value: Any) -> str:
    """Return a value in one line of a table, cut where it is long."""
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    elif isinstance(value, int):
        text = f"{value:,}"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    line = " ".join(harmless(text).split()).replace("|", "\\|")
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"
