"""How parameters are fitted: ``OptimizerConfig``, and when to stop: ``ValidationConfig``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hashgnn.config.section import Count, PartialShare, Positive, Section, Weight


class OptimizerConfig(Section):
    """Settings of Adam and of the epochs it runs for."""

    epochs: Count = Field(default=10, description="Passes over the training data at most.")
    batch_size: Count = Field(
        default=256, description="Edges or users in a step, as the objective counts them."
    )
    learning_rate: Positive = Field(
        default=0.04, description="Adam's step for the tables of users and items."
    )
    shared_learning_rate: Positive | None = Field(
        default=0.004,
        description="Adam's step for all other parameters: weights, scales, item bias; none is learning_rate.",
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine",
        description="How the steps change: not at all, or a short warm-up and a cosine down to zero.",
    )
    beta2: Positive = Field(default=0.99, lt=1, description="Decay of Adam's second moment.")
    weight_decay: Weight = Field(default=0.0, description="Weight of the L2 penalty inside Adam.")
    gradient_clip: Weight = Field(
        default=0.0, description="Norm that gradients are scaled down to; 0 leaves them as they are."
    )


class ValidationConfig(Section):
    """Settings of the held-out part that chooses the best epoch."""

    share: PartialShare = Field(
        default=0.0,
        description="Share of each user's interactions that is held out, where no valid part is given; 0 trains "
        "all epochs.",
    )
    metric: str = Field(
        default="recall@20", description="Ranking metric that chooses the epoch; higher is better."
    )
    every: Count = Field(default=1, description="Epochs from one validation to the next.")
    patience: Count = Field(
        default=5, description="Validations in a row without a new best value after which the run stops."
    )
