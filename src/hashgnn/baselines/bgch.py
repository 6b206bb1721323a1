"""BGCH: signs of each layer of a graph convolution, through a Fourier series of the sign."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_choice, check_float, check_int
from hashgnn.baselines.coded import CodedBaseline, layer_widths
from hashgnn.baselines.edges import EdgeObjective, Edges, edge_scores
from hashgnn.baselines.fitting import Parts, Schedule, fit_module
from hashgnn.baselines.layer_codes import LayerCodes
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, sparse_product
from hashgnn.runs import RunOptions

_EVALUATION_SEED = 0  # of the start of the power iteration where nothing is trained
_NEARLY_ZERO = 1e-3


@dataclass(frozen=True)
class BGCHSettings(Schedule):
    """Settings of ``bgch``. Those of the method are the authors', but for ``n_terms``; the schedule is ours.

    Attributes
    ----------
    n_layers : int
        Products with the normalised adjacency. A code has one part for the tables and one for each.
    n_terms : int
        Terms of the Fourier series; the authors' ``N`` is twice that, 16 for MovieLens-1M, 2 to 8 for other data. With
        steps as large as ours two are better on validation.
    frequency : float
        ω of the series: ``sign(x) ≈ 4/π Σ_k sin((2k + 1) ω x) / (2k + 1)``.
    dispersion : float
        η, the share that is taken off the tables along their leading direction.
    power_iterations, power_draws : int
        Products with ``XᵀX`` that find it, and random starts whose results are averaged.
    projection : {"fixed", "trained"}
        The linear layer before the sign. In the authors' code no optimiser knows it, so it stays as drawn; the paper
        learns it.
    reconstruction_weight : float
        Weight of the log loss of inner products of the tables themselves.
    regularisation : float
        Weight of half the squared norms of tables, codes and projection, for each edge of a batch.
    """

    epochs: int = 30
    batch_size: int = 16384
    learning_rate: float = 0.01
    n_layers: int = 2
    n_terms: int = 2
    frequency: float = 1.0
    dispersion: float = 0.1
    power_iterations: int = 2
    power_draws: int = 2
    projection: str = "fixed"
    reconstruction_weight: float = 1.0
    regularisation: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("projection", self.projection, ("fixed", "trained"))
        check_int("n_layers", self.n_layers, minimum=0)
        for name in ("n_terms", "power_iterations", "power_draws"):
            check_int(name, getattr(self, name), minimum=1)
        check_float("frequency", self.frequency, minimum=0, open_minimum=True)
        for name in ("dispersion", "reconstruction_weight", "regularisation"):
            check_float(name, getattr(self, name), minimum=0)


def fourier_slope(x: torch.Tensor, *, n_terms: int, frequency: float) -> torch.Tensor:
    """Return the derivative of the first terms of the sign's Fourier series, cut at -1 and 1.

    It is ``4 ω/π Σ_k cos((2k + 1) ω x)`` for k from 0 to ``n_terms - 1``, which sums to
    ``2 ω/π sin(2 n ω x) / sin(ω x)`` (BGCH, section 4.3).

    Parameters
    ----------
    x : Tensor
    n_terms : int
    frequency : float
        ω.
    """
    angle = x * frequency
    sine = torch.sin(angle)
    waves = torch.sin(2 * n_terms * angle) / sine
    # Next to a zero of the sine every term is 1, or every term is -1.
    waves = torch.where(sine.abs() < _NEARLY_ZERO, 2 * n_terms * torch.cos(angle).sign(), waves)
    return (waves * (2 * frequency / math.pi)).clamp_(-1, 1)


def dispersed(
    table: torch.Tensor, share: float, n_iterations: int, n_draws: int, generator: torch.Generator
) -> torch.Tensor:
    """Return a table with a share taken off along its leading direction: ``X - η X v vᵀ / |v|²``.

    v is the mean of ``(XᵀX)^n v0`` over random starts (BGCH, section 4.2: latent feature dispersion).
    """
    start = torch.randn(table.shape[1], n_draws, generator=generator, device=table.device)
    for _ in range(n_iterations):
        start = table.T @ (table @ start)
    direction = functional.normalize(start.mean(dim=1), dim=0)
    return table - share * torch.outer(table @ direction, direction)


class BGCH(LayerCodes):
    """``B_l = α_l sign(Ã^l X W)`` for each layer l, X dispersed tables and α the mean absolute value of a row.

    Parameters
    ----------
    graph : BipartiteGraph
    n_bits : int
        Of a whole code.
    settings : BGCHSettings
    rng : torch.Generator
        Draws tables and projection.
    """

    def __init__(
        self, graph: BipartiteGraph, n_bits: int, settings: BGCHSettings, rng: torch.Generator
    ) -> None:
        widths = layer_widths(n_bits, settings.n_layers + 1)
        super().__init__(graph.n_users, (1.0,) * len(widths))
        self._settings, self._widths = settings, widths
        width = widths[0]
        self.users = nn.Parameter(0.1 * torch.randn(graph.n_users, width, generator=rng))
        self.items = nn.Parameter(0.1 * torch.randn(graph.n_items, width, generator=rng))
        projection = (2 * torch.rand(width, width, generator=rng) - 1) / math.sqrt(width)
        self.projection = nn.Parameter(projection, requires_grad=settings.projection == "trained")

    def layers(self, view: GraphView, generator: torch.Generator | None = None) -> list[torch.Tensor]:
        """Return the projected layers, each (n_nodes, width of the layer)."""
        if generator is None:
            generator = torch.Generator(device=self.users.device).manual_seed(_EVALUATION_SEED)
        own = self._settings
        tables = [
            dispersed(table, own.dispersion, own.power_iterations, own.power_draws, generator)
            for table in (self.users, self.items)
        ]
        x = torch.cat(tables) @ self.projection  # the same as after the products, which are linear
        found = [x]
        for _ in range(own.n_layers):
            x = sparse_product(view.adjacency, view.adjacency, x)
            found.append(x)
        return [layer[:, :width] for layer, width in zip(found, self._widths, strict=True)]

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return the derivative of the Fourier series."""
        return fourier_slope(x, n_terms=self._settings.n_terms, frequency=self._settings.frequency)


class BGCHObjective(EdgeObjective[BGCH]):
    """BPR of the codes, log loss of the tables, squared norms (BGCH, section 4.4)."""

    def __init__(self, graph: BipartiteGraph, view: GraphView, settings: BGCHSettings) -> None:
        super().__init__(graph, view, batch_size=settings.batch_size)
        self._settings = settings

    def edge_loss(self, model: BGCH, edges: Edges, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch."""
        codes = torch.cat(model.codes(self._view, generator), dim=1)
        positive, negative = edge_scores(codes, edges)
        ranked = functional.softplus(negative.squeeze(1) - positive).mean()
        tables = torch.cat([model.users, model.items])
        observed, sampled = edge_scores(tables, edges)
        reconstructed = (functional.softplus(-observed) + functional.softplus(sampled.squeeze(1))).mean() / 2
        squares = tables.square().sum() + codes.square().sum()
        if self._settings.projection == "trained":
            squares = squares + model.projection.square().sum()
        penalty = self._settings.regularisation * squares / (2 * len(edges[0]))
        return ranked + self._settings.reconstruction_weight * reconstructed + penalty


def fit(
    interactions: Interactions,
    *,
    dim: int,
    valid: Interactions | None,
    options: RunOptions,
    settings: Mapping[str, Any],
) -> CodedBaseline:
    """Train BGCH and return its codes.

    Parameters
    ----------
    interactions : Interactions
    dim : int
        Bits of a code, all layers together; a multiple of 8. The paper counts those of one layer: its 256 bits are 768.
    valid : Interactions or None
        Held-out interactions over the same ids; ``None`` holds out a tenth of ``interactions``.
    options : RunOptions
    settings : mapping
        Fields of :class:`BGCHSettings` in place of their defaults.

    References
    ----------
    Chen, Fang, Zhang, King, *Bipartite graph convolutional hashing for effective and efficient top-N search in Hamming
    space*, WWW 2023, and the authors' code, yankai-chen/BGCH at b18f509.
    """
    own = BGCHSettings.from_settings(settings)
    parts: Parts[BGCH, CodedBaseline] = Parts(
        "bgch",
        {"method": "bgch", "n_bits": dim, **asdict(own)},
        layer_widths(dim, own.n_layers + 1)[0],
        schedule=own,
        build=lambda graph, start: BGCH(graph, dim, own, start),
        objective=lambda graph, view: BGCHObjective(graph, view, own),
        scorer=lambda model, view: model.scorer(view),
        finish=lambda model, view: model.export(interactions, view),
    )
    return fit_module(parts, interactions, valid=valid, options=options)
