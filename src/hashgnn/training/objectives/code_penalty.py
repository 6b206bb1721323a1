"""Penalties on codes: bit balance and decorrelation."""

from __future__ import annotations

import torch

from hashgnn.config.objectives import ObjectiveConfig
from hashgnn.nn import bit_balance, decorrelation
from hashgnn.training.hash_model import HashModel


def code_penalty(
    model: HashModel, users: torch.Tensor, items: torch.Tensor, config: ObjectiveConfig
) -> torch.Tensor | float:
    """Return the weighted penalties on the relaxed codes of a batch's users and items, each side separately.

    Parameters
    ----------
    model : HashModel
    users, items : Tensor of shape (n, dim)
        Embeddings of nodes, each once.
    config : ObjectiveConfig
        Its ``balance_weight`` and ``decorrelation_weight``; 0 where both are.
    """
    penalty: torch.Tensor | float = 0.0
    if config.balance_weight == 0 and config.decorrelation_weight == 0:
        return penalty
    for side, u in (("user", users), ("item", items)):
        z = model.hash_layer(u, side)
        if config.balance_weight:
            penalty = penalty + config.balance_weight * bit_balance(z)
        if config.decorrelation_weight:
            penalty = penalty + config.decorrelation_weight * decorrelation(z)
    return penalty
