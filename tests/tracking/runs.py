"""Short runs that trackers follow, and what they wrote, by the readers of TensorBoard and MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.training.quick import quick, run_options

from hashgnn.data import Interactions
from hashgnn.runs import Callback
from hashgnn.state import ModelState
from hashgnn.tracking import MLflow
from hashgnn.training import train

METRIC = "recall@20"
HEALTH = {
    "n_codes", "n_bits", "dead_bits", "mean_balance", "worst_balance", "mean_entropy", "mean_absolute_correlation",
    "largest_absolute_correlation", "n_distinct", "collision_share",
}  # fmt: skip


def few() -> Interactions:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((30, 24)) < 0.3)
    return Interactions.from_arrays(users, items)


def fit(*callbacks: Callback, epochs: int = 3, **options: Any) -> ModelState:
    """Train for some epochs, each validated, with the same seed every time."""
    settings = {"optimizer.epochs": epochs, "validation.share": 0.2}
    return train(few(), quick("paper", **settings), options=run_options(1, callbacks=callbacks, **options))


def tensorboard_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(one.step, one.value) for one in tensorboard_of(folder).Scalars(tag)]


def text(folder: Path, tag: str) -> str:
    tensors = tensorboard_of(folder).Tensors(f"{tag}/text_summary")
    return str(tensors[-1].tensor_proto.string_val[0].decode())


@dataclass(frozen=True)
class Store:
    """An experiment of an MLflow store."""

    uri: str
    experiment: str

    def tracker(self, **options: Any) -> MLflow:
        return MLflow(self.uri, self.experiment, **options)

    def runs(self) -> tuple[Any, list[Any]]:
        """Return a client, and the runs of the experiment in the order of their beginnings."""
        import mlflow

        client = mlflow.MlflowClient(self.uri)
        found = client.get_experiment_by_name(self.experiment)
        assert found is not None
        order = ["attributes.start_time ASC"]
        return client, list(client.search_runs([found.experiment_id], order_by=order))
