"""The contents of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hashgnn._printing import ShortRepr
from hashgnn.codes import CodeHealth
from hashgnn.errors import MissingExtraError
from hashgnn.evaluation._html import tag
from hashgnn.evaluation._notebook import notebook
from hashgnn.evaluation.distances import DistanceSample
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.segments import SegmentRow
from hashgnn.evaluation.significance import Comparison


@dataclass(frozen=True)
class Recommended:
    """A recommended title, and whether it is among the user's held-out items.

    Attributes
    ----------
    title : str
    held_out : bool, default=False
    item_id : id or None, default=None
        The page shows the title alone.
    """

    title: str
    held_out: bool = False
    item_id: Any = None


@dataclass(frozen=True)
class Example:
    """A user: items of the training data, and recommended items.

    Attributes
    ----------
    user : str
    liked : sequence of str
    recommended : sequence of Recommended
        Best first.
    held_out : sequence of str, default=()
        What the user chose, hidden from training; with the rank of what was found.
    user_id : id or None, default=None
        The page shows ``user``.
    """

    user: str
    liked: Sequence[str]
    recommended: Sequence[Recommended]
    held_out: Sequence[str] = ()
    user_id: Any = None


@dataclass(frozen=True, eq=False, repr=False)
class ReportContent(ShortRepr):
    """The contents of a report. Empty parts are left out of the page.

    Attributes
    ----------
    title : str
    data_set : str
        Its name.
    evaluation : EvaluationResult
    verdict : str, default=""
        One sentence, which stands at the top.
    baselines : mapping of str to EvaluationResult
        Of the same users and metrics, by name; each has one search way.
    comparisons : sequence of Comparison
        Search ways against baselines.
    accuracy : sequence of str
        Metrics of the first table; the others are shown as beyond accuracy. Empty: all are in the first.
    segments : sequence of SegmentRow
    advice : sequence of str
        What to do about the health of the codes.
    generated : bool, default=False
        Whether the data were made up; the page then says so in its title, and wherever it shows results.
    data : mapping of str to object
        Facts about the data by name: source, counts.
    configuration : mapping of str to object
        Settings of the model.
    history : sequence of mapping of str to float
        An entry an epoch: ``epoch``, ``loss``, and a validation metric such as ``recall@20`` where it was
        measured.
    health : mapping of str to CodeHealth
        By side: ``items``, ``users``.
    distances : DistanceSample or None
    examples : sequence of Example
    commands : sequence of str
        The command that reproduces the run.
    versions : mapping of str to str
        Of the library and of its dependencies.
    """

    title: str
    data_set: str
    evaluation: EvaluationResult
    verdict: str = ""
    baselines: Mapping[str, EvaluationResult] = field(default_factory=dict)
    comparisons: Sequence[Comparison] = ()
    accuracy: Sequence[str] = ()
    segments: Sequence[SegmentRow] = ()
    advice: Sequence[str] = ()
    generated: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    health: Mapping[str, CodeHealth] = field(default_factory=dict)
    distances: DistanceSample | None = None
    examples: Sequence[Example] = ()
    commands: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Show the report in a frame of a notebook, without plots where matplotlib is missing."""
        from hashgnn.evaluation.report._page import render

        try:
            page = render(self, plots=True)
        except MissingExtraError:
            page = render(self, plots=False)
        return notebook(tag("iframe", srcdoc=page, title=f"Report: {self.title}", sandbox=""))
