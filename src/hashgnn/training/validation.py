"""Validation by the standard protocol: scores of a model in training, ranked over all items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hashgnn._types import Array
from hashgnn.data import Interactions
from hashgnn.evaluation.held_out import held_out
from hashgnn.evaluation.measurement import measure
from hashgnn.evaluation.metric_kinds import UserMetric
from hashgnn.evaluation.metrics import parse_metrics, warn_beyond
from hashgnn.evaluation.protocols import Scorer
from hashgnn.nn import Encoder, GraphView
from hashgnn.training.hash_model import HashModel
from hashgnn.training.workers.group import ALONE, Group

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class VectorScorer:
    """Scores of every item for some users, as inner products of vectors; a ``Scorer`` of evaluation.

    Attributes
    ----------
    users, items : Tensor of shape (n_users, d) and (n_items, d)
    ways : mapping of str to callable
        Search ways: the transformation of the vectors before the product.
    bias : Tensor of shape (n_items,) or None
        Added to the scores.
    """

    users: torch.Tensor
    items: torch.Tensor
    ways: Mapping[str, Callable[[torch.Tensor], torch.Tensor]]
    bias: torch.Tensor | None = None

    @property
    def search_ways(self) -> tuple[str, ...]:
        """The names of the ways."""
        return tuple(self.ways)

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return scores (n, n_items), higher is better."""
        change = self.ways[search]
        users = change(self.users[torch.from_numpy(user_index).to(self.users.device)])
        scores = users @ change(self.items).T
        if self.bias is not None:
            scores += self.bias
        result: Array = scores.cpu().numpy()
        return result

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of an item's vector."""
        return float(self.items.element_size() * self.items.shape[1])


class Validator(Generic[Module]):
    """Measure a metric of a model on held-out interactions, training items masked.

    Parameters
    ----------
    train, valid : Interactions
        Over the same ids; ``valid`` is not empty.
    metric : str
        Such as ``"recall@20"``.
    scorer_of : callable
        Returns the scorer of a model.
    max_users : int
        Of more users with held-out items, every n-th is taken.
    group : Group, default=ALONE
        Processes that share the users, where the metric is a mean over users; all get the same values.

    Raises
    ------
    ParameterError
        If the metric is unknown, or its cut is beyond both the catalogue and 1,000.
    DataError
        If no user has a held-out item that is not in ``train``.

    Warns
    -----
    ResultWarning
        If the metric is cut beyond the catalogue.
    DataWarning
        If held-out interactions are also in ``train``.
    """

    def __init__(
        self,
        train: Interactions,
        valid: Interactions,
        metric: str,
        scorer_of: Callable[[Module], Scorer],
        *,
        max_users: int,
        group: Group = ALONE,
    ) -> None:
        users = np.unique(valid.user_index)
        chosen = users[:: max(1, -(-len(users) // max_users))]
        self._given = held_out(train, valid.subset(np.isin(valid.user_index, chosen)))
        self._metrics = parse_metrics([metric], n_items=self._given.n_items)
        if group.is_first:
            warn_beyond(self._metrics, self._given.n_items)
        self._scorer_of = scorer_of
        self._group = ALONE
        n_users = len(self._given.users)
        if isinstance(self._metrics[0], UserMetric) and n_users >= group.size:
            self._group, part = group, group.part(n_users)
            self._share = (part.stop - part.start) / n_users
            self._given = replace(
                self._given,
                users=self._given.users[part],
                seen=self._given.seen[part],
                relevant=self._given.relevant[part],
            )

    def __call__(self, model: Module) -> dict[str, float]:
        """Return the metric of the first search way by its name, and of each other way as ``WAY NAME``."""
        scorer = self._scorer_of(model)
        report = measure(scorer, self._given, self._metrics, n_bootstrap=0, n_timed=0, progress=False)
        first, *others = scorer.search_ways
        name = str(self._metrics[0])
        found = {name: report.metrics[first][name]}
        found |= {f"{way} {name}": report.metrics[way][name] for way in others}
        if self._group.size == 1:
            return found
        return {key: self._group.sum(value * self._share) for key, value in found.items()}


def code_scorer(model: HashModel, view: GraphView) -> VectorScorer:
    """Return the scorer of a model's codes, and of its relaxed codes as the way ``relaxed``.

    The item bias is added where the model has one, as search does by default. What the two ways differ by is
    what the relaxation still has to close. The codes come first, which validation goes by, unless the
    relaxation never makes any.
    """
    users, items = model.encode_all(view)
    bits = model.bias_in_bits()
    ways = {"codes": _signs, "relaxed": _unchanged}
    if model.relaxation.is_continuous:
        ways = dict(reversed(ways.items()))
    return VectorScorer(
        model.hash_layer(users, "user").detach(),
        model.hash_layer(items, "item").detach(),
        ways,
        # The saved bias has steps of two bits; what is validated is what will be used.
        None if bits is None else torch.from_numpy(2 * np.rint(bits / 2)).to(users.device),
    )


def embedding_scorer(encoder: Encoder, view: GraphView, *, cosine: bool) -> VectorScorer:
    """Return the scorer of an encoder's embeddings: inner products, or cosines."""
    x = encoder.encode_all(view).float()
    x = functional.normalize(x, dim=1) if cosine else x
    return VectorScorer(x[: view.n_users], x[view.n_users :], {"float": _unchanged})


def _signs(z: torch.Tensor) -> torch.Tensor:
    return torch.where(z >= 0, 1.0, -1.0)


def _unchanged(x: torch.Tensor) -> torch.Tensor:
    return x
