"""HS-GCN: codes that are passed over the graph in Hamming space, where a neighbourhood votes on each bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_float, check_int
from hashgnn.baselines.coded import CodedBaseline, layer_widths
from hashgnn.baselines.edges import EdgeObjective, Edges, edge_scores
from hashgnn.baselines.fitting import Parts, Schedule, fit_module
from hashgnn.baselines.layer_codes import signs
from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, sparse_product
from hashgnn.runs import RunOptions
from hashgnn.training.validation import VectorScorer


@dataclass(frozen=True)
class HSGCNSettings(Schedule):
    """Settings of ``hs-gcn``. Those of the method are the authors' for MovieLens-1M; the schedule is ours.

    Attributes
    ----------
    n_layers : int
        Times that codes are passed over the graph.
    n_negatives : int
        Items sampled for each edge, uniform over what the user has not seen.
    margin : float
        Of the ranking losses: how far σ of an observed score has to be above that of a sampled one.
    ranking_weight, first_order_weight : float
        Weight of the ranking loss of the passed codes, and of that of the signs before they are passed.
    dropout : float in [0, 1)
        Share of the entries of passed codes that are 0 in a step.
    """

    epochs: int = 15
    batch_size: int = 16384
    learning_rate: float = 0.01
    n_layers: int = 2
    n_negatives: int = 5
    margin: float = 0.2
    ranking_weight: float = 0.1
    first_order_weight: float = 0.5
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("n_layers", self.n_layers, minimum=0)
        check_int("n_negatives", self.n_negatives, minimum=1)
        for name in ("margin", "ranking_weight", "first_order_weight"):
            check_float(name, getattr(self, name), minimum=0)
        check_float("dropout", self.dropout, minimum=0, maximum=1, open_maximum=True)


class _ClippedSign(torch.autograd.Function):
    """The sign; the gradient passes, cut at -1 and 1."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return signs(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0].clamp(-1, 1)


def voted(codes: torch.Tensor, view: GraphView) -> torch.Tensor:
    """Return codes after one pass over the graph, (n_nodes, n_bits).

    Neighbours have one vote for each bit, a node three for its own; m is their sum, cut at -1 and 1. An entry that
    disagrees is multiplied by ``1 - 2 |m x|``, so a sign that is outvoted turns around, and others stay.
    """
    roots = view.degrees.sqrt().unsqueeze(1)
    neighbours = roots * sparse_product(view.adjacency, view.adjacency, roots * codes)  # sums, not means
    agreement = (neighbours + 3 * codes).clamp(-1, 1) * codes
    return codes * (1 - functional.relu(-2 * agreement))


class HSGCN(nn.Module):
    """Codes ``sign(x)``, passed over the graph; in training ``tanh(x)`` is passed in their place.

    Parameters
    ----------
    graph : BipartiteGraph
    n_bits : int
    settings : HSGCNSettings
    rng : torch.Generator
        Draws the table.
    """

    def __init__(
        self, graph: BipartiteGraph, n_bits: int, settings: HSGCNSettings, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.n_users, self.n_layers = graph.n_users, settings.n_layers
        self.table = nn.Parameter(torch.randn(graph.n_users + graph.n_items, n_bits, generator=rng))

    def passed(self, codes: torch.Tensor, view: GraphView) -> torch.Tensor:
        """Return codes after all passes over the graph."""
        for _ in range(self.n_layers):
            codes = voted(codes, view)
        return codes

    @torch.no_grad()
    def codes(self, view: GraphView) -> torch.Tensor:
        """Return the codes, -1 and 1, (n_nodes, n_bits)."""
        return signs(self.passed(signs(self.table), view))

    def scorer(self, view: GraphView) -> VectorScorer:
        """Return the scorer of the codes."""
        codes = self.codes(view)
        return VectorScorer(codes[: self.n_users], codes[self.n_users :], {"hamming": lambda x: x})

    def export(self, interactions: Interactions, view: GraphView) -> CodedBaseline:
        """Return packed codes of all users and items."""
        values = self.codes(view).cpu().numpy()
        users, items = (
            BinaryCodes.from_signs(part) for part in (values[: self.n_users], values[self.n_users :])
        )
        return CodedBaseline(interactions, users, items)


class HSGCNObjective(EdgeObjective[HSGCN]):
    """Log loss and ranking loss of passed codes, ranking loss of signs (section 3.4)."""

    def __init__(self, graph: BipartiteGraph, view: GraphView, settings: HSGCNSettings) -> None:
        super().__init__(graph, view, batch_size=settings.batch_size, n_negatives=settings.n_negatives)
        self._settings = settings

    def edge_loss(self, model: HSGCN, edges: Edges, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch."""
        own = self._settings
        relaxed = torch.tanh(model.table)
        codes = model.passed(relaxed, self._view)
        if own.dropout:
            kept = torch.rand(codes.shape, generator=generator, device=codes.device) >= own.dropout
            codes = codes * kept / (1 - own.dropout)
        observed, sampled = edge_scores(codes, edges)
        # Each sampled item is a triple with its edge, which counts once in each.
        log_loss = (functional.softplus(-observed).mean() + functional.softplus(sampled).mean()) / 2
        first: torch.Tensor = _ClippedSign.apply(relaxed)  # type: ignore[no-untyped-call]
        of_codes, of_signs = self._ranked(observed, sampled), self._ranked(*edge_scores(first, edges))
        return log_loss + own.ranking_weight * of_codes + own.first_order_weight * of_signs

    def _ranked(self, observed: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
        gap = torch.sigmoid(observed).unsqueeze(1) - torch.sigmoid(sampled)
        return functional.relu(self._settings.margin - gap).mean()


def fit(
    interactions: Interactions,
    *,
    dim: int,
    valid: Interactions | None,
    options: RunOptions,
    settings: Mapping[str, Any],
) -> CodedBaseline:
    """Train HS-GCN and return its codes, which have no scales.

    Parameters
    ----------
    interactions : Interactions
    dim : int
        Bits of a code, a multiple of 8.
    valid : Interactions or None
        Held-out interactions over the same ids; ``None`` holds out a tenth of ``interactions``.
    options : RunOptions
    settings : mapping
        Fields of :class:`HSGCNSettings` in place of their defaults.

    References
    ----------
    Liu, Wei, Yin, Nie, *HS-GCN: Hamming spatial graph convolutional networks for recommendation*, TKDE 2023,
    arXiv 2301.05430, and the authors' code, hanliu95/HS-GCN.
    """
    own = HSGCNSettings.from_settings(settings)
    layer_widths(dim, 1)
    parts: Parts[HSGCN, CodedBaseline] = Parts(
        "hs-gcn",
        {"method": "hs-gcn", "n_bits": dim, **asdict(own)},
        dim,
        schedule=own,
        build=lambda graph, start: HSGCN(graph, dim, own, start),
        objective=lambda graph, view: HSGCNObjective(graph, view, own),
        scorer=lambda model, view: model.scorer(view),
        finish=lambda model, view: model.export(interactions, view),
    )
    return fit_module(parts, interactions, valid=valid, options=options)
