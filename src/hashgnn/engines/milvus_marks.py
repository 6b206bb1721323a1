"""The collection in Milvus that names the versions of a model that are whole."""

from __future__ import annotations

from typing import Any

from hashgnn.engines.base import Engine, EngineVersion

_LONGEST_DOCUMENT = 65535


class MilvusMarks:
    """Entries of versions: written last, read first.

    Parameters
    ----------
    engine : Engine
        Reads entries, and names itself in messages.
    client, pymilvus : MilvusClient, module
    name : str
        Of the collection.
    timeout : int
        Seconds that a call may take.
    """

    def __init__(self, engine: Engine, client: Any, pymilvus: Any, name: str, timeout: int) -> None:
        self._engine, self._client, self._pymilvus = engine, client, pymilvus
        self._name, self._timeout = name, timeout
        self._prefixes: dict[str, str] = {}

    def read(self) -> list[tuple[EngineVersion, str]]:
        """Return the versions that are named, from the oldest to the newest, and the prefix of their collections."""
        if not self._client.has_collection(self._name):
            return []
        rows = self._client.query(
            self._name,
            filter="number > 0",
            output_fields=["number", "prefix", "document"],
            consistency_level="Strong",
            timeout=self._timeout,
        )
        rows = sorted(rows, key=lambda row: int(row["number"]))
        return [(self._engine.read_entry(row["number"], row["document"]), str(row["prefix"])) for row in rows]

    def prefix_of(self, version: EngineVersion) -> str | None:
        """Return the prefix of a version's collections; None if the version is not named. Looked up once."""
        key = f"{version.number} {version.checksum}"
        if key not in self._prefixes:
            for one, prefix in self.read():
                if (one.number, one.checksum) == (version.number, version.checksum):
                    self._prefixes[key] = prefix
        return self._prefixes.get(key)

    def holds(self, version: EngineVersion, *, strong: bool = False) -> bool:
        """Return whether a version is named; ``strong`` waits for what was written a moment ago.

        Otherwise the answer may be some seconds old, which is less than what lies between two syncs.
        """
        level = {"consistency_level": "Strong"} if strong else {}
        rows = self._client.query(
            self._name,
            filter=f"number == {version.number}",
            output_fields=["document"],
            timeout=self._timeout,
            **level,
        )
        return any(version.checksum in row["document"] for row in rows)

    def write(self, version: EngineVersion, prefix: str, *, keep_from: int) -> None:
        """Name a version, then name those before ``keep_from`` no longer."""
        if not self._client.has_collection(self._name):
            self._make()
        row = {
            "number": version.number,
            "prefix": prefix,
            "document": version.model_dump_json(),
            "vector": b"\0",
        }
        self._client.insert(self._name, [row], timeout=self._timeout)
        self._client.delete(self._name, filter=f"number < {keep_from}", timeout=self._timeout)

    def _make(self) -> None:
        kinds = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False)
        schema.add_field("number", kinds.INT64, is_primary=True)
        schema.add_field("prefix", kinds.VARCHAR, max_length=200)
        schema.add_field("document", kinds.VARCHAR, max_length=_LONGEST_DOCUMENT)
        schema.add_field("vector", kinds.BINARY_VECTOR, dim=8)  # a collection must have one
        self._client.create_collection(self._name, schema=schema, timeout=self._timeout)
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="BIN_FLAT", metric_type="HAMMING")
        self._client.create_index(self._name, index)
        self._client.load_collection(self._name)
