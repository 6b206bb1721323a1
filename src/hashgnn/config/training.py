"""How parameters are fitted: ``OptimizerConfig``, and when to stop: ``ValidationConfig``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class OptimizerConfig(BaseModel):
    """Settings of Adam and of the epochs it runs for."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    epochs: _Count = Field(default=20, description="Passes over the training data at most.")
    batch_size: _Count = Field(
        default=1024, description="Edges or users in a step, as the objective counts them."
    )
    learning_rate: _Positive = Field(
        default=1e-3, description="Adam's step for the tables of users and items."
    )
    shared_learning_rate: _Positive | None = Field(
        default=None,
        description="Adam's step for all other parameters: weights, scales, item bias. None is learning_rate.",
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="How the steps change: not at all, or a short warm-up and a cosine down to zero.",
    )
    beta2: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        default=0.999, description="Decay of Adam's second moment."
    )
    weight_decay: _NotNegative = Field(default=0.0, description="Weight of the L2 penalty inside Adam.")
    gradient_clip: _NotNegative = Field(
        default=0.0, description="Norm that gradients are scaled down to; 0 leaves them as they are."
    )


class ValidationConfig(BaseModel):
    """Settings of the held-out part that chooses the best epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    share: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = Field(
        default=0.1,
        description="Share of each user's interactions that is held out, where no valid part is given.",
    )
    metric: str = Field(
        default="recall@20", description="Ranking metric that chooses the epoch; higher is better."
    )
    every: _Count = Field(default=1, description="Epochs from one validation to the next.")
    patience: _Count = Field(
        default=5, description="Validations in a row without a new best value after which the run stops."
    )
