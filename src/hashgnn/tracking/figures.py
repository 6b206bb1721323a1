"""The settings and figures that trackers write, each by one name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from hashgnn.codes import code_health
from hashgnn.runs import Run
from hashgnn.state import ModelState

_MEASURED_CODES = 65536  # of each side


def settings_of(run: Run) -> dict[str, Any]:
    """Return the settings and facts of a run by dotted names; values are text, numbers or booleans."""
    return {
        **flat(run.config),
        "seed": run.seed,
        "device": run.device,
        "n_threads": run.n_threads,
        **{f"facts.{name}": value for name, value in flat(run.facts).items()},
    }


def figures_of_run(run: Run) -> dict[str, float]:
    """Return the epochs and seconds of a run, its best epoch, and the metric of that."""
    figures = {"epochs": run.epoch, "best_epoch": run.best_epoch, "seconds": run.seconds, **run.best_metrics}
    return {f"final/{name}": float(value) for name, value in figures.items()}


def figures_of_state(state: ModelState) -> dict[str, float]:
    """Return the final metrics of a model, and the health of its users' and items' codes."""
    found = {f"final/{name}": value for name, value in state.metrics.items()}
    for name, side in (("users", state.users), ("items", state.items)):
        health = code_health(side.codes, max_codes=_MEASURED_CODES).summary()
        found |= {f"code_health/{name}/{figure}": value for figure, value in health.items()}
    return {name: float(value) for name, value in found.items() if _is_number(value)}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted names; lists are JSON text.

    Examples
    --------
    >>> flat({"encoder": {"name": "gat", "fan_outs": [3, 2]}, "n_bits": 64})
    {'encoder.name': 'gat', 'encoder.fan_outs': '[3, 2]', 'n_bits': 64}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, str | int | float)
            found[f"{prefix}{key}"] = value if plain else json.dumps(value, default=str)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
