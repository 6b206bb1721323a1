"""``gcn``: graph convolution with self-loops and symmetric normalisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn.nn import _sparse
from hashgnn.nn.encoders._inputs import glorot, to_numpy
from hashgnn.nn.encoders.base import FoldInExport
from hashgnn.nn.encoders.layered import LayeredEncoder
from hashgnn.nn.graph_view import GraphView


class GCNEncoder(LayeredEncoder):
    """``X^(k+1) = act(Â X^k W^k)`` with ``Â = D̃^-1/2 (A + I) D̃^-1/2`` and ``D̃ = D + I``.

    act is the ReLU, and the identity after the last layer, so that embeddings may be negative. Edges count
    by their weights, a self-loop weighs 1. The whole graph is computed at every call.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_layers : int, default=2
    **inputs
        ``n_user_features``, ``n_item_features``, ``initial``; see :class:`InputEncoder`.

    References
    ----------
    Kipf, Welling, ICLR 2017, arXiv 1609.02907, equation 2.
    """

    def __init__(
        self, n_users: int, n_items: int, dim: int, *, rng: torch.Generator, n_layers: int = 2, **inputs: Any
    ) -> None:
        super().__init__(n_users, n_items, dim, rng=rng, n_layers=n_layers, **inputs)
        self.weights = nn.ParameterList([nn.Parameter(glorot(dim, dim, rng)) for _ in range(n_layers)])

    def _whole(self, k: int, view: GraphView, x: torch.Tensor) -> torch.Tensor:
        scale = (view.degrees + 1).rsqrt().unsqueeze(1)
        # The view's adjacency divides by sqrt(d_i d_j); here it is sqrt((d_i + 1) (d_j + 1)).
        change = view.degrees.sqrt().unsqueeze(1) * scale
        total = change * _sparse.product(view.adjacency, view.adjacency, change * x)
        return self._activated(k, total + scale.square() * x)

    def _activated(self, k: int, x: torch.Tensor) -> torch.Tensor:
        x = x @ self.weights[k]
        return x if k == self.n_layers - 1 else functional.relu(x)

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``gcn`` rule: the weights, and neighbours' layers divided by ``sqrt(d_j + 1)``."""
        self.check_view(view)
        scale = (view.degrees + 1).rsqrt().unsqueeze(1)
        rows = [scale * layer for layer in self._layers(view)[:-1]]
        arrays = {
            **self._exported_inputs(),
            **self._exported_tables("layer", rows),
            **{f"weight_{k}": to_numpy(weight) for k, weight in enumerate(self.weights)},
        }
        return "gcn", arrays, {"n_layers": self.n_layers}
