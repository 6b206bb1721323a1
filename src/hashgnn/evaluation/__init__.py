"""Evaluation: full ranking of held-out items, with ties, intervals, times and tests taken seriously."""

from hashgnn.evaluation.bootstrap import bootstrap_intervals
from hashgnn.evaluation.distances import DistanceSample, sample_distances
from hashgnn.evaluation.evaluation_report import EvaluationReport
from hashgnn.evaluation.frontier import FrontierRow, frontier, frontier_rows, frontier_table
from hashgnn.evaluation.full_ranking import evaluate
from hashgnn.evaluation.metric_names import Metric, parse_metric
from hashgnn.evaluation.recommender_contract import Evaluable
from hashgnn.evaluation.significance import Comparison, PairedTest, compare, holm, paired_test

__all__ = [
    "Comparison",
    "DistanceSample",
    "Evaluable",
    "EvaluationReport",
    "FrontierRow",
    "Metric",
    "PairedTest",
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
