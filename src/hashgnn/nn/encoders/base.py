"""``Encoder``: the contract of everything that turns a graph into embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.graph_view import GraphView

#: What fold-in needs of an encoder: the name of its rule, arrays, and JSON values.
FoldInExport = tuple[str, dict[str, Array], dict[str, Any]]


class Encoder(nn.Module, ABC):
    """A graph view and node ids in, embeddings out.

    Nodes are users ``0 .. n_users-1``, then items. Every encoder keeps a contract, which
    ``hashgnn.testing.encoders`` checks. A node's embedding does not depend on the other nodes of the call,
    nor on the order of edges, nor on how nodes are numbered. Isolated nodes get finite embeddings. Every
    parameter gets a gradient.

    Attributes
    ----------
    n_users, n_items : int
        Of the graph that the encoder was built for.
    dim : int
        Width of the embeddings.
    """

    def __init__(self, n_users: int, n_items: int, dim: int) -> None:
        super().__init__()
        self.n_users = check_int("n_users", n_users, minimum=1)
        self.n_items = check_int("n_items", n_items, minimum=1)
        self.dim = check_int("embedding_dim", dim, minimum=1)

    @abstractmethod
    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes.

        Parameters
        ----------
        view : GraphView
        nodes : LongTensor of shape (n,)
            On the view's device; users and items may be mixed, and a node may come twice.
        generator : torch.Generator, optional
            Source of dropout in training mode; needed only by an encoder with dropout.

        Returns
        -------
        Tensor of shape (n, dim)
        """

    @abstractmethod
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the arguments of ``hashgnn.fold_in.build_fold_in``: the rule's name, arrays and parameters."""

    @torch.no_grad()
    def encode_all(self, view: GraphView, *, block: int = 65536) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node, from whole neighbourhoods and with no dropout.

        Nodes are taken in blocks, so that memory beyond the result stays bounded.
        """
        self.check_view(view)
        view = view.with_sampled(None)
        training = self.training
        self.eval()
        try:
            return self._encode_all(view, block)
        finally:
            self.train(training)

    def _encode_all(self, view: GraphView, block: int) -> torch.Tensor:
        starts = range(0, view.n_nodes, block)
        ends = (min(start + block, view.n_nodes) for start in starts)
        parts = (torch.arange(a, b, device=view.device) for a, b in zip(starts, ends, strict=True))
        found: torch.Tensor | None = None
        for nodes in parts:
            rows = self(view, nodes)
            if found is None:
                found = rows.new_empty((view.n_nodes, rows.shape[1]))
            found[nodes[0] : nodes[0] + len(nodes)] = rows
        assert found is not None, "a view has nodes"
        return found

    def check_view(self, view: GraphView) -> None:
        """Raise :class:`ParameterError` unless the view has the encoder's users and items."""
        if (view.n_users, view.n_items) != (self.n_users, self.n_items):
            raise ParameterError(
                f"view must have {self.n_users} users and {self.n_items} items, "
                f"got {view.n_users} and {view.n_items}"
            )


class FullGraphEncoder(Encoder):
    """An encoder that computes all nodes together: ``forward`` takes rows of ``propagate``."""

    @abstractmethod
    def propagate(self, view: GraphView) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node."""

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return ``propagate(view)[nodes]``; see :class:`Encoder`."""
        self.check_view(view)
        return _sparse.take(self.propagate(view), nodes)

    def _encode_all(self, view: GraphView, block: int) -> torch.Tensor:
        return self.propagate(view)
