"""The report of a run: one HTML file that needs nothing else."""

from hashgnn.evaluation.report.content import Example, Recommended, ReportContent
from hashgnn.evaluation.report.writing import write_report

__all__ = ["Example", "Recommended", "ReportContent", "write_report"]
