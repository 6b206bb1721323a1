"""Settings of teachers: whose ranked lists are learned as well as the observed items."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hashgnn._components import TEACHERS
from hashgnn._registry import Component, Registry
from hashgnn.config.section import Count, Positive, Section, Share, Weight


class TeacherConfig(Section):
    """The base of the settings of teachers."""

    registry: ClassVar[Registry[Component] | None] = TEACHERS
    name: str


class NoTeacher(TeacherConfig):
    """Observed items alone."""

    name: Literal["none"] = "none"


class FilterTeacherConfig(TeacherConfig):
    """A closed-form graph filter. ``users`` takes its list into the softmax's target; ``edges`` draws from it."""

    weight: Share = Field(
        default=0.6,
        description="Share of the target, or of the edges, that is the teacher's; the rest is observed.",
    )
    count: Positive | None = Field(
        default=None,
        description="Count the list as so many observed items, so that its share falls with the length of a "
        "history; replaces weight. Objective 'users' only.",
    )
    k: Count = Field(default=50, description="Length of a list.")
    decay: Positive = Field(default=6.0, description="Rank r has weight proportional to exp(-r / decay).")
    rank: Count = Field(default=512, description="Singular vectors of the filter's low pass, at most.")


class AutoTeacher(FilterTeacherConfig):
    """The filter, of either kind, that ranks held-out interactions best."""

    name: Literal["auto"] = "auto"


class FixedTeacherConfig(FilterTeacherConfig):
    """A filter with the settings that are given."""

    alpha: Weight = Field(default=0.3, description="Weight of the low pass.")


class ChebyshevTeacher(FixedTeacherConfig):
    """ChebyCF: a Chebyshev polynomial of the graph."""

    name: Literal["chebyshev"] = "chebyshev"


class SpectralTeacher(FixedTeacherConfig):
    """GF-CF: a linear filter and an ideal low pass."""

    name: Literal["spectral"] = "spectral"
