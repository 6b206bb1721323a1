"""Searches of libraries of 2025 and 2026 that quantise after training, each set up as its own pages recommend."""

from hashgnn.benchmarking.search.rivals.faiss_rabitq import FAISS_RABITQ_PEERS
from hashgnn.benchmarking.search.rivals.rabitqlib import RABITQLIB_PEERS
from hashgnn.benchmarking.search.rivals.scann import SCANN_PEERS
from hashgnn.benchmarking.search.rivals.svs import SVS_PEERS
from hashgnn.benchmarking.search.rivals.turbovec import TURBOVEC_PEERS
from hashgnn.benchmarking.search.rivals.zvec import ZVEC_PEERS

__all__ = ["RIVALS"]

#: Every peer that rounds floats to few bits after training.
RIVALS = (
    *RABITQLIB_PEERS,
    *SVS_PEERS,
    *SCANN_PEERS,
    *TURBOVEC_PEERS,
    *FAISS_RABITQ_PEERS,
    *ZVEC_PEERS,
)
