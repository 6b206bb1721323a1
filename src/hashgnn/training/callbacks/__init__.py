"""The callbacks of the library: progress, log, checkpoint, early stopping."""

from hashgnn.training.callbacks.checkpoint import Checkpoint, fingerprint
from hashgnn.training.callbacks.early_stopping import EarlyStopping
from hashgnn.training.callbacks.progress_report import ProgressReport
from hashgnn.training.callbacks.run_log import RunLog

__all__ = ["Checkpoint", "EarlyStopping", "ProgressReport", "RunLog", "fingerprint"]
