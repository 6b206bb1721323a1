"""Files for engines without a server here, read by their libraries or held against their documented forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.codes import BinaryCodes, widen_queries
from hashgnn.engines import export_files, open_engine
from hashgnn.errors import ParameterError, StorageError
from hashgnn.index import HammingIndex
from hashgnn.state import ModelState, load_state, save_state
from hashgnn.testing.states import random_state

_N = 300


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    state = random_state(20, _N)
    save_state(state, folder / "v1")
    save_state(random_state(20, _N, item_bias=False), folder / "plain")
    price: list[float | None] = [float(at) for at in range(_N)]
    price[5] = None
    table = pa.table(
        {"item_id": state.items.ids.ids.tolist(), "price": price, "kind": ["a", "b"] * (_N // 2)}
    )
    pq.write_table(table, folder / "a.parquet")
    return folder


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def read_lines(folder: Path, name: str) -> list[Any]:
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{name}-*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def expected(state: ModelState, biased: bool) -> np.ndarray:
    return (
        HammingIndex(state.items.codes, state.items.bias)
        .search(state.users.codes, 15, biased=biased)
        .positions
    )


def by_distance(distances: np.ndarray, positions: np.ndarray) -> np.ndarray:
    order = np.lexsort((positions, distances), axis=1)
    return np.take_along_axis(positions, order, 1)


def test_faiss_reads_its_files_and_finds_what_we_find(saved: Path, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    folder = export_files(saved / "v1", tmp_path / "out", "faiss", attributes=saved / "a.parquet")
    state, manifest = load_state(saved / "v1"), manifest_of(folder)
    for field, biased in (("code", False), ("biased", True)):
        index = faiss.read_index_binary(str(folder / f"{field}.faiss"))
        assert (index.ntotal, index.d) == (_N, manifest["fields"][field])
        queries = state.users.codes
        if biased:
            queries = widen_queries(queries, manifest["n_extra"])
        distances, positions = index.search(queries.packed, _N)
        np.testing.assert_array_equal(by_distance(distances, positions)[:, :15], expected(state, biased))
        faiss.write_index_binary(index, str(tmp_path / "again"))
        assert (tmp_path / "again").read_bytes() == (folder / f"{field}.faiss").read_bytes()
    items = pq.read_table(folder / "items.parquet")
    assert items["item_id"].to_pylist() == state.items.ids.ids.tolist()
    assert items["price"].to_pylist()[4:7] == [4.0, None, 6.0]
    assert state.items.bias is not None
    assert items["penalty"].to_pylist() == state.items.bias.penalty.tolist()


def test_usearch_reads_its_files_and_finds_what_we_find(saved: Path, tmp_path: Path) -> None:
    usearch = pytest.importorskip("usearch.index")
    folder = export_files(saved / "plain", tmp_path / "out", "usearch")
    state = load_state(saved / "plain")
    assert not (folder / "biased.usearch").exists()
    index = usearch.Index.restore(str(folder / "code.usearch"))
    found = index.search(state.users.codes.packed, _N, exact=True)
    np.testing.assert_array_equal(
        by_distance(np.asarray(found.distances), np.asarray(found.keys).astype(np.int64))[:, :15],
        expected(state, False),
    )


@pytest.mark.parametrize("form", ["elasticsearch", "opensearch"])
def test_documents_hold_the_codes_and_fit_their_mapping(saved: Path, tmp_path: Path, form: str) -> None:
    folder = export_files(saved / "v1", tmp_path / "out", form, attributes=saved / "a.parquet")
    state, manifest = load_state(saved / "v1"), manifest_of(folder)
    mapping = read_json(folder / "mapping.json")["mappings"]["properties"]
    actions, sources = read_lines(folder, "bulk")[::2], read_lines(folder, "bulk")[1::2]
    assert [action["index"]["_id"] for action in actions] == state.items.ids.ids.tolist()
    name = actions[0]["index"]["_index"]
    assert name == f"hashgnn-items-{manifest['model'][:12]}"
    assert read_json(folder / "alias.json")["actions"][1] == {
        "add": {"index": name, "alias": "hashgnn-items"}
    }
    assert all(set(source) <= set(mapping) for source in sources)
    assert mapping["price"]["type"] == "double"
    assert mapping["kind"]["type"] == "keyword"
    assert "price" not in sources[5]
    assert sources[6]["price"] == 6.0
    for field in ("code", "biased"):
        width = manifest["fields"][field]
        assert mapping[field].get("dims", mapping[field].get("dimension")) == width
        rows = [source[field] for source in sources]
        packed = (
            np.frombuffer(bytes.fromhex("".join(rows)), np.uint8).reshape(_N, -1)
            if form == "elasticsearch"
            else np.array(rows, np.int8).view(np.uint8)
        )
        assert packed.shape == (_N, width // 8)
        queries = (
            state.users.codes if field == "code" else widen_queries(state.users.codes, manifest["n_extra"])
        )
        distances = queries.distances(BinaryCodes(packed))
        positions = np.broadcast_to(np.arange(_N), distances.shape)
        np.testing.assert_array_equal(
            by_distance(distances, positions)[:, :15], expected(state, field == "biased")
        )
    kinds = {"elasticsearch": ("element_type", "bit"), "opensearch": ("data_type", "binary")}
    assert mapping["biased"][kinds[form][0]] == kinds[form][1]
    assert "biased" in json.dumps(read_json(folder / "query.json"))


def test_vespa_has_a_schema_and_a_feed_that_fit(saved: Path, tmp_path: Path) -> None:
    folder = export_files(saved / "v1", tmp_path / "out", "vespa", attributes=saved / "a.parquet")
    state, manifest = load_state(saved / "v1"), manifest_of(folder)
    schema = (folder / "hashgnn_item.sd").read_text()
    assert schema.count("{") == schema.count("}")
    assert f"field biased type tensor<int8>(x[{manifest['fields']['biased'] // 8}])" in schema
    assert f"query(e) tensor<float>(d[{state.dim}])" in schema
    feed = read_lines(folder, "feed")
    assert [entry["fields"]["item_id"] for entry in feed] == state.items.ids.ids.tolist()
    assert len({entry["put"] for entry in feed}) == _N
    for field in feed[5]["fields"]:
        assert f"field {field} type" in schema
    packed = bytes.fromhex("".join(entry["fields"]["code"]["values"] for entry in feed))
    assert packed == state.items.codes.packed.tobytes()
    embedding = np.array([entry["fields"]["embedding"]["values"] for entry in feed])
    np.testing.assert_allclose(embedding, state.items.embeddings, rtol=1e-3, atol=1e-3)
    assert "nearestNeighbor(biased, q)" in read_json(folder / "query.json")["yql"]


def test_a_folder_is_written_whole_or_not_at_all(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").write_text("mine")
    with pytest.raises(StorageError, match="must be a new or an empty folder"):
        export_files(saved / "v1", tmp_path / "full", "faiss")
    with pytest.raises(
        ParameterError, match=r"form must be one of 'faiss', .* got 'fais'; did you mean 'faiss'"
    ):
        export_files(saved / "v1", tmp_path / "out", "fais")
    with pytest.raises(StorageError):
        export_files(saved / "v1", "/proc/none/out", "faiss")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
    with pytest.raises(ParameterError, match=r"vespa is not connected to.*--as vespa --to FOLDER"):
        open_engine("vespa://localhost")
