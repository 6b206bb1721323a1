"""Neural collaborative filtering: NeuMF, a product of factors next to a tower over both embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_float, check_int
from hashgnn._types import Array
from hashgnn.baselines.edges import EdgeObjective, Edges
from hashgnn.baselines.fitting import Parts, Schedule, fit_module
from hashgnn.baselines.pairs import PairBaseline, PairNetwork
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.runs import RunOptions

_N_HALVINGS = 3
_START = 0.01  # standard deviation of the embeddings


@dataclass(frozen=True)
class NCFSettings(Schedule):
    """Settings of ``ncf``. Those of the method are the authors'; the schedule is ours.

    Attributes
    ----------
    n_negatives : int
        Items sampled for each edge, uniform over what the user has not seen.
    regularisation : float
        Weight of the mean squared norm of a batch's embeddings; the authors' is 0.
    """

    epochs: int = 20
    batch_size: int = 2048
    learning_rate: float = 0.005
    validate_every: int = 2
    n_negatives: int = 4
    regularisation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("n_negatives", self.n_negatives, minimum=1)
        check_float("regularisation", self.regularisation, minimum=0)


def tower_widths(dim: int) -> list[int]:
    """Return the widths of the tower: its input, then half as wide three times.

    Examples
    --------
    >>> tower_widths(64)
    [64, 32, 16, 8]
    """
    return [max(1, dim // 2**halving) for halving in range(_N_HALVINGS + 1)]


class NeuMF(nn.Module):
    """``σ(w · [p_u ∘ q_i, tower([a_u, c_i])])``: generalised matrix factorisation and a multi-layer perceptron.

    Parameters
    ----------
    n_users, n_items : int
    dim : int
        Width of the tower's input, a user's and an item's embedding together.
    rng : torch.Generator
    """

    def __init__(self, n_users: int, n_items: int, dim: int, rng: torch.Generator) -> None:
        super().__init__()
        widths = tower_widths(dim)
        n_factors, half = widths[-1], max(1, dim // 2)
        self.n_users = n_users
        self.factors = nn.Parameter(_START * torch.randn(n_users + n_items, n_factors, generator=rng))
        self.embeddings = nn.Parameter(_START * torch.randn(n_users + n_items, half, generator=rng))
        inputs = [2 * half, *widths[1:-1]]
        self.weights = nn.ParameterList(
            _uniform(n, m, math.sqrt(6 / (n + m)), rng) for n, m in zip(inputs, widths[1:], strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(width) for width in widths[1:])
        self.output = _uniform(2 * n_factors, 1, math.sqrt(3 / (2 * n_factors)), rng)
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of pairs of nodes, (n,), before the sigmoid."""
        product = functional.embedding(users, self.factors) * functional.embedding(items, self.factors)
        hidden = torch.cat([functional.embedding(nodes, self.embeddings) for nodes in (users, items)], dim=1)
        for weights, bias in zip(self.weights, self.biases, strict=True):
            hidden = torch.relu(torch.addmm(bias, hidden, weights))
        return (torch.cat([product, hidden], dim=1) @ self.output).squeeze(1) + self.offset

    @torch.no_grad()
    def network(self) -> PairNetwork:
        """Return the scores in NumPy. The first layer is a sum over both sides, so it is made once for each node.

        The offset, the same for all pairs, is left out.
        """
        n_factors, half = self.factors.shape[1], self.embeddings.shape[1]
        first, *others = self.weights
        first_bias, *biases = self.biases
        sides = self.embeddings[: self.n_users] @ first[:half], self.embeddings[self.n_users :] @ first[half:]
        return PairNetwork(
            _array(self.factors[: self.n_users] * self.output[:n_factors, 0]),
            _array(self.factors[self.n_users :]),
            _array(sides[0] + first_bias),
            _array(sides[1]),
            [(_array(weights), _array(bias)) for weights, bias in zip(others, biases, strict=True)],
            _array(self.output[n_factors:, 0]),
        )


class NCFObjective(EdgeObjective[NeuMF]):
    """Log loss of observed and sampled pairs (equation 7)."""

    def __init__(self, graph: BipartiteGraph, view: GraphView, settings: NCFSettings) -> None:
        super().__init__(graph, view, batch_size=settings.batch_size, n_negatives=settings.n_negatives)
        self._settings = settings

    def edge_loss(self, model: NeuMF, edges: Edges, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch."""
        users, items, sampled = edges
        every_user = torch.cat([users, users.repeat_interleave(len(sampled) // len(users))])
        every_item = torch.cat([items, sampled])
        targets = torch.zeros(len(every_user), device=users.device)
        targets[: len(users)] = 1
        loss = functional.binary_cross_entropy_with_logits(model(every_user, every_item), targets)
        if self._settings.regularisation:
            rows = [functional.embedding(nodes, model.embeddings) for nodes in (every_user, every_item)]
            rows += [functional.embedding(nodes, model.factors) for nodes in (every_user, every_item)]
            squares = torch.stack([row.square().sum() for row in rows]).sum() / len(every_user)
            loss = loss + self._settings.regularisation * squares
        return loss


def fit(
    interactions: Interactions,
    *,
    dim: int,
    valid: Interactions | None,
    options: RunOptions,
    settings: Mapping[str, Any],
) -> PairBaseline:
    """Train NeuMF without pre-training.

    Parameters
    ----------
    interactions : Interactions
    dim : int
        Width of the tower's input. 64 is the authors' model of 8 factors: 64, 32, 16 and 8 units, and 8 factors next to it.
    valid : Interactions or None
        Held-out interactions over the same ids; ``None`` holds out a tenth of ``interactions``.
    options : RunOptions
    settings : mapping
        Fields of :class:`NCFSettings` in place of their defaults.

    References
    ----------
    He et al., *Neural collaborative filtering*, WWW 2017, and the authors' code,
    hexiangnan/neural_collaborative_filtering.
    """
    own = NCFSettings.from_settings(settings)
    parts: Parts[NeuMF, PairBaseline] = Parts(
        "ncf",
        {"method": "ncf", "dim": dim, **asdict(own)},
        dim,
        schedule=own,
        build=lambda graph, start: NeuMF(graph.n_users, graph.n_items, dim, start),
        objective=lambda graph, view: NCFObjective(graph, view, own),
        scorer=lambda model, view: model.network(),
        finish=lambda model, view: PairBaseline(interactions, model.network()),
    )
    return fit_module(parts, interactions, valid=valid, options=options)


def _uniform(n: int, m: int, bound: float, rng: torch.Generator) -> nn.Parameter:
    return nn.Parameter(bound * (2 * torch.rand(n, m, generator=rng) - 1))


def _array(values: torch.Tensor) -> Array:
    found: Array = values.detach().cpu().contiguous().numpy().copy()
    return found
