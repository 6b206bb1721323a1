"""Hyper-parameters: one typed, frozen, JSON-round-trippable config, and the named recipes that fill it."""

from hashgnn.config.model_config import ModelConfig
from hashgnn.config.recipes import RECIPES, load_recipe, parse_setting, save_recipe
from hashgnn.config.section import Section, Setting
from hashgnn.config.training import OptimizerConfig, ValidationConfig

__all__ = [
    "RECIPES",
    "ModelConfig",
    "OptimizerConfig",
    "Section",
    "Setting",
    "ValidationConfig",
    "load_recipe",
    "parse_setting",
    "save_recipe",
]
