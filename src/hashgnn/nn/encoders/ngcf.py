"""``ngcf``: neural graph collaborative filtering, messages with products of a node and its neighbours."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._inputs import glorot, to_numpy
from hashgnn.nn.encoders.base import FoldInExport
from hashgnn.nn.encoders.layered import LayeredEncoder
from hashgnn.nn.graph_view import GraphView

_SLOPE = 0.2


class NGCFEncoder(LayeredEncoder):
    """``E^(k+1) = act((Ã E^k + E^k) W_1^k + (Ã E^k ∘ E^k) W_2^k)``; the embedding is all layers side by side.

    Ã is the symmetric normalised adjacency, act the leaky ReLU with slope 0.2. So that the embedding as a
    whole has ``dim`` columns, each layer has ``dim // (n_layers + 1)`` and the id embeddings have the rest.
    There is no message dropout. The whole graph is computed at every call.

    Parameters
    ----------
    n_users, n_items, dim : int
        ``dim`` must be larger than ``n_layers``.
    rng : torch.Generator
    n_layers : int, default=2
    **inputs
        ``n_user_features``, ``n_item_features``, ``initial``; see :class:`InputEncoder`.

    References
    ----------
    Wang et al., SIGIR 2019, arXiv 1905.08108, equations 7 and 9.
    """

    def __init__(
        self, n_users: int, n_items: int, dim: int, *, rng: torch.Generator, n_layers: int = 2, **inputs: Any
    ) -> None:
        if dim <= n_layers:
            raise ParameterError(
                f"embedding_dim must be larger than n_layers={n_layers} for ngcf, whose layers share it, got {dim}"
            )
        narrow = dim // (n_layers + 1)
        first = dim - n_layers * narrow
        super().__init__(n_users, n_items, dim, rng=rng, n_layers=n_layers, width=first, **inputs)
        widths = [first] + [narrow] * n_layers
        self.sum_weights, self.product_weights = (
            nn.ParameterList([nn.Parameter(glorot(a, narrow, rng)) for a in widths[:-1]]) for _ in range(2)
        )

    def _whole(self, k: int, view: GraphView, x: torch.Tensor) -> torch.Tensor:
        total = _sparse.product(view.adjacency, view.adjacency, x)
        message = (total + x) @ self.sum_weights[k] + (total * x) @ self.product_weights[k]
        return functional.leaky_relu(message, _SLOPE)

    def _output(self, layers: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(layers, dim=1)

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``ngcf`` rule: the weights, and neighbours' layers divided by ``sqrt(d_j)``."""
        self.check_view(view)
        scale = torch.where(view.degrees > 0, view.degrees, 1.0).rsqrt().unsqueeze(1)
        rows = [scale * layer for layer in self._layers(view)[:-1]]
        arrays = {**self._exported_inputs(), **self._exported_tables("layer", rows)}
        for k in range(self.n_layers):
            arrays[f"sum_weight_{k}"] = to_numpy(self.sum_weights[k])
            arrays[f"product_weight_{k}"] = to_numpy(self.product_weights[k])
        return "ngcf", arrays, {"n_layers": self.n_layers, "slope": _SLOPE}
