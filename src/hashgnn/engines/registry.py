"""Engines by the scheme of their URL, and the forms of files for other engines by name."""

from __future__ import annotations

from hashgnn._registry import Registry, imported
from hashgnn.engines.address import EngineAddress
from hashgnn.engines.base import Engine
from hashgnn.errors import ParameterError

_ROOM = "hashgnn.engines"

#: Engines by the scheme of their URL. A new one has a file and a row here; its contract is hashgnn.testing.engines.
ENGINES: Registry[str] = Registry(
    "scheme of an engine's URL",
    {
        "postgresql": f"{_ROOM}.postgres:PostgresEngine",
        "lancedb": f"{_ROOM}.lance:LanceEngine",
        "milvus": f"{_ROOM}.milvus:MilvusEngine",
    },
)

#: Forms of files for an engine that is not connected to, each a function that writes a folder.
FILE_FORMS: Registry[str] = Registry(
    "form",
    {
        "faiss": f"{_ROOM}.files.faiss:write_faiss",
        "usearch": f"{_ROOM}.files.usearch:write_usearch",
        "elasticsearch": f"{_ROOM}.files.elasticsearch:write_elasticsearch",
        "opensearch": f"{_ROOM}.files.opensearch:write_opensearch",
        "vespa": f"{_ROOM}.files.vespa:write_vespa",
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
    if scheme in FILE_FORMS:
        raise ParameterError(
            f"{scheme} is not connected to, it reads files; write them with hashgnn export DIR --as {scheme} --to FOLDER"
        )
    kind: type[Engine] = imported(ENGINES[scheme])
    return kind.connect(EngineAddress(scheme, address.place, address.options))
