"""Relaxations: soft stand-ins for the sign, through which codes are trained."""

from __future__ import annotations

from typing import Any

from hashgnn._checks import check_choice
from hashgnn.nn.relaxations.base import Relaxation
from hashgnn.nn.relaxations.guidance_schedule import GUIDANCE_KINDS, GuidanceSchedule
from hashgnn.nn.relaxations.guided import Guided, guided
from hashgnn.nn.relaxations.gumbel import GumbelBits
from hashgnn.nn.relaxations.hashnet import TanhContinuation
from hashgnn.nn.relaxations.ste import LearnedThreshold, StraightThrough, sign_ste
from hashgnn.nn.relaxations.stochastic import StochasticBits
from hashgnn.nn.relaxations.surrogates import ClippedSign, FourierSign, GaussianSign

RELAXATIONS: dict[str, type[Relaxation]] = {
    "clipped": ClippedSign,
    "fourier": FourierSign,
    "gaussian": GaussianSign,
    "guided": Guided,
    "gumbel": GumbelBits,
    "hashnet": TanhContinuation,
    "learned_threshold": LearnedThreshold,
    "ste": StraightThrough,
    "stochastic": StochasticBits,
}


def build_relaxation(config: Any) -> Relaxation:
    """Return the relaxation that ``config.relaxation`` names, with the options the config has for it."""
    return RELAXATIONS[check_choice("relaxation", config.relaxation, RELAXATIONS)].from_config(config)


__all__ = [
    "GUIDANCE_KINDS",
    "RELAXATIONS",
    "GuidanceSchedule",
    "Relaxation",
    "build_relaxation",
    "guided",
    "sign_ste",
]
