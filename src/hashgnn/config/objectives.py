"""Settings of objectives: what a run minimises. Each class is one objective, chosen by ``name``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from hashgnn._components import NEGATIVES, OBJECTIVES, RANKING_LOSSES
from hashgnn._registry import Component, Registry
from hashgnn.config.section import Count, Positive, Section, Weight
from hashgnn.errors import ParameterError

Rounds = Annotated[int, Field(ge=0, le=100)]


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


class PSL(RankingLossConfig):
    """Pairwise softmax loss: a surrogate of each pair's gap in place of the exponential (Yang et al., NeurIPS 2024)."""

    name: Literal["psl"] = "psl"
    activation: Literal["tanh", "relu", "atan"] = Field(
        default="tanh",
        description="Surrogate of a gap: tanh and atan are bounded, relu grows in a straight line.",
    )
    temperature: Positive = Field(
        default=1.0, description="The smaller, the more the hardest negatives decide alone."
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
    float_query_weight: Weight = Field(
        default=1.0,
        description="Weight of the softmax over item codes whose queries are floats, as search way asymmetric has them.",
    )
    bilateral_ratio: Positive | None = Field(
        default=None,
        description="Bilateral softmax: temperature of the targets over that of all items; none is the plain "
        "softmax.",
    )
    top_k: Count | None = Field(
        default=20,
        description="Losses of the K best items of a user: they compare each score with that of the K-th item. None is "
        "the softmax over all ranks.",
    )
    top_k_loss: Literal["slatk", "talos"] = Field(
        default="talos",
        description="With top_k: talos lets no score gain by rising further above the threshold; slatk lowers the weight "
        "of targets that score below it.",
    )
    top_k_temperature: Positive = Field(
        default=5.0,
        description="With top_k: how far from the threshold, in log-odds, a score still counts in part.",
    )
    top_k_threshold: Literal["regression", "scores"] = Field(
        default="regression",
        description="With top_k: the threshold of a user, kept and moved by quantile regression, or anew from the scores "
        "of each step; the gradient of talos passes through the latter.",
    )
    top_k_rate: Positive = Field(
        default=0.1,
        description="With top_k_threshold 'regression': the most that a threshold moves each time its user comes, in "
        "log-odds.",
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
    refinement_rounds: Rounds = Field(
        default=3,
        description="Rounds after training that turn bits of item codes until queries rank items as the floats do, where "
        "both are trained; 0 leaves the codes as the hash layer makes them.",
    )
    refinement_temperature: Positive = Field(
        default=4.0,
        description="With refinement_rounds: how far from a user's 20th item, in bits, a score still counts in part.",
    )

    @property
    def scales(self) -> tuple[float, float]:
        """Scales of the scores of codes and of embeddings at the start."""
        return self.score_scale, self.float_scale

    @property
    def trains_codes(self) -> bool:
        """Whether the loss has a term of codes."""
        return self.code_weight > 0 or self.float_query_weight > 0

    @property
    def keeps_thresholds(self) -> bool:
        """Whether each user has a threshold that is kept from step to step."""
        return self.top_k is not None and self.top_k_threshold == "regression"

    @model_validator(mode="after")
    def _check_top_k(self) -> Self:
        """Raise where settings of ``top_k`` have no effect, or another rule for the targets is set."""
        if self.top_k is None:
            for name in ("top_k_loss", "top_k_temperature", "top_k_threshold", "top_k_rate"):
                if (value := getattr(self, name)) != self._default(name):
                    raise ParameterError(
                        f"{name} is a setting for top_k, which is none; set top_k, got {value!r}"
                    )
        elif self.top_k_rate != self._default("top_k_rate") and not self.keeps_thresholds:
            raise ParameterError(
                f"top_k_rate is a setting for top_k_threshold 'regression', got {self.top_k_rate:g}"
            )
        elif self.bilateral_ratio is not None:
            raise ParameterError(
                f"bilateral_ratio must be none with top_k, got {self.bilateral_ratio:g} with {self.top_k}; "
                "set one of them to none"
            )
        return self
