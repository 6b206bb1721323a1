"""Optional dependencies: one way to import them, one error when they are missing."""

from __future__ import annotations

import importlib
import importlib.util
import re
from importlib import metadata
from types import ModuleType

from hashgnn._processors import wait_passively
from hashgnn.errors import MissingExtraError

_WITH_OPENMP = ("torch", "faiss", "implicit")


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or raise :class:`MissingExtraError` that names the extra to install.

    A module that brings OpenMP is loaded with threads that wait passively, if it is loaded here first.

    Examples
    --------
    >>> require("json", extra="train", purpose="training").__name__
    'json'
    """
    package = module.split(".")[0]
    if package in _WITH_OPENMP:
        wait_passively()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is installed but broken inside must show its own error.
        if error.name != package:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {package}, of the extra {extra}; install it with: "
            f"pip install {' '.join(_packages(extra) or [package])}"
        ) from None


def check_extra(*modules: str, extra: str, purpose: str) -> None:
    """Raise :class:`MissingExtraError` where a module is missing that the end of a long run will need.

    Parameters
    ----------
    *modules : str
        Packages are looked for, and not imported.
    extra, purpose : str
        As for :func:`require`.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            require(module, extra=extra, purpose=purpose)


def _packages(extra: str) -> list[str]:
    """Return the requirements of an extra, quoted for a shell: names that pip knows, whatever hashgnn came from."""
    try:
        requirements = metadata.requires("hashgnn") or []
    except metadata.PackageNotFoundError:  # a source tree on the path, never installed
        return []
    parts = [requirement.partition(";") for requirement in requirements]
    wanted = re.compile(rf"extra == ['\"]{extra}['\"]")
    return [f'"{name.strip()}"' for name, _, marker in parts if wanted.search(marker)]
