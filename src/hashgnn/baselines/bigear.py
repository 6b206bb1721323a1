"""BiGeaR: a graph convolution first, then signs of each of its layers, which learn from its lists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_float, check_int
from hashgnn.baselines.coded import CodedBaseline, layer_widths
from hashgnn.baselines.edges import EdgeObjective, Edges, edge_scores
from hashgnn.baselines.fitting import Parts, Schedule, fit_module
from hashgnn.baselines.layer_codes import LayerCodes
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, sparse_product
from hashgnn.runs import RunOptions
from hashgnn.training.validation import VectorScorer

_SLOPES = (1e-8, 1.0)  # the smallest and the largest
_USERS_AT_A_TIME = 512


@dataclass(frozen=True)
class BiGeaRSettings(Schedule):
    """Settings of ``bigear``. Those of the method are the authors' for MovieLens-1M; the schedule is ours.

    Attributes
    ----------
    teacher_epochs : int
        At most so many epochs of the continuous model, by the same steps; the rest of the schedule is that of both.
    n_layers : int
        Products with the normalised adjacency. A code has one part for the tables and one for each; layer l weighs
        ``(l + 1) / (n_layers + 1)``.
    steepness : float
        γ of the Gaussian that stands for the derivative of the sign.
    n_listed : int
        R, length of the continuous model's list of a user at each layer.
    list_decay : float
        λ of the weight ``exp(-λ r)`` of rank r, from 1.
    list_users : int
        Users of a batch, drawn by their edges, whose lists count in a step; 0 takes those of all edges.
    regularisation : float
        Weight of half the squared norms of the tables' rows, for each edge of a batch.
    """

    epochs: int = 30
    batch_size: int = 16384
    learning_rate: float = 0.01
    teacher_epochs: int = 30
    n_layers: int = 2
    steepness: float = 1.0
    n_listed: int = 100
    list_decay: float = 0.1
    list_users: int = 512
    regularisation: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_layers", "list_users"):
            check_int(name, getattr(self, name), minimum=0)
        for name in ("teacher_epochs", "n_listed"):
            check_int(name, getattr(self, name), minimum=1)
        check_float("steepness", self.steepness, minimum=0, open_minimum=True)
        for name in ("list_decay", "regularisation"):
            check_float(name, getattr(self, name), minimum=0)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each layer, the tables first."""
        return tuple((layer + 1) / (self.n_layers + 1) for layer in range(self.n_layers + 1))


def gaussian_slope(x: torch.Tensor, *, steepness: float) -> torch.Tensor:
    """Return ``γ/√π exp(-(γ x)²)``, at least 1e-8 and at most 1: a Gaussian in place of Dirac's delta (section 3.4).

    Parameters
    ----------
    x : Tensor
    steepness : float
        γ.
    """
    bell = torch.exp(-((steepness * x) ** 2)) * (steepness / math.sqrt(math.pi))
    return bell.clamp_(*_SLOPES)


class BiGeaR(LayerCodes):
    """``B_l = λ_l α_l sign(Ã^l X)`` for each layer l, α the mean absolute value of a row.

    The continuous model has the same tables and layers, each weighed by ``λ_l``, without signs.

    Parameters
    ----------
    graph : BipartiteGraph
    n_bits : int
        Of a whole code.
    settings : BiGeaRSettings
    rng : torch.Generator
        Draws the tables.
    """

    def __init__(
        self, graph: BipartiteGraph, n_bits: int, settings: BiGeaRSettings, rng: torch.Generator
    ) -> None:
        widths = layer_widths(n_bits, settings.n_layers + 1)
        super().__init__(graph.n_users, settings.weights)
        self._widths, self._steepness = widths, settings.steepness
        self.users = nn.Parameter(0.1 * torch.randn(graph.n_users, widths[0], generator=rng))
        self.items = nn.Parameter(0.1 * torch.randn(graph.n_items, widths[0], generator=rng))

    def layers(self, view: GraphView, generator: torch.Generator | None = None) -> list[torch.Tensor]:
        """Return the layers, each (n_nodes, width of the layer)."""
        x = torch.cat([self.users, self.items])
        found = [x]
        for _ in self._widths[1:]:
            x = sparse_product(view.adjacency, view.adjacency, x)
            found.append(x)
        return [layer[:, :width] for layer, width in zip(found, self._widths, strict=True)]

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Gaussian."""
        return gaussian_slope(x, steepness=self._steepness)

    def continuous(self, view: GraphView) -> torch.Tensor:
        """Return the layers of the continuous model side by side, (n_nodes, n_bits)."""
        layers = zip(self.layers(view), self.weights, strict=True)
        return torch.cat([weight * layer for layer, weight in layers], dim=1)

    @torch.no_grad()
    def continuous_scorer(self, view: GraphView) -> VectorScorer:
        """Return the scorer of the continuous model."""
        x = self.continuous(view)
        return VectorScorer(x[: self.n_users], x[self.n_users :], {"float": lambda vectors: vectors})

    @torch.no_grad()
    def lists(self, view: GraphView, n_listed: int) -> torch.Tensor:
        """Return the best items of each user by each layer alone, (n_layers + 1, n_users, n_listed)."""
        found = []
        for layer in self.layers(view):
            users, items = layer[: self.n_users], layer[self.n_users :]
            blocks = torch.split(users, _USERS_AT_A_TIME)
            found.append(torch.cat([(block @ items.T).topk(n_listed, dim=1).indices for block in blocks]))
        return torch.stack(found)


class ContinuousObjective(EdgeObjective[BiGeaR]):
    """BPR of the continuous model."""

    def __init__(self, graph: BipartiteGraph, view: GraphView, settings: BiGeaRSettings) -> None:
        super().__init__(graph, view, batch_size=settings.batch_size)
        self._settings = settings

    def edge_loss(self, model: BiGeaR, edges: Edges, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch."""
        return self._ranked(model, model.continuous(self._view), edges)

    def _ranked(self, model: BiGeaR, table: torch.Tensor, edges: Edges) -> torch.Tensor:
        positive, negative = edge_scores(table, edges)
        tables = torch.cat([model.users, model.items])
        squares = sum(functional.embedding(nodes, tables).square().sum() for nodes in edges)
        penalty = self._settings.regularisation * squares / (2 * len(edges[0]))
        return functional.softplus(negative.squeeze(1) - positive).mean() + penalty


class CodeObjective(ContinuousObjective):
    """BPR of the codes, and at each layer the lists of the continuous model (section 3.3: inference distillation)."""

    def __init__(
        self, graph: BipartiteGraph, view: GraphView, settings: BiGeaRSettings, lists: torch.Tensor
    ) -> None:
        super().__init__(graph, view, settings)
        self._lists = lists
        ranks = torch.arange(1, lists.shape[2] + 1, device=lists.device)
        self._rank_weights = torch.exp(-settings.list_decay * ranks)

    def edge_loss(self, model: BiGeaR, edges: Edges, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch."""
        codes = model.codes(self._view, generator)
        ranked = self._ranked(model, torch.cat(codes, dim=1), edges)
        users, n_drawn = edges[0], self._settings.list_users
        if 0 < n_drawn < len(users):
            places = torch.randint(len(users), (n_drawn,), generator=generator, device=users.device)
            users = users[places]
        return (
            ranked
            + torch.stack(
                [self._listed(layer, users, listed) for layer, listed in zip(codes, self._lists, strict=True)]
            ).mean()
        )

    def _listed(self, codes: torch.Tensor, users: torch.Tensor, listed: torch.Tensor) -> torch.Tensor:
        """Return the mean over ranks and users of ``exp(-λ r) softplus(-score)`` of a layer."""
        items = functional.embedding(listed[users] + self._n_users, codes)
        scores = torch.bmm(items, functional.embedding(users, codes).unsqueeze(2)).squeeze(2)
        return (functional.softplus(-scores) * self._rank_weights).mean()


def fit(
    interactions: Interactions,
    *,
    dim: int,
    valid: Interactions | None,
    options: RunOptions,
    settings: Mapping[str, Any],
) -> CodedBaseline:
    """Train the continuous model, then the codes, and return them.

    Parameters
    ----------
    interactions : Interactions
    dim : int
        Bits of a code, all layers together; a multiple of 8. The paper counts those of one layer: its 256 bits are 768.
    valid : Interactions or None
        Held-out interactions over the same ids; ``None`` holds out a tenth of ``interactions``.
    options : RunOptions
        Log and callbacks follow the training of the codes; a checkpoint of the continuous model is in the folder
        ``continuous`` of ``checkpoint_dir``.
    settings : mapping
        Fields of :class:`BiGeaRSettings` in place of their defaults.

    References
    ----------
    Chen et al., *Learning binarized graph representations with multi-faceted quantization reinforcement for top-K
    recommendation*, KDD 2022, and the authors' code, yankai-chen/BiGeaR.
    """
    own = BiGeaRSettings.from_settings(settings)
    config = {"method": "bigear", "n_bits": dim, **asdict(own)}
    width = layer_widths(dim, own.n_layers + 1)[0]
    n_listed = min(own.n_listed, interactions.n_items)
    continuous: Parts[BiGeaR, BiGeaR] = Parts(
        "bigear, continuous",
        config,
        width,
        schedule=replace(own, epochs=own.teacher_epochs),
        build=lambda graph, start: BiGeaR(graph, dim, own, start),
        objective=lambda graph, view: ContinuousObjective(graph, view, own),
        scorer=lambda model, view: model.continuous_scorer(view),
        finish=lambda model, view: model,
    )
    folder = None if options.checkpoint_dir is None else Path(options.checkpoint_dir) / "continuous"
    teacher = fit_module(
        continuous,
        interactions,
        valid=valid,
        options=replace(options, checkpoint_dir=folder, log_path=None, callbacks=()),
    )
    codes: Parts[BiGeaR, CodedBaseline] = Parts(
        "bigear",
        config,
        width,
        schedule=own,
        build=lambda graph, start: teacher,
        objective=lambda graph, view: CodeObjective(graph, view, own, teacher.lists(view, n_listed)),
        scorer=lambda model, view: model.scorer(view),
        finish=lambda model, view: model.export(interactions, view),
    )
    return fit_module(codes, interactions, valid=valid, options=options)
