"""Training: one loop from interactions and a config to a fitted model state. Needs torch."""

from hashgnn._extras import require

require("torch", extra="train", purpose="training")

from hashgnn.runs import Callback, Run, RunOptions  # noqa: E402 - torch must be known to be there first
from hashgnn.training.train import train  # noqa: E402
from hashgnn.training.update import update  # noqa: E402

__all__ = ["Callback", "Run", "RunOptions", "train", "update"]
