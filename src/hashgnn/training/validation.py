"""Validation by the standard protocol: the trained codes, ranked over all items, training items masked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.data import Interactions
from hashgnn.evaluation import evaluate
from hashgnn.nn import GraphView
from hashgnn.training.model import HashModel

RELAXED = "relaxed "  # begins the name of a metric of relaxed codes
_MAX_USERS = 5000  # enough for a standard error of about .003 in recall, in a second or two an epoch


class Validator:
    """Measure ``config.validation_metric`` of a model's codes on held-out interactions.

    The search way is the one that the model is made for: with its item bias where it has one, plain
    Hamming otherwise. The same is measured of the relaxed codes, before the sign: what the two differ by is
    what the relaxation has still to close. Of more than 5000 users with held-out items every n-th is taken.
    """

    def __init__(
        self, train: Interactions, valid: Interactions, view: GraphView, config: ModelConfig
    ) -> None:
        users = np.unique(valid.user_index)
        chosen = users[:: max(1, -(-len(users) // _MAX_USERS))]
        self._train = train
        self._valid = valid.subset(np.isin(valid.user_index, chosen))
        self._view, self._metric = view, config.validation_metric

    def __call__(self, model: HashModel) -> dict[str, float]:
        """Return the metric of the codes by its name, and that of the relaxed ones as ``relaxed NAME``."""
        users, items = model.encode_all(self._view)
        bits = model.bias_in_bits()
        snapshot = _Snapshot(
            model.hash_layer(users, "user").detach(),
            model.hash_layer(items, "item").detach(),
            # The saved bias has steps of two bits; what is validated is what will be used.
            None if bits is None else torch.from_numpy(2 * np.rint(bits / 2)).to(users.device),
        )
        report = evaluate(
            snapshot,
            self._train,
            self._valid,
            metrics=[self._metric],
            search=_Snapshot.search_ways,
            n_bootstrap=0,
            n_timed=0,
            progress=False,
        )
        codes, relaxed = (report.metrics[way][self._metric] for way in _Snapshot.search_ways)
        return {self._metric: codes, RELAXED + self._metric: relaxed}


@dataclass(frozen=True)
class _Snapshot:
    """The relaxed codes of a model in training, as evaluation wants to see them: signed, and as they are."""

    users: torch.Tensor
    items: torch.Tensor
    bias: torch.Tensor | None

    search_ways = ("codes", "relaxed")

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        users, items = self.users[torch.from_numpy(user_index).to(self.users.device)], self.items
        if search == "codes":
            users, items = _signs(users), _signs(items)
        scores = users @ items.T
        if self.bias is not None:
            scores += self.bias
        result: Array = scores.cpu().numpy()
        return result

    def bytes_per_item(self, search: str) -> float:
        return self.items.shape[1] / 8 if search == "codes" else 4.0 * self.items.shape[1]


def _signs(z: torch.Tensor) -> torch.Tensor:
    return torch.where(z >= 0, 1.0, -1.0)
