"""The flat settings of models of format 1, in today's sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Former name: (today's name, what it was where a manifest does not say).
_TOP: dict[str, tuple[str, Any]] = {
    "n_bits": ("n_bits", 128),
    "item_bias": ("item_bias", False),
    "embedding_dim": ("embedding_dim", 64),
    "warm_start": ("warm_start", False),
    "hash_layer": ("hash_layer", "shared"),
    "float_embedding": ("float_embedding", "relaxed"),
    "epochs": ("optimizer.epochs", 20),
    "batch_size": ("optimizer.batch_size", 1024),
    "learning_rate": ("optimizer.learning_rate", 1e-3),
    "shared_learning_rate": ("optimizer.shared_learning_rate", None),
    "learning_rate_schedule": ("optimizer.schedule", "constant"),
    "beta2": ("optimizer.beta2", 0.999),
    "weight_decay": ("optimizer.weight_decay", 0.0),
    "gradient_clip": ("optimizer.gradient_clip", 0.0),
    "validation_share": ("validation.share", 0.1),
    "validation_metric": ("validation.metric", "recall@20"),
    "validate_every": ("validation.every", 1),
    "patience": ("validation.patience", 5),
    "score_scale": ("objective.score_scale", 1.0),
    "balance_weight": ("objective.balance_weight", 0.0),
    "decorrelation_weight": ("objective.decorrelation_weight", 0.0),
}
_LAYERS = {"n_layers": ("encoder.n_layers", 2)}
_SAMPLED: dict[str, tuple[str, Any]] = {
    "fan_outs": ("encoder.fan_outs", ()),
    "item_fan_outs": ("encoder.item_fan_outs", ()),
}
_ENCODERS: dict[str, dict[str, tuple[str, Any]]] = {
    "gat": _LAYERS | _SAMPLED | {"heads": ("encoder.heads", 4)},
    "gcn": _LAYERS,
    "graphsage": _LAYERS
    | _SAMPLED
    | {
        "item_layers": ("encoder.item_layers", None),
        "aggregator": ("encoder.aggregator", "mean"),
        "input_dim": ("encoder.input_dim", None),
    },
    "history": {
        "input_table": ("encoder.input_table", False),
        "normalization": ("encoder.normalization", "degree"),
        "history_dropout": ("encoder.history_dropout", 0.0),
    },
    "lightgcn": _LAYERS,
    "mf": {},
    "ngcf": _LAYERS,
    "pinsage": _LAYERS | {"n_neighbours": ("encoder.n_neighbours", 20)},
}
_WIDTH = {"surrogate_width": ("relaxation.width", 1.0)}
_RELAXATIONS: dict[str, dict[str, tuple[str, Any]]] = {
    "clipped": _WIDTH,
    "fourier": _WIDTH | {"surrogate_terms": ("relaxation.terms", 4)},
    "gaussian": _WIDTH,
    "guided": {"guidance": ("relaxation.granularity", "bit")},
    "gumbel": {
        "gumbel_start": ("relaxation.start", 1.0),
        "gumbel_end": ("relaxation.end", 0.2),
        "gumbel_hard": ("relaxation.hard", False),
    },
    "hashnet": {
        "hashnet_start": ("relaxation.start", 1.0),
        "hashnet_end": ("relaxation.end", 10.0),
    },
}
_FALL: dict[str, tuple[str, Any]] = {
    "guidance_start": ("relaxation.schedule.start", 1.0),
    "guidance_end": ("relaxation.schedule.end", 0.0),
}
_UNTIL = {"guidance_until": ("relaxation.schedule.until", 1.0)}
_SCHEDULES: dict[str, dict[str, tuple[str, Any]]] = {
    "constant": {"guidance_start": ("relaxation.schedule.share", 1.0)},
    "linear": _FALL | _UNTIL,
    "step": _FALL | _UNTIL | {"guidance_steps": ("relaxation.schedule.steps", 5)},
    "epoch": _FALL
    | {
        "guidance_change": ("relaxation.schedule.change", 0.02),
        "guidance_every": ("relaxation.schedule.every", 2),
    },
}
_OBJECTIVES: dict[str, dict[str, tuple[str, Any]]] = {
    "edges": {
        "reconstruction_weight": ("objective.reconstruction_weight", 1.0),
        "ranking_weight": ("objective.ranking_weight", 1.0),
        "n_negatives": ("objective.n_negatives", 5),
    },
    "users": {
        "float_scale": ("objective.float_scale", 1.0),
        "code_weight": ("objective.code_weight", 1.0),
        "float_weight": ("objective.float_weight", 0.0),
        "item_share": ("objective.item_share", 1.0),
        "bilateral_ratio": ("objective.bilateral_ratio", None),
        "observed_target": ("objective.observed_target", "all"),
        "min_steps": ("objective.min_steps", 30),
    },
}
_RANKING_LOSSES: dict[str, dict[str, tuple[str, Any]]] = {
    "hinge": {"margin": ("objective.ranking_loss.margin", 0.2)},
    "sampled_softmax": {
        "popularity_correction": ("objective.ranking_loss.popularity_correction", False),
    },
    "bilateral_softmax": {"bilateral_ratio": ("objective.ranking_loss.ratio", None)},
}
_NEGATIVES: dict[str, dict[str, tuple[str, Any]]] = {
    "popularity": {"popularity_exponent": ("objective.negatives.exponent", 0.75)},
}
_LISTS: dict[str, tuple[str, Any]] = {
    "teacher_weight": ("teacher.weight", 0.7),
    "teacher_k": ("teacher.k", 100),
    "teacher_decay": ("teacher.decay", 30.0),
    "teacher_rank": ("teacher.rank", 512),
}
_ALPHA = {"teacher_alpha": ("teacher.alpha", 0.3)}
_TEACHERS: dict[str, dict[str, tuple[str, Any]]] = {
    "auto": _LISTS,
    "chebyshev": _LISTS | _ALPHA,
    "spectral": _LISTS | _ALPHA,
}
_COUNT = {"teacher_count": ("teacher.count", None)}
_FLOOR = {"user_guidance_floor": ("relaxation.user_floor", 0.0)}

FORMER_NAMES: dict[str, str] = {
    "guidance_schedule": "relaxation.schedule",
    **{
        old: new
        for tables in (
            {"": _TOP | _COUNT | _FLOOR},
            _ENCODERS,
            _RELAXATIONS,
            _SCHEDULES,
            _RANKING_LOSSES,
            _OBJECTIVES,
            _NEGATIVES,
            _TEACHERS,
        )
        for table in tables.values()
        for old, (new, _) in table.items()
        if old != new
    },
}


def from_format_1(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings by their dotted names; what did not apply to the model is left out.

    Settings that are missing in a manifest get the defaults of the time when it was written.
    """
    encoder, objective = values.get("encoder", "graphsage"), values.get("objective", "edges")
    relaxation, teacher = values.get("relaxation", "guided"), values.get("teacher", "none")
    if relaxation == "guided" and values.get("guidance") == "none":
        relaxation = "ste"  # it was the same
    found = {"encoder": encoder, "relaxation": relaxation, "objective": objective, "teacher": teacher}
    tables = [_TOP, _ENCODERS.get(encoder, {}), _RELAXATIONS.get(relaxation, {}), _TEACHERS.get(teacher, {})]
    tables.append(_OBJECTIVES.get(objective, {}))
    if relaxation == "guided":
        found["relaxation.schedule"] = values.get("guidance_schedule", "linear")
        tables.append(_SCHEDULES.get(found["relaxation.schedule"], {}))
        tables += [_FLOOR] if objective == "users" else []
    if objective == "edges":
        found["objective.ranking_loss"] = values.get("ranking_loss", "hinge")
        found["objective.negatives"] = values.get("negatives", "uniform")
        tables.append(_RANKING_LOSSES.get(found["objective.ranking_loss"], {}))
        tables.append(_NEGATIVES.get(found["objective.negatives"], {}))
    elif teacher != "none":
        tables.append(_COUNT)
    for table in tables:
        for old, (new, default) in table.items():
            found[new] = values.get(old, default)
    if objective == "users":
        found["objective.top_k"] = None
        found["objective.float_query_weight"] = 0.0
        if encoder != "history":
            found["objective.observed_target"] = "all"
        for name in ("encoder.fan_outs", "encoder.item_fan_outs"):
            found.pop(name, None)
    if found.get("objective.ranking_loss.ratio", 1.0) is None:
        found["objective.ranking_loss.ratio"] = 1.0
    return found
