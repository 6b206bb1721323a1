"""Evaluation: full ranking of held-out items, with ties, intervals, times and tests taken seriously."""

from hashgnn.evaluation.evaluation_report import EvaluationReport
from hashgnn.evaluation.full_ranking import evaluate
from hashgnn.evaluation.metric_names import Metric, parse_metric
from hashgnn.evaluation.recommender_contract import Evaluable

__all__ = ["Evaluable", "EvaluationReport", "Metric", "evaluate", "parse_metric"]
