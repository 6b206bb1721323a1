"""The input of an encoder: a node's id embedding plus its side features times a learned matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from hashgnn._checks import check_matrix
from hashgnn._types import Array, SideName
from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse

_START_DEVIATION = 0.1  # of the id embeddings, as in the LightGCN reference code


class FeatureMap(nn.Module):
    """``features @ W`` of one side, users or items; nothing where the side has no features.

    Parameters
    ----------
    side : {"user", "item"}
        For messages and the names of exported arrays.
    n_nodes, dim : int
    n_features : int
        Columns of the side's feature matrix; 0 for none.
    rng : torch.Generator
    """

    def __init__(self, side: SideName, n_nodes: int, dim: int, n_features: int, rng: torch.Generator) -> None:
        super().__init__()
        self.side, self.shape = side, (n_nodes, n_features)
        self.weight = nn.Parameter(normal(n_features, dim, rng)) if n_features else None

    def forward(self, features: torch.Tensor | None, index: torch.Tensor) -> torch.Tensor | None:
        """Return the features' part (len(index), dim) of x_0, or ``None`` where the side has none."""
        if self.weight is None:
            return None
        if features is None or features.shape != self.shape:
            shape = "none" if features is None else f"shape {tuple(features.shape)}"
            raise ParameterError(f"{self.side}_features must have shape {self.shape}, got {shape}")
        return _sparse.rows_times(features, index, self.weight)

    def export(self) -> dict[str, Array]:
        """Return W as ``{side}_projection``, if there is one."""
        return {} if self.weight is None else {f"{self.side}_projection": to_numpy(self.weight)}


class SideInput(nn.Module):
    """``x_0 = id embedding + features @ W`` of one side.

    Parameters
    ----------
    side, n_nodes, dim, n_features, rng
        As for :class:`FeatureMap`.
    initial : ndarray of shape (n_nodes, dim), optional
        Start of the id embeddings.
    """

    def __init__(
        self,
        side: SideName,
        n_nodes: int,
        dim: int,
        n_features: int,
        rng: torch.Generator,
        initial: Array | None = None,
    ) -> None:
        super().__init__()
        self.table = nn.Parameter(start_table(side, n_nodes, dim, rng, initial))
        self.features = FeatureMap(side, n_nodes, dim, n_features, rng)

    def forward(self, features: torch.Tensor | None, index: torch.Tensor) -> torch.Tensor:
        """Return x_0 (len(index), dim) of some nodes."""
        rows = _sparse.take(self.table, index)
        projected = self.features(features, index)
        return rows if projected is None else rows + projected

    def all(self, features: torch.Tensor | None) -> torch.Tensor:
        """Return x_0 (n_nodes, dim) of every node."""
        projected = self.features(features, torch.arange(len(self.table), device=self.table.device))
        return self.table if projected is None else self.table + projected

    def mean(self) -> Array:
        """Return the mean id embedding (dim,): the input of an id that training did not know."""
        return to_numpy(self.table.detach().double().mean(dim=0))


def start_table(
    side: SideName, n_nodes: int, dim: int, rng: torch.Generator, initial: Array | None
) -> torch.Tensor:
    """Return the start of an id table: the given one, or small normal values."""
    if initial is None:
        return normal(n_nodes, dim, rng)
    start = check_matrix(f"initial {side} table", initial, dtype=np.float32, n_rows=n_nodes, n_columns=dim)
    return torch.tensor(start)


def normal(n_rows: int, n_columns: int, rng: torch.Generator) -> torch.Tensor:
    """Return a small normal matrix, float32."""
    draws = torch.randn(n_rows, n_columns, generator=rng, device=rng.device)
    return _START_DEVIATION * draws.cpu()


def glorot(n_rows: int, n_columns: int, rng: torch.Generator) -> torch.Tensor:
    """Return a Glorot-uniform matrix for a linear map from ``n_rows`` to ``n_columns``, float32."""
    bound: float = (6.0 / (n_rows + n_columns)) ** 0.5
    draws = torch.rand(n_rows, n_columns, generator=rng, device=rng.device)
    return bound * (2.0 * draws.cpu() - 1.0)


def by_side(
    nodes: torch.Tensor,
    n_users: int,
    users: Callable[[torch.Tensor], torch.Tensor],
    items: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return one row per node: ``users(user_index)`` and ``items(item_index)`` put back in the nodes' order."""
    is_item = nodes >= n_users
    user_places = torch.nonzero(~is_item)[:, 0]
    item_places = torch.nonzero(is_item)[:, 0]
    if len(item_places) == 0:
        return users(nodes)
    if len(user_places) == 0:
        return items(nodes - n_users)
    rows = torch.cat([users(nodes[user_places]), items(nodes[item_places] - n_users)])
    if not bool(is_item[: len(user_places)].any()):
        return rows  # users first, as training asks for them: nothing to reorder
    places = torch.cat([user_places, item_places])
    order = torch.empty_like(places)
    order[places] = torch.arange(len(places), device=places.device)
    return _sparse.take(rows, order)


def to_numpy(x: torch.Tensor) -> Array:
    """Return a float32 copy on the CPU."""
    copy: Array = x.detach().cpu().float().numpy().copy(order="C")
    return copy
