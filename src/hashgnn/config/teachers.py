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


class ListTeacherConfig(TeacherConfig):
    """A closed-form model. ``users`` takes its list into the softmax's target; ``edges`` draws from it."""

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


LongHistory = Field(
    default=1000,
    ge=2,
    description="Longest history that the ridge counts whole; of a longer one it takes a sample.",
)
Rank = Field(default=512, description="Singular vectors of a filter's low pass, at most.")


class AutoTeacher(ListTeacherConfig):
    """The graph filter or item ridge that ranks held-out interactions best."""

    name: Literal["auto"] = "auto"
    rank: Count = Rank
    n_neighbours: Count | None = Field(
        default=None,
        description="Neighbours of an item in the ridge, at most; none is 200, or 100 of more than 100,000 items.",
    )
    max_history: int = LongHistory
    filter_budget: Weight = Field(
        default=500.0,
        description="Sparse products that the filters may take, in billions; where they would take more, the ridge "
        "is the teacher.",
    )


class FixedTeacherConfig(ListTeacherConfig):
    """A filter with the settings that are given."""

    rank: Count = Rank
    alpha: Weight = Field(default=0.3, description="Weight of the low pass.")


class ChebyshevTeacher(FixedTeacherConfig):
    """ChebyCF: a Chebyshev polynomial of the graph."""

    name: Literal["chebyshev"] = "chebyshev"


class SpectralTeacher(FixedTeacherConfig):
    """GF-CF: a linear filter and an ideal low pass."""

    name: Literal["spectral"] = "spectral"


class RidgeTeacher(ListTeacherConfig):
    """Ridge regression of each item on its strongest neighbours (in the manner of EASE)."""

    name: Literal["ridge"] = "ridge"
    n_neighbours: Count = Field(default=200, description="Neighbours of an item, at most.")
    regularisation: Positive | None = Field(
        default=None,
        description="Mean penalty of a weight, in users; none is six times the mean number of users of an item.",
    )
    user_exponent: Share = Field(default=0.5, description="How much less users of long histories count.")
    item_exponent: Share = Field(
        default=0.5, description="How much more the weights of popular neighbours are penalised."
    )
    max_history: int = LongHistory
