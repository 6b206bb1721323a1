"""A model assessed: its search ways and baselines on the same users, beyond accuracy, by segment, in a report."""

from hashgnn.benchmarking.assessment.assess import assess
from hashgnn.benchmarking.assessment.assessment import Assessment
from hashgnn.benchmarking.assessment.content import report_content
from hashgnn.benchmarking.assessment.examples import examples
from hashgnn.benchmarking.assessment.health import health_advice
from hashgnn.benchmarking.assessment.verdict import verdict
from hashgnn.data.side_table import SideTable

__all__ = ["Assessment", "SideTable", "assess", "examples", "health_advice", "report_content", "verdict"]
