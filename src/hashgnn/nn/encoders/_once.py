"""Values that an encoder derives from a graph once and caches until the graph changes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from hashgnn.nn.graph_view import GraphView

T = TypeVar("T")


class OncePerGraph(Generic[T]):
    """Cache of ``function(view)``, valid as long as the view's edges are the same tensor."""

    def __init__(self, function: Callable[[GraphView], T]) -> None:
        self._function = function
        self._known: tuple[weakref.ref[torch.Tensor], T] | None = None

    def __call__(self, view: GraphView) -> T:
        if self._known is None or self._known[0]() is not view.user_item:
            self._known = (weakref.ref(view.user_item), self._function(view))
        return self._known[1]
