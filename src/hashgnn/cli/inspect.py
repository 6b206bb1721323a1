"""``hashgnn inspect``: the contents of a saved model, and the health of its codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._options import Debug, Json, Model, Quiet
from hashgnn.cli._output import Output, size
from hashgnn.cli._reading import open_model


def inspect(
    model: Model,
    card: Annotated[bool, typer.Option("--card", help="Print the model card instead.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what a saved model holds: files, settings, data, and the health of its codes.

    Every checksum is verified. A balanced bit is +1 in half of the codes. A dead bit has the same value in
    99 % of them. The correlation between bits is best at 0. A collision is a code that occurs twice.

    Examples:
      hashgnn inspect models/v1

      hashgnn inspect models/v1 --json

      hashgnn inspect models/v1 --card
    """
    from hashgnn.codes.health import code_health
    from hashgnn.state import local_folder
    from hashgnn.state.artifact import open_artifact

    out = Output(as_json, quiet)
    folder = local_folder(model)
    artifact = open_artifact(folder)  # compares the checksums, which loading does not
    loaded = open_model(folder)
    if card:
        _print_card(out, model, artifact, loaded)
        return
    state = loaded.state_
    health = {
        "user_codes": code_health(state.users.codes).summary(),
        "item_codes": code_health(state.items.codes).summary(),
    }
    document: dict[str, Any] = {
        "path": model,
        "created": artifact.created,
        "n_users": state.n_users,
        "n_items": state.n_items,
        "n_interactions": int(state.seen.nnz),
        "n_bits": state.n_bits,
        "embedding_dim": state.dim,
        "search_ways": list(loaded.search_ways),
        "bytes_per_item": {way: loaded.bytes_per_item(way) for way in loaded.search_ways},
        "config": state.config.to_dict(),
        "weighting": None if state.weighting is None else state.weighting.to_dict(),
        "data_statistics": dict(state.data_statistics),
        "metrics": dict(state.metrics),
        "training": dict(state.training),
        "health": health,
        "files": artifact.sizes,
        "library_versions": artifact.library_versions,
        "checksum": artifact.checksum,
    }
    if as_json:
        out.document(document)
        return
    _print(out, document)


def _print_card(out: Output, path: Path, artifact: Any, loaded: Any) -> None:
    """Print the card of the folder; one without a card was saved before there were any, and gets one made."""
    from hashgnn.state.card import CARD
    from hashgnn.state.storage import read_card

    text = read_card(artifact)
    if text is None:
        out.note(f"{path}: has no {CARD}; this one is made from its manifest")
        text = loaded.card()
    if out.as_json:
        out.document({"path": path, "card": text})
    else:
        out.line(text.rstrip("\n"))


def _print(out: Output, document: dict[str, Any]) -> None:
    config, training = document["config"], document["training"]
    rows: list[tuple[str, Any]] = [
        ("model", f"{document['path']}, made {document['created']}"),
        ("written by", f"hashgnn {document['library_versions'].get('hashgnn', '?')}"),
        ("users", document["n_users"]),
        ("items", document["n_items"]),
        ("interactions", document["n_interactions"]),
        ("bits a code", document["n_bits"]),
        ("embedding", f"{document['embedding_dim']} floats, {config['float_embedding']}"),
        ("encoder", config["encoder"]["name"]),
        ("item bias", config["item_bias"]),
    ]
    if "epochs" in training:
        rows.append(("trained", f"{training['epochs']} epochs, {training.get('seconds', 0):.1f} seconds"))
    rows += [(f"validation {name}", value) for name, value in document["metrics"].items()]
    rows += [(f"bytes an item, {way}", value) for way, value in document["bytes_per_item"].items()]
    out.table(("what", "value"), [(name, _text(value)) for name, value in rows])
    out.line()
    sides = document["health"]
    names = list(sides["user_codes"])
    out.table(
        ("code health", "users", "items"),
        [(_words(name), sides["user_codes"][name], sides["item_codes"][name]) for name in names],
    )
    out.line()
    out.table(("file", "size"), [(name, size(count)) for name, count in document["files"].items()])


def _words(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{value:,g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
