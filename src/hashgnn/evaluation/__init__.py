"""Evaluation: full ranking of held-out items, with ties, intervals, times and tests taken seriously."""

from hashgnn.evaluation.bootstrap import bootstrap_intervals
from hashgnn.evaluation.distances import DistanceSample, sample_distances
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.frontier import FrontierRow, frontier, frontier_rows, frontier_table
from hashgnn.evaluation.measurement import evaluate
from hashgnn.evaluation.metrics import METRICS, CatalogueMetric, Metric, UserMetric, parse_metric
from hashgnn.evaluation.protocols import Retriever, Scorer
from hashgnn.evaluation.relevance import Judged, Ties
from hashgnn.evaluation.significance import Comparison, PairedTest, compare, holm, paired_test

__all__ = [
    "METRICS",
    "CatalogueMetric",
    "Comparison",
    "DistanceSample",
    "EvaluationResult",
    "FrontierRow",
    "Judged",
    "Metric",
    "PairedTest",
    "Retriever",
    "Scorer",
    "Ties",
    "UserMetric",
    "bootstrap_intervals",
    "compare",
    "evaluate",
    "frontier",
    "frontier_rows",
    "frontier_table",
    "holm",
    "paired_test",
    "parse_metric",
    "sample_distances",
]
