"""``HashModel``: encoder, hash layer, score scales and item bias as one module, trained together."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from hashgnn._types import Array, SideName
from hashgnn.nn import Encoder, GraphView, HashLayer, Relaxation
from hashgnn.nn.relaxations.base import DrawsBefore

#: Kinds of scores that the objective ``users`` has thresholds for: codes, embeddings, and float queries against codes.
N_KINDS = 3


class HashModel(nn.Module):
    """Nodes in; embeddings, relaxed codes and scores out.

    Parameters
    ----------
    encoder : Encoder
    hash_layer : HashLayer
    item_bias : ndarray of shape (n_items,) or None
        Start of the item bias, in log-odds; ``None`` trains without one.
    scale : float
        Start of the scale of code scores, log-odds a unit of inner product.
    float_scale : float
        Start of the scale of embedding scores.
    relaxation : Relaxation
    keeps_thresholds : bool, default=False

    Attributes
    ----------
    item_bias : Parameter of shape (n_items,) or None
        In log-odds: the score of a pair is ``scale · h_u · h_i + item_bias_i``. Divided by the scale it is
        in bits; trained in log-odds it keeps its meaning while the scale moves.
    thresholds : Tensor of shape (3, n_users) or None
        Of objective ``users``, where it keeps them: thresholds of each kind of scores, NaN for a user
        who was in no step yet. A buffer, so that a checkpoint has it.
    """

    thresholds: torch.Tensor | None

    def __init__(
        self,
        encoder: Encoder,
        hash_layer: HashLayer,
        item_bias: Array | None,
        *,
        scale: float,
        float_scale: float,
        relaxation: Relaxation,
        keeps_thresholds: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.hash_layer = hash_layer
        self.item_bias = None if item_bias is None else nn.Parameter(torch.tensor(item_bias))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.log_float_scale = nn.Parameter(torch.tensor(math.log(float_scale)))
        self.relaxation = relaxation
        thresholds = torch.full((N_KINDS, encoder.n_users), torch.nan) if keeps_thresholds else None
        self.register_buffer("thresholds", thresholds)

    @property
    def scale(self) -> torch.Tensor:
        """The scale of code scores, a positive scalar."""
        return self.log_scale.exp()

    @property
    def float_scale(self) -> torch.Tensor:
        """The scale of embedding scores, a positive scalar."""
        return self.log_float_scale.exp()

    def bias_in_bits(self) -> Array | None:
        """Return the item bias divided by the scale, (n_items,) float32, or ``None``."""
        if self.item_bias is None:
            return None
        bits: Array = (self.item_bias / self.scale).detach().float().cpu().numpy()
        return bits

    def before_codes(self, u: torch.Tensor, side: SideName) -> torch.Tensor:
        """Return the input of :meth:`codes` for embeddings ``u`` (n, dim) of one ``side``."""
        return self.hash_layer.project(u, side) if self.relaxation.before_tanh else self.hash_layer(u, side)

    def float_queries(self, u: torch.Tensor) -> torch.Tensor:
        """Return what users with embeddings ``u`` (n, dim) ask item codes with: activations of the length of a code."""
        activations = self.hash_layer.activations(u, "user")
        return math.sqrt(self.hash_layer.n_bits) * functional.normalize(activations, dim=1)

    def codes(
        self,
        x: torch.Tensor,
        strength: float,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
        draws: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the relaxed codes of rows ``x``, at a strength of the relaxation.

        ``draws`` are what the relaxation has drawn for these rows before.
        """
        if draws is not None:
            assert isinstance(self.relaxation, DrawsBefore)
            return self.relaxation.with_draws(x, strength, draws)
        return self.relaxation(x, strength, generator=generator, groups=groups)

    def tables(self) -> list[nn.Parameter]:
        """Return the parameters that have a row per user or item, which ``learning_rate`` is for.

        The item bias is not among them: it has a good start. If it learned as fast, it would absorb
        popularity, and the codes would not.
        """
        sizes = {self.encoder.n_users, self.encoder.n_items}
        return [x for x in self.parameters() if x.ndim > 1 and x.shape[0] in sizes]

    @torch.no_grad()
    def encode_all(self, view: GraphView) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's output for all users (n_users, dim) and all items (n_items, dim)."""
        u = self.encoder.encode_all(view)
        return u[: view.n_users], u[view.n_users :]
