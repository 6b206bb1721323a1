"""Callbacks that write a training run to an experiment tracker: ``TensorBoard`` and ``MLflow``."""

from hashgnn.tracking.mlflow import MLflow
from hashgnn.tracking.tensorboard import TensorBoard
from hashgnn.tracking.tracker import Tracker

__all__ = ["MLflow", "TensorBoard", "Tracker"]
