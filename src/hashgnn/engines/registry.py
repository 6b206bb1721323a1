"""Engines by the scheme of their URL."""

from __future__ import annotations

from hashgnn._registry import Registry, imported
from hashgnn.engines.address import EngineAddress
from hashgnn.engines.base import Engine

_ROOM = "hashgnn.engines"

# A new engine has a file and a row here; its contract is hashgnn.testing.engines.
ENGINES: Registry[str] = Registry(
    "scheme of an engine's URL",
    {
        "postgresql": f"{_ROOM}.postgres:PostgresEngine",
        "lancedb": f"{_ROOM}.lance:LanceEngine",
        "milvus": f"{_ROOM}.milvus:MilvusEngine",
    },
)

_ALIASES = {"postgres": "postgresql"}


def open_engine(url: str) -> Engine:
    """Connect to the engine that a URL names.

    Parameters
    ----------
    url : str
        ``postgresql://user@host/db?table=items``, ``lancedb:///folder`` or ``milvus://host:19530``; the guide
        docs/guide/engines.md lists the options of each.

    Raises
    ------
    ParameterError
        If no engine has the scheme, or an option is unknown or breaks its rule.
    EngineError
        If the engine cannot be reached.
    MissingExtraError
        If its client is not installed.
    """
    address = EngineAddress.of(url)
    scheme = _ALIASES.get(address.scheme, address.scheme)
    kind: type[Engine] = imported(ENGINES[scheme])
    return kind.connect(EngineAddress(scheme, address.place, address.options))
