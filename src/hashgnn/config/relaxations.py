"""Settings of relaxations: through what codes are trained. Each class is one relaxation, chosen by ``name``."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from hashgnn._components import GUIDANCE_SCHEDULES, RELAXATIONS
from hashgnn._registry import Component, Registry
from hashgnn.config.section import Count, PartialShare, Positive, Section, Share
from hashgnn.errors import ParameterError


class GuidanceScheduleConfig(Section):
    """How the share of relaxed entries moves over training."""

    registry: ClassVar[Registry[Component] | None] = GUIDANCE_SCHEDULES
    name: str


class _MovingGuidance(GuidanceScheduleConfig):
    """A share that moves from one point of training to another."""

    @model_validator(mode="after")
    def _check_that_it_moves(self) -> Self:
        after, until = getattr(self, "after", 0.0), getattr(self, "until", 1.0)
        if after >= until:
            raise ParameterError(f"after must be smaller than until={until:g}, got {after:g}")
        return self


class ConstantGuidance(GuidanceScheduleConfig):
    """The same share throughout."""

    name: Literal["constant"] = "constant"
    share: Share = Field(default=1.0, description="Share of relaxed entries.")


class LinearGuidance(_MovingGuidance):
    """The start for a while, then a straight line to the end."""

    name: Literal["linear"] = "linear"
    start: Share = Field(default=1.0, description="Share of relaxed entries at the first step.")
    end: Share = Field(default=0.0, description="Share of relaxed entries at the end.")
    until: Positive = Field(
        default=0.7, le=1, description="Share of training after which it has reached end."
    )
    after: PartialShare = Field(
        default=0.0, description="Share of training at which it begins to move; smaller than until."
    )


class StepGuidance(_MovingGuidance):
    """The straight line as equal stairs."""

    name: Literal["step"] = "step"
    start: Share = Field(default=1.0, description="Share of relaxed entries on the first stair.")
    end: Share = Field(default=0.0, description="Share of relaxed entries on the last stair.")
    until: Positive = Field(
        default=1.0, le=1, description="Share of training after which it has reached end."
    )
    after: PartialShare = Field(
        default=0.0, description="Share of training at which it begins to move; smaller than until."
    )
    steps: Count = Field(default=5, description="Stairs.")


class EpochGuidance(GuidanceScheduleConfig):
    """A change every few epochs, as in the authors' code."""

    name: Literal["epoch"] = "epoch"
    start: Share = Field(default=1.0, description="Share of relaxed entries in the first epoch.")
    end: Share = Field(default=0.0, description="Share of relaxed entries at which it stops.")
    change: Share = Field(default=0.02, description="How far it moves at a time.")
    every: Count = Field(default=2, description="Epochs from one change to the next.")


class RelaxationConfig(Section):
    """The base of the settings of relaxations."""

    registry: ClassVar[Registry[Component] | None] = RELAXATIONS
    name: str


class Guided(RelaxationConfig):
    """Straight-through estimator with guidance: some entries stay relaxed, fewer as training goes on."""

    name: Literal["guided"] = "guided"
    granularity: Literal["bit", "row"] = Field(
        default="bit", description="What is drawn: each bit, or each row."
    )
    schedule: SerializeAsAny[GuidanceScheduleConfig] = Field(
        default=LinearGuidance(), description="How the share of relaxed entries moves over training."
    )
    user_floor: Share | None = Field(
        default=None,
        description="Smallest share of users' entries that stay relaxed; none is 0.5. Item codes then also "
        "learn to work with float queries. Objective 'users' only.",
    )


class StraightThrough(RelaxationConfig):
    """Signs with the identity as gradient (Bengio et al., 2013)."""

    name: Literal["ste"] = "ste"


class LearnedThreshold(RelaxationConfig):
    """Signs against a threshold that is learned for each bit (Liu et al., ECCV 2020)."""

    name: Literal["learned_threshold"] = "learned_threshold"


class Clipped(RelaxationConfig):
    """Signs with the gradient of the hard tanh."""

    name: Literal["clipped"] = "clipped"
    width: Positive = Field(default=1.0, description="How far from 0 the gradient reaches.")


class Gaussian(RelaxationConfig):
    """Signs with the gradient of the error function (Chen et al., KDD 2022)."""

    name: Literal["gaussian"] = "gaussian"
    width: Positive = Field(default=1.0, description="How far from 0 the gradient reaches.")


class Fourier(RelaxationConfig):
    """Signs with the gradient of a square wave's Fourier series (Xu et al., NeurIPS 2021)."""

    name: Literal["fourier"] = "fourier"
    width: Positive = Field(default=1.0, description="How far from 0 the gradient reaches.")
    terms: Count = Field(default=4, description="Terms of the series.")


class HashNet(RelaxationConfig):
    """A tanh of growing steepness (Cao et al., ICCV 2017)."""

    name: Literal["hashnet"] = "hashnet"
    start: Positive = Field(default=1.0, description="Steepness at the first step.")
    end: Positive = Field(default=10.0, description="Steepness at the last step.")


class Gumbel(RelaxationConfig):
    """Gumbel-softmax bits (Jang et al., ICLR 2017)."""

    name: Literal["gumbel"] = "gumbel"
    start: Positive = Field(default=1.0, description="Temperature at the first step.")
    end: Positive = Field(default=0.2, description="Temperature at the last step.")
    hard: bool = Field(default=False, description="The draws become signs.")


class Stochastic(RelaxationConfig):
    """Bits drawn from the relaxed code (Hubara et al., NIPS 2016)."""

    name: Literal["stochastic"] = "stochastic"


class NoRelaxation(RelaxationConfig):
    """No codes in training: float vectors as wide as a code, whose signs are taken afterwards."""

    name: Literal["none"] = "none"
