"""Evaluation: full ranking of held-out items, with ties, intervals, times and tests taken seriously."""

from hashgnn.evaluation.beyond_accuracy import Calibration, IntraListDiversity, head_items
from hashgnn.evaluation.bootstrap import bootstrap_intervals
from hashgnn.evaluation.distances import DistanceSample, sample_distances
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.frontier import FrontierRow, frontier, frontier_rows, frontier_table
from hashgnn.evaluation.measurement import evaluate
from hashgnn.evaluation.metrics import (
    METRICS,
    CatalogueMetric,
    ItemMetric,
    Metric,
    UserMetric,
    parse_metric,
)
from hashgnn.evaluation.protocols import Retriever, Scorer
from hashgnn.evaluation.relevance import Judged, Popularity, Ties
from hashgnn.evaluation.segments import (
    SegmentRow,
    Segments,
    column_segments,
    history_segments,
    popularity_segments,
    segment_rows,
)
from hashgnn.evaluation.significance import Comparison, PairedTest, compare, holm, paired_test

__all__ = [
    "METRICS",
    "Calibration",
    "CatalogueMetric",
    "Comparison",
    "DistanceSample",
    "EvaluationResult",
    "FrontierRow",
    "IntraListDiversity",
    "ItemMetric",
    "Judged",
    "Metric",
    "PairedTest",
    "Popularity",
    "Retriever",
    "Scorer",
    "SegmentRow",
    "Segments",
    "Ties",
    "UserMetric",
    "bootstrap_intervals",
    "column_segments",
    "compare",
    "evaluate",
    "frontier",
    "frontier_rows",
    "frontier_table",
    "head_items",
    "history_segments",
    "holm",
    "paired_test",
    "parse_metric",
    "popularity_segments",
    "sample_distances",
    "segment_rows",
]
