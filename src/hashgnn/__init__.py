"""Learned hash codes for recommenders.

The public names are imported when they are first used, so that ``import hashgnn`` is quick and what a
program does not use costs it nothing. Their types are in ``__init__.pyi``.
"""

from importlib import import_module, metadata

_HOMES = {
    "BinaryCodes": "hashgnn.codes",
    "HashGNN": "hashgnn.recommender",
    "Interactions": "hashgnn.data",
    "ItemBias": "hashgnn.codes",
    "ModelConfig": "hashgnn.config",
    "ModelState": "hashgnn.state",
    "Recommendations": "hashgnn.recommender",
    "SideFeatures": "hashgnn.data",
    "evaluate": "hashgnn.evaluation",
    "load_recipe": "hashgnn.config",
    "read_interactions": "hashgnn.data",
}
_ROOMS = {"errors": "hashgnn.errors", "split": "hashgnn.data.split"}

__all__ = [
    "BinaryCodes",
    "HashGNN",
    "Interactions",
    "ItemBias",
    "ModelConfig",
    "ModelState",
    "Recommendations",
    "SideFeatures",
    "__version__",
    "errors",
    "evaluate",
    "load_recipe",
    "read_interactions",
    "split",
]


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        value = _version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = import_module(_ROOMS[name])
    else:
        raise AttributeError(f"module 'hashgnn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    try:
        return metadata.version("hashgnn")
    except metadata.PackageNotFoundError:  # a source tree on the path, never installed
        return "unknown"
