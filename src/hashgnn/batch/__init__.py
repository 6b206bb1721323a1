"""Work in numbered parts, on processes of this machine, Ray or Spark: a folder of parquet that is whole or goes on."""

from hashgnn.batch.folder import BatchResult, read_manifest
from hashgnn.batch.job import Answered, PartJob
from hashgnn.batch.run import ENGINES, EngineOptions, run_batch
from hashgnn.batch.writing import PartWriter

__all__ = [
    "ENGINES",
    "Answered",
    "BatchResult",
    "EngineOptions",
    "PartJob",
    "PartWriter",
    "read_manifest",
    "run_batch",
]
