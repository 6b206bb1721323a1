"""Relaxations: differentiable approximations of the sign, through which codes are trained."""

from __future__ import annotations

from typing import Any

from hashgnn._components import RELAXATIONS
from hashgnn._registry import imported
from hashgnn.nn.relaxations.base import Relaxation
from hashgnn.nn.relaxations.guidance_schedule import GuidanceSchedule
from hashgnn.nn.relaxations.guided import Guided, guided
from hashgnn.nn.relaxations.ste import sign_ste


def build_relaxation(name: str, **options: Any) -> Relaxation:
    """Build a relaxation by its registered name.

    Parameters
    ----------
    name : str
        A name of ``RELAXATIONS``.
    **options
        Its own, as :meth:`Relaxation.from_options` takes them.

    Raises
    ------
    ParameterError
        If the name is unknown, or a value breaks its rule.

    Examples
    --------
    >>> build_relaxation("hashnet", end=4.0)
    TanhContinuation(start=1.0, end=4.0)
    """
    relaxation: Relaxation = imported(RELAXATIONS[name].implementation).from_options(**options)
    return relaxation


__all__ = [
    "RELAXATIONS",
    "GuidanceSchedule",
    "Guided",
    "Relaxation",
    "build_relaxation",
    "guided",
    "sign_ste",
]
