"""Optional dependencies: one way to import them, one error when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from hashgnn.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or raise :class:`MissingExtraError` that names the extra to install.

    Examples
    --------
    >>> require("json", extra="train", purpose="training").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is installed but broken inside must show its own error.
        if error.name != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f'{purpose} needs the package {module.split(".")[0]}; install it with: pip install "hashgnn[{extra}]"'
        ) from None
