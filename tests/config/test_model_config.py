"""Settings in sections: how they are given, and what is refused."""

from __future__ import annotations

import json

import pytest

from hashgnn._components import (
    ENCODERS,
    GUIDANCE_SCHEDULES,
    NEGATIVES,
    OBJECTIVES,
    RANKING_LOSSES,
    RELAXATIONS,
    TEACHERS,
)
from hashgnn.config import ModelConfig, OptimizerConfig, load_recipe
from hashgnn.config.encoders import GAT, LightGCN
from hashgnn.config.model_config import DEFAULTS
from hashgnn.errors import ParameterError

BY_FIELD = {"encoder": ENCODERS, "relaxation": RELAXATIONS, "objective": OBJECTIVES, "teacher": TEACHERS}
NESTED = [
    *({"relaxation": {"name": "guided", "schedule": name}} for name in GUIDANCE_SCHEDULES),
    *({"objective": {"name": "edges", "ranking_loss": name}} for name in RANKING_LOSSES),
    *({"objective": {"name": "edges", "negatives": name}} for name in NEGATIVES),
]
OF_DEFAULTS_4: dict[str, object] = {
    "n_bits": 128,
    "item_bias": True,
    "embedding_dim": 256,
    "warm_start": True,
    "warm_start_from": "spectrum",
    "hash_layer": "per_side",
    "float_embedding": "encoder",
    "encoder": "history",
    "encoder.input_table": True,
    "encoder.normalization": "unit",
    "encoder.history_dropout": 0.1,
    "relaxation": "guided",
    "relaxation.granularity": "bit",
    "relaxation.schedule": "linear",
    "relaxation.schedule.start": 1.0,
    "relaxation.schedule.end": 0.0,
    "relaxation.schedule.until": 0.7,
    "relaxation.schedule.after": 0.0,
    "relaxation.user_floor": None,
    "objective": "users",
    "objective.score_scale": 0.12,
    "objective.balance_weight": 0.0,
    "objective.decorrelation_weight": 0.0,
    "objective.float_scale": 0.045,
    "objective.code_weight": 1.0,
    "objective.float_weight": 2.0,
    "objective.float_query_weight": 1.0,
    "objective.bilateral_ratio": None,
    "objective.top_k": 20,
    "objective.top_k_loss": "talos",
    "objective.top_k_temperature": 5.0,
    "objective.top_k_threshold": "regression",
    "objective.top_k_rate": 0.1,
    "objective.item_share": 0.05,
    "objective.observed_target": "auto",
    "objective.min_steps": 100,
    "objective.refinement_rounds": 3,
    "objective.refinement_temperature": 4.0,
    "teacher": "auto",
    "teacher.weight": 0.6,
    "teacher.count": None,
    "teacher.k": 50,
    "teacher.decay": 6.0,
    "teacher.rank": 512,
    "teacher.n_neighbours": None,
    "teacher.max_history": 1000,
    "teacher.filter_budget": 500.0,
    "optimizer.epochs": 10,
    "optimizer.batch_size": 256,
    "optimizer.learning_rate": 0.04,
    "optimizer.shared_learning_rate": 0.004,
    "optimizer.schedule": "cosine",
    "optimizer.beta2": 0.99,
    "optimizer.weight_decay": 0.0,
    "optimizer.gradient_clip": 0.0,
    "validation.share": 0.0,
    "validation.metric": "recall@20",
    "validation.every": 1,
    "validation.patience": 5,
}
CHOICES = [*({field: name} for field, registry in BY_FIELD.items() for name in registry), *NESTED]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_choice_has_defaults_and_a_round_trip(choice: dict[str, object]) -> None:
    config = ModelConfig(**choice)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert ModelConfig.from_dict(config.changes()) == config


def test_the_defaults_are_those_of_their_number() -> None:
    # Where this fails a default has changed: raise DEFAULTS, and write down what the settings are now. A new setting
    # whose default changes nothing needs neither.
    defaults = ModelConfig()
    assert {name: defaults.value(name) for name in OF_DEFAULTS_4} == OF_DEFAULTS_4
    assert defaults.identity()["defaults"] == DEFAULTS == 4


def test_a_section_may_be_an_object_a_mapping_a_name_or_dotted_names() -> None:
    expected = ModelConfig(encoder=GAT(heads=2), optimizer=OptimizerConfig(epochs=5))
    assert ModelConfig(encoder={"name": "gat", "heads": 2}, optimizer={"epochs": 5}) == expected
    assert ModelConfig(**{"encoder": "gat", "encoder.heads": 2, "optimizer.epochs": 5}) == expected
    assert (
        ModelConfig().replace(**{"encoder": {"name": "gat", "heads": 2}, "optimizer.epochs": 5}) == expected
    )


def test_a_mapping_is_merged_and_another_name_starts_from_its_own_defaults() -> None:
    gat = load_recipe("authors", encoder={"n_layers": 3})
    assert (gat.encoder.name, gat.value("encoder.n_layers")) == ("graphsage", 3)
    assert gat.value("encoder.input_dim") == 120
    assert gat.replace(encoder="graphsage").encoder == gat.encoder
    assert gat.replace(encoder="lightgcn").encoder == LightGCN()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_bits": 100}, "n_bits must be a positive multiple of 8, got 100"),
        ({"n_bits": "many"}, "n_bits must be a positive multiple of 8, got 'many'"),
        ({"optimizer.epochs": 0}, "optimizer.epochs must be greater than or equal to 1, got 0"),
        (
            {"optimizer": {"learning_rate": float("nan")}},
            "optimizer.learning_rate must be a finite number, got nan",
        ),
        (
            {"encoder": "gatt"},
            "encoder must be one of 'gat', 'gcn', 'graphsage', 'history', 'lightgcn', 'mf', 'ngcf', 'pinsage', "
            "got 'gatt'; did you mean 'gat'?",
        ),
        ({"encoder": 3}, "encoder must be a name or a table of settings, got 3"),
        ({"optimizer": 3}, "optimizer must be a table of settings, got 3"),
        ({"epochs": 3}, "epochs is not a setting; write optimizer.epochs"),
        ({"heads": 3}, "heads is not a setting; write encoder.heads"),
        ({"margin": 3}, "margin is not a setting; write objective.ranking_loss.margin"),
        (
            {"learning_rate_schedule": "cosine"},
            "learning_rate_schedule is not a setting; write optimizer.schedule",
        ),
        ({"epoch": 3}, "epoch is not a setting; did you mean optimizer.epochs?"),
        ({"qqq": 3}, "qqq is not a setting; see: hashgnn recipes default"),
        ({"encoder.heads": 3}, "encoder.heads is a setting of encoder 'gat', not of 'history'"),
        (
            {"teacher": "none", "teacher.k": 3},
            "teacher.k is a setting of teacher 'auto', 'chebyshev', 'ridge' and 'spectral', not of 'none'",
        ),
        (
            {"encoder": {"name": "gat", "head": 2}},
            "encoder.head is not a setting of encoder 'gat'; did you mean 'heads'?",
        ),
        ({"optimizer": {"epoch": 2}}, "optimizer.epoch is not a setting; did you mean 'epochs'?"),
        ({"encoder": {"name": "mf", "x": 1}}, "encoder.x is not a setting of encoder 'mf'; it has none"),
        (
            {"objective.ranking_loss.margin": 1},
            "objective.ranking_loss is a setting of objective 'edges', not of 'users'",
        ),
        (
            {"objective": {"name": "edges", "ranking_loss": {"name": "bpr", "margin": 1}}},
            "objective.ranking_loss.margin is a setting of ranking loss 'hinge', not of 'bpr'",
        ),
        (
            {"relaxation.schedule.steps": 3},
            "relaxation.schedule.steps is a setting of schedule 'step', not of 'linear'",
        ),
        (
            {"encoder": "gat", "objective.observed_target": "left_out"},
            "objective.observed_target must be 'auto' or 'all' unless the encoder is 'history', got 'left_out' with "
            "'gat'",
        ),
        (
            {"objective": "edges", "relaxation.user_floor": 0.1},
            "relaxation.user_floor is a setting for objective 'users', not for 'edges'; set it to none",
        ),
        (
            {"objective": "edges", "teacher.count": 3},
            "teacher.count is a setting for objective 'users', not for 'edges'; set it to none",
        ),
        (
            {"encoder": {"name": "gat", "fan_outs": [3]}},
            "encoder.fan_outs is a setting for objective 'edges', not for 'users'; set it to []",
        ),
        (
            {"optimizer.epochs": 3, "optimizer": {"epochs": 4}},
            "optimizer.epochs must be given once, got two values",
        ),
        (
            {"optimizer.epochs": 3, "optimizer": OptimizerConfig()},
            "optimizer must be given as an object or by its settings, got both",
        ),
    ],
)
def test_a_setting_that_is_wrong_or_does_not_apply_is_named(
    settings: dict[str, object], message: str
) -> None:
    for build in (ModelConfig, ModelConfig().replace, load_recipe):
        with pytest.raises(ParameterError) as caught:
            build(**settings)  # type: ignore[operator]
        assert str(caught.value) == message


def test_every_setting_says_what_it_means() -> None:
    described = list(ModelConfig.describe())
    assert len(described) > 80
    assert not [one.name for one in described if not one.meaning.endswith(".")]
    heads = next(one for one in described if one.name == "encoder.heads")
    assert (heads.owner, heads.type, heads.rule, heads.default) == ("encoder 'gat'", "integer", ">= 1", 4)
    until = next(one for one in described if one.name == "relaxation.schedule.until")
    assert (until.owner, until.rule, until.default) == ("schedule 'linear'", "> 0 and <= 1", 0.7)
    bits = next(one for one in described if one.name == "n_bits")
    assert bits.rule == "a multiple of 8, >= 8 and <= 1024"


def test_a_setting_is_read_by_its_dotted_name() -> None:
    config = load_recipe("paper")
    assert config.value("objective.ranking_loss") == "hinge"
    assert config.value("objective.ranking_loss.margin") == 0.2
    assert config.value("n_bits") == 32
    with pytest.raises(
        ParameterError, match="encoder.heads is a setting of encoder 'gat', not of 'graphsage'"
    ):
        config.value("encoder.heads")


def test_flat_settings_of_format_1_become_sections_and_leave_out_what_did_not_apply() -> None:
    flat = {
        "n_bits": 64,
        "encoder": "gat",
        "heads": 2,
        "history_dropout": 0.3,
        "objective": "edges",
        "ranking_loss": "bpr",
        "margin": 0.4,
        "float_weight": 2.0,
        "guidance_schedule": "epoch",
        "guidance_change": 0.1,
        "gumbel_hard": True,
        "epochs": 7,
        "fan_outs": [3, 2],
    }
    config = ModelConfig.from_format_1(flat)
    assert config.n_bits == 64
    assert config.to_dict()["encoder"] == {
        "name": "gat",
        "fan_outs": [3, 2],
        "item_fan_outs": [],
        "n_layers": 2,
        "heads": 2,
    }
    assert config.value("objective.ranking_loss") == "bpr"
    assert config.value("relaxation.schedule.change") == 0.1
    assert (config.optimizer.epochs, config.optimizer.batch_size) == (7, 1024)
    assert (config.item_bias, config.teacher.name, config.validation.share) == (False, "none", 0.1)


def test_settings_that_format_1_took_for_another_model_are_no_error() -> None:
    for encoder in ENCODERS:
        for objective in OBJECTIVES:
            for relaxation in RELAXATIONS:
                flat = {
                    "encoder": encoder,
                    "objective": objective,
                    "relaxation": relaxation,
                    "teacher": "auto",
                    "teacher_count": 3.0,
                    "observed_target": "left_out",
                    "user_guidance_floor": 0.5,
                    "fan_outs": [3, 2],
                    "heads": 2,
                }
                config = ModelConfig.from_format_1(flat)
                assert (config.encoder.name, config.objective.name) == (encoder, objective)
                assert config.relaxation.name == relaxation
    assert ModelConfig.from_format_1({"guidance": "none"}).relaxation.name == "ste"
