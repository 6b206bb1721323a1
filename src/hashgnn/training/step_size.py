"""The size of a training step, which decides how many threads it can use."""

from __future__ import annotations

from hashgnn.config import ModelConfig
from hashgnn.config.objectives import Users

_SMALLEST_BATCH = 8


def users_per_step(config: ModelConfig, n_users: int) -> int:
    """Return the users of a batch of the objective ``users``."""
    assert isinstance(config.objective, Users)
    return min(config.optimizer.batch_size, max(_SMALLEST_BATCH, n_users // config.objective.min_steps))


def floats_of_step(config: ModelConfig, n_users: int, n_items: int) -> int:
    """Return how many floats the largest matrix of a step has, about.

    Of the objective ``users`` it is the scores of a batch. Of the others it is the embeddings, which an encoder
    makes anew in every step.
    """
    if isinstance(config.objective, Users):
        return int(users_per_step(config, n_users) * n_items * config.objective.item_share)
    return (n_users + n_items) * config.embedding_dim
