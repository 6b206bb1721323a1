"""``ModelConfig``: every hyper-parameter of a model, and nothing about the run that fits it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from hashgnn._checks import MAX_BITS, check_bits
from hashgnn.config.encoders import EncoderConfig, History
from hashgnn.config.format_1 import FORMER_NAMES, from_format_1
from hashgnn.config.objectives import Edges, ObjectiveConfig, Users
from hashgnn.config.relaxations import Guided, RelaxationConfig
from hashgnn.config.section import Section, Width
from hashgnn.config.teachers import AutoTeacher, ListTeacherConfig, TeacherConfig
from hashgnn.config.training import OptimizerConfig, ValidationConfig
from hashgnn.errors import ParameterError

Bits = Annotated[
    int,
    BeforeValidator(check_bits),
    Field(json_schema_extra={"multipleOf": 8, "minimum": 8, "maximum": MAX_BITS}),
]

#: Raised whenever a default of the settings changes, so that what an earlier version has measured is not taken for this
#: version's. 2: ``objective.top_k`` 20. 3: ``objective.float_query_weight`` 1. 4: ``objective.refinement_rounds`` 3.
DEFAULTS = 4


class ModelConfig(Section):
    """The hyper-parameters of one model: typed, frozen, checked when built, JSON in and out.

    What belongs to the model as a whole stands at the top; the rest is in sections. ``encoder``,
    ``relaxation``, ``objective`` and ``teacher`` are of the class that their ``name`` chooses, and have the
    settings of that class only. ``ModelConfig()`` is the recipe ``default``; ``hashgnn recipes`` prints every
    setting with its meaning, type, rule and default.

    Device, seed, threads, progress and checkpoints are options of a run and never enter it.

    Parameters
    ----------
    **settings
        Sections may be config objects, mappings, or names where they are chosen by name; dotted names reach
        into them.

    Raises
    ------
    ParameterError
        If a setting is unknown, does not apply to what is chosen, or breaks its rule.

    Examples
    --------
    >>> config = ModelConfig(n_bits=64, encoder={"name": "gat", "heads": 2}, optimizer={"epochs": 5})
    >>> config.encoder
    GAT(name='gat', fan_outs=(), item_fan_outs=(), n_layers=2, heads=2)
    >>> config.replace(**{"optimizer.epochs": 6, "encoder": "lightgcn"}).encoder
    LightGCN(name='lightgcn', n_layers=2)
    """

    n_bits: Bits = Field(default=128, description="Width of a code.")
    item_bias: bool = Field(
        default=True, description="Learn a bias for each item, in bits, next to the codes."
    )
    embedding_dim: Width = Field(default=256, description="Width of the encoder's output.")
    warm_start: bool = Field(
        default=True, description="Start the tables from a closed form instead of at random."
    )
    warm_start_from: Literal["spectrum", "ridge"] = Field(
        default="spectrum",
        description="The closed form of warm_start: the low end of the graph's spectrum, or the factors of an item "
        "ridge.",
    )
    hash_layer: Literal["shared", "per_side"] = Field(
        default="per_side", description="One projection to bits for all, or one for users and one for items."
    )
    float_embedding: Literal["encoder", "relaxed"] = Field(
        default="encoder",
        description="What float search and re-ranking use: the encoder's output, or tanh of its projection.",
    )
    encoder: SerializeAsAny[EncoderConfig] = Field(
        default=History(), description="What turns the graph into embeddings."
    )
    relaxation: SerializeAsAny[RelaxationConfig] = Field(
        default=Guided(), description="Through what codes are trained, in place of the sign."
    )
    objective: SerializeAsAny[ObjectiveConfig] = Field(default=Users(), description="What a run minimises.")
    teacher: SerializeAsAny[TeacherConfig] = Field(
        default=AutoTeacher(), description="Whose ranked lists are learned as well as the observed items."
    )
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="How long, in what steps.")
    validation: ValidationConfig = Field(
        default=ValidationConfig(), description="How the best epoch is chosen."
    )

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)  # of any form, not of the fields' types alone

    @model_validator(mode="after")
    def _check_that_sections_fit(self) -> Self:
        """Raise for a setting that the choice in another section leaves without effect."""
        objective, encoder, teacher = self.objective, self.encoder, self.teacher
        if isinstance(objective, Users):
            if objective.observed_target == "left_out" and not isinstance(encoder, History):
                raise ParameterError(
                    "objective.observed_target must be 'auto' or 'all' unless the encoder is 'history', "
                    f"got 'left_out' with {encoder.name!r}"
                )
        elif isinstance(self.relaxation, Guided) and self.relaxation.user_floor is not None:
            raise ParameterError(
                "relaxation.user_floor is a setting for objective 'users', "
                f"not for {objective.name!r}; set it to none"
            )
        elif isinstance(teacher, ListTeacherConfig) and teacher.count is not None:
            raise ParameterError(
                f"teacher.count is a setting for objective 'users', not for {objective.name!r}; set it to none"
            )
        if any(encoder.sampled_hops) and not isinstance(objective, Edges):
            raise ParameterError(
                f"encoder.fan_outs is a setting for objective 'edges', not for {objective.name!r}; set it to []"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides a fit, as JSON values: the settings that differ from their defaults, and which defaults."""
        return {"defaults": DEFAULTS, **self.changes()}

    @property
    def asks_for_left_out(self) -> bool:
        """Whether what is to be predicted are the items that the encoder leaves out of a history."""
        return (
            isinstance(self.objective, Users)
            and self.objective.observed_target != "all"
            and isinstance(self.encoder, History)
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build a config from what :meth:`to_dict` returned, or from any part of it.

        Raises
        ------
        ParameterError
            As for the constructor.
        """
        return cls(**values)

    @classmethod
    def from_format_1(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build a config from the flat settings that models of format 1 were saved with."""
        return cls(**from_format_1(values))

    @classmethod
    def _unknown(cls, name: str) -> ParameterError:
        dotted: dict[str, list[str]] = {old: [new] for old, new in FORMER_NAMES.items()}
        for setting in cls.describe():
            known = dotted.setdefault(setting.name.rpartition(".")[2], [])
            if setting.name not in known:
                known.append(setting.name)
        if name in dotted:
            return ParameterError(f"{name} is not a setting; write {' or '.join(dotted[name])}")
        close = difflib.get_close_matches(name, dotted, n=1)
        hint = f"did you mean {' or '.join(dotted[close[0]])}?" if close else "see: hashgnn recipes default"
        return ParameterError(f"{name} is not a setting; {hint}")
