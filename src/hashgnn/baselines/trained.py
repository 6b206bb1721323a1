"""Baselines trained by gradient descent: an encoder, scores as inner products, a loss over observed edges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hashgnn._extras import require
from hashgnn._registry import imported
from hashgnn.baselines.base import EmbeddingBaseline, FittedBaseline
from hashgnn.data import Interactions
from hashgnn.runs import RunOptions


@dataclass(frozen=True)
class TrainedFit:
    """The fit function of a baseline that is an encoder trained on observed edges.

    Attributes
    ----------
    encoder : str
        A name of ``hashgnn.nn.ENCODERS``.
    defaults : dict
        Settings in place of those of :class:`hashgnn.baselines.gradient.EdgeTraining`.
    """

    encoder: str
    defaults: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        interactions: Interactions,
        *,
        dim: int,
        valid: Interactions | None,
        options: RunOptions,
        **settings: Any,
    ) -> EmbeddingBaseline:
        """Train, and return the embeddings of all users and items."""
        require("torch", extra="train", purpose="training a baseline")
        from hashgnn.baselines.gradient import EdgeTraining, train_encoder

        training = EdgeTraining.with_defaults(self.defaults, settings)
        users, items = train_encoder(self.encoder, interactions, dim, training, valid=valid, options=options)
        return EmbeddingBaseline(interactions, users, items)


@dataclass(frozen=True)
class ModuleFit:
    """The fit function of a baseline that trains a torch module of its own.

    Attributes
    ----------
    fit : str
        By dotted name; takes the interactions and, by keyword, ``dim``, ``valid``, ``options`` and ``settings``.
    """

    fit: str

    def __call__(
        self,
        interactions: Interactions,
        *,
        dim: int,
        valid: Interactions | None,
        options: RunOptions,
        **settings: Any,
    ) -> FittedBaseline:
        """Train, and return the fitted baseline."""
        require("torch", extra="train", purpose="training a baseline")
        fitted: FittedBaseline = imported(self.fit)(
            interactions, dim=dim, valid=valid, options=options, settings=settings
        )
        return fitted
