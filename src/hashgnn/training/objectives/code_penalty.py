"""Penalties on codes: bit balance and decorrelation."""

from __future__ import annotations

import torch

from hashgnn.config.objectives import ObjectiveConfig
from hashgnn.nn import bit_balance, decorrelation
from hashgnn.nn.peers import differentiable_sum
from hashgnn.training.hash_model import HashModel
from hashgnn.training.workers.group import ALONE, Group


def code_penalty(
    model: HashModel,
    users: torch.Tensor,
    items: torch.Tensor,
    config: ObjectiveConfig,
    group: Group = ALONE,
) -> torch.Tensor | float:
    """Return the weighted penalties on the relaxed codes of a batch's users and items, each side separately.

    Parameters
    ----------
    model : HashModel
    users, items : Tensor of shape (n, dim)
        Embeddings of nodes, each once.
    config : ObjectiveConfig
        Its ``balance_weight`` and ``decorrelation_weight``; 0 where both are.
    group : Group, default=ALONE
        Processes that have other nodes; the result is one process's part of the penalties on those of all.
    """
    penalty: torch.Tensor | float = 0.0
    if config.balance_weight == 0 and config.decorrelation_weight == 0:
        return penalty
    for side, u in (("user", users), ("item", items)):
        z = model.hash_layer(u, side)
        if group.size > 1:
            penalty = penalty + _part_of_penalty(z, config, group)
            continue
        if config.balance_weight:
            penalty = penalty + config.balance_weight * bit_balance(z)
        if config.decorrelation_weight:
            penalty = penalty + config.decorrelation_weight * decorrelation(z)
    return penalty


def _part_of_penalty(z: torch.Tensor, config: ObjectiveConfig, group: Group) -> torch.Tensor:
    """Return the penalties on the rows of all processes, divided by the number of processes."""
    n_rows, n_bits = group.sum(len(z)), z.shape[1]
    penalty = torch.zeros((), device=z.device)
    if config.balance_weight:
        mean = differentiable_sum(group, z.sum(dim=0)) / n_rows
        penalty = penalty + config.balance_weight * mean.square().mean()
    if config.decorrelation_weight:
        products = differentiable_sum(group, z.T @ z) / n_rows
        others = products - torch.diag(torch.diagonal(products))
        squares = others.square().sum() / (n_bits * (n_bits - 1))
        penalty = penalty + config.decorrelation_weight * squares
    return penalty / group.size
