"""Methods compared: data sets × methods × widths × search ways × seeds, in one folder."""

from hashgnn.benchmarking.quality.cells import Cell, Result
from hashgnn.benchmarking.quality.data_sets import DataSet, load_data_set
from hashgnn.benchmarking.quality.differences import Difference, differences
from hashgnn.benchmarking.quality.methods import METHODS, Method, parse_method
from hashgnn.benchmarking.quality.run import Plan, compare_quality
from hashgnn.benchmarking.quality.suites import SUITES, Suite
from hashgnn.benchmarking.quality.summary import QualitySummary, summarise_quality, write_summary
from hashgnn.benchmarking.quality.table import Row, table_rows

__all__ = [
    "METHODS",
    "SUITES",
    "Cell",
    "DataSet",
    "Difference",
    "Method",
    "Plan",
    "QualitySummary",
    "Result",
    "Row",
    "Suite",
    "compare_quality",
    "differences",
    "load_data_set",
    "parse_method",
    "summarise_quality",
    "table_rows",
    "write_summary",
]
