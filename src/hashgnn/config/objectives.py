"""Settings of objectives: what a run minimises. Each class is one objective, chosen by ``name``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, SerializeAsAny

from hashgnn._components import NEGATIVES, OBJECTIVES, RANKING_LOSSES
from hashgnn._registry import Component, Registry
from hashgnn.config.section import Count, Positive, Section, Weight


class RankingLossConfig(Section):
    """The base of the settings of ranking losses."""

    registry: ClassVar[Registry[Component] | None] = RANKING_LOSSES
    name: str


class Hinge(RankingLossConfig):
    """The paper's hinge on sigmoids."""

    name: Literal["hinge"] = "hinge"
    margin: Weight = Field(default=0.2, description="Margin α.")


class BPR(RankingLossConfig):
    """Bayesian personalised ranking (Rendle et al., UAI 2009)."""

    name: Literal["bpr"] = "bpr"


class SampledSoftmax(RankingLossConfig):
    """Cross-entropy of the observed item among the sampled ones."""

    name: Literal["sampled_softmax"] = "sampled_softmax"
    popularity_correction: bool = Field(
        default=False,
        description="Subtract the log of how often each negative is expected, so that popular items, which "
        "are drawn more often, are not pushed down for it.",
    )


class BilateralSoftmax(RankingLossConfig):
    """Softmax whose positives, too, are averaged as exponentials (Wu et al., ICDE 2024)."""

    name: Literal["bilateral_softmax"] = "bilateral_softmax"
    ratio: Positive = Field(
        default=1.0, description="Temperature of the positives over that of the negatives."
    )


class NegativesConfig(Section):
    """How items are drawn that a user has not interacted with."""

    registry: ClassVar[Registry[Component] | None] = NEGATIVES
    name: str


class Uniform(NegativesConfig):
    """Every item is equally likely."""

    name: Literal["uniform"] = "uniform"


class Popularity(NegativesConfig):
    """Popular items are likelier."""

    name: Literal["popularity"] = "popularity"
    exponent: Weight = Field(
        default=0.75,
        description="An item is drawn with probability proportional to its degree to this power.",
    )


class InBatch(NegativesConfig):
    """The items of the batch."""

    name: Literal["in_batch"] = "in_batch"


class ObjectiveConfig(Section):
    """The base of the settings of objectives."""

    registry: ClassVar[Registry[Component] | None] = OBJECTIVES
    name: str
    score_scale: Positive = Field(
        default=1.0,
        description="Factor on the inner product of codes before the loss: the inverse temperature.",
    )
    balance_weight: Weight = Field(
        default=0.0, description="Weight of the penalty on bits that lean to one side."
    )
    decorrelation_weight: Weight = Field(
        default=0.0, description="Weight of the penalty on bits that are correlated."
    )

    @property
    def scales(self) -> tuple[float, float]:
        """Scales of the scores of codes and of embeddings at the start."""
        return self.score_scale, 1.0


class Edges(ObjectiveConfig):
    """Mini-batches of observed edges with sampled negatives."""

    name: Literal["edges"] = "edges"
    reconstruction_weight: Weight = Field(
        default=1.0, description="Weight of the cross-entropy over the edges."
    )
    ranking_weight: Weight = Field(default=1.0, description="Weight of the ranking loss.")
    ranking_loss: SerializeAsAny[RankingLossConfig] = Field(
        default=Hinge(), description="What ranks an observed item above the sampled ones."
    )
    negatives: SerializeAsAny[NegativesConfig] = Field(
        default=Uniform(), description="How negatives are drawn."
    )
    n_negatives: Count = Field(default=5, description="Negatives drawn for each observed edge.")


class Users(ObjectiveConfig):
    """Batches of users with a softmax over all items."""

    name: Literal["users"] = "users"
    score_scale: Positive = Field(
        default=0.12,
        description="Start of the learned factor on the inner product of codes: the inverse temperature.",
    )
    float_scale: Positive = Field(
        default=0.045, description="Start of the learned factor on the inner product of embeddings."
    )
    code_weight: Weight = Field(default=1.0, description="Weight of the softmax over codes.")
    float_weight: Weight = Field(default=2.0, description="Weight of the softmax over embeddings.")
    bilateral_ratio: Positive | None = Field(
        default=None,
        description="Bilateral softmax: temperature of the targets over that of all items; none is the plain "
        "softmax.",
    )
    item_share: Positive = Field(
        default=0.05,
        le=1,
        description="The softmax runs over the items of the batch and this share of the others, drawn anew at "
        "each step and weighted up; 1 takes all items.",
    )
    observed_target: Literal["auto", "all", "left_out"] = Field(
        default="auto",
        description="Which items of a user are to be predicted: all, or those that encoder 'history' leaves "
        "out of the history, while the others stay out of the softmax; auto is left_out with that encoder "
        "and all with any other.",
    )
    min_steps: Count = Field(
        default=100,
        description="Fewest steps of an epoch, down to batches of eight users; few users make small batches.",
    )

    @property
    def scales(self) -> tuple[float, float]:
        """Scales of the scores of codes and of embeddings at the start."""
        return self.score_scale, self.float_scale
