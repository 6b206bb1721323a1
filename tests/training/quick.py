"""Recipes cut down to a second."""

from __future__ import annotations

from hashgnn.config import ModelConfig, load_recipe

QUICK = {"n_bits": 16, "embedding_dim": 16, "epochs": 3, "batch_size": 16, "validation_share": 0.0}


def quick(recipe: str, **settings: object) -> ModelConfig:
    """A recipe cut down to a second."""
    small: dict[str, object] = dict(QUICK)
    if recipe == "default":
        small |= {"teacher_rank": 8, "teacher_k": 3}
    if recipe == "authors":
        small |= {"input_dim": 12, "fan_outs": [3, 2], "item_fan_outs": [3], "n_negatives": 2}
    return load_recipe(recipe, **{**small, **settings})
