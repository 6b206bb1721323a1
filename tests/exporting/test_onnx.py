"""ONNX files against the library: each encoder's rule, by onnxruntime and by NumPy."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from tests.training.quick import quick, run_options

from hashgnn._components import ENCODERS
from hashgnn._types import Array
from hashgnn.data import Interactions, SideFeatures
from hashgnn.errors import MissingExtraError, ParameterError, StorageError
from hashgnn.exporting import export_onnx, onnx_file
from hashgnn.exporting.onnx_data import DataFile
from hashgnn.exporting.onnx_rules import RULES
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.state.card import ids_digest
from hashgnn.testing.states import random_state
from hashgnn.training import train

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

N_USERS, N_ITEMS = 30, 24
EQUAL = 2e-5  # two libraries round a sum otherwise


def interactions(*, weighted: bool = False) -> Interactions:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.3)
    weight = rng.choice([1.0, 3.0, 5.0], len(users)) if weighted else None
    return Interactions.from_arrays(users, items, weight=weight)


def fitted(encoder: dict[str, Any] | str, *, weighted: bool = False, **settings: Any) -> ModelState:
    pytest.importorskip("torch")
    # Objective ``edges`` trains every encoder.
    config = quick("paper", **{"encoder": encoder, "optimizer.epochs": 1, **settings})
    features = settings.pop("features", None)
    return train(interactions(weighted=weighted), config, user_features=features, options=run_options(3))


def session(state: ModelState, tmp_path: Path) -> Any:
    path = tmp_path / "history.onnx"
    export_onnx(state, path)
    onnx.checker.check_model(str(path), full_check=True)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def batch(*, repeats: bool = False) -> Array:
    """Histories of different lengths, filled up with -1 in different places; one is empty."""
    rng = np.random.default_rng(1)
    rows = np.full((40, 9), -1, np.int64)
    for row in rows[1:]:
        count = rng.integers(1, 9)
        row[rng.permutation(9)[:count]] = rng.choice(N_ITEMS, count, replace=repeats)
    return rows


def as_matrix(items: Array, weights: Array | None = None) -> sparse.csr_matrix:
    """The same histories as a matrix; a repeated item counts once, or its weights are added up."""
    dense = np.zeros((len(items), N_ITEMS), np.float32)
    for row, (positions, values) in enumerate(zip(items, items if weights is None else weights, strict=True)):
        for position, value in zip(positions, values, strict=True):
            if position >= 0:
                dense[row, position] = 1 if weights is None else dense[row, position] + value
    return sparse.csr_matrix(dense)


def agree(state: ModelState, found: list[Array], matrix: sparse.csr_matrix, features: Any = None) -> None:
    """Compare queries, and codes but for bits whose relaxed value is within rounding of 0."""
    query, code = found
    output = state.fold_in.users(matrix, features)
    relaxed = state.projection.users(output)
    wanted = relaxed if state.config.float_embedding == "relaxed" else output
    assert query.dtype == np.float32
    np.testing.assert_allclose(query, wanted, rtol=1e-4, atol=EQUAL * max(1, float(np.abs(wanted).max())))
    assert (code.dtype, code.shape) == (np.dtype(np.uint8), (len(query), state.n_bits // 8))
    certain = np.abs(relaxed) > 1e-4
    assert certain.mean() > 0.9
    bits = np.unpackbits(code, axis=1, bitorder="big") == 1
    assert (bits == (relaxed >= 0))[certain].all()


ENCODER_CASES = [
    "history",
    {"name": "history", "normalization": "degree"},
    {"name": "history", "input_table": False},
    "mf",
    "lightgcn",
    "gcn",
    "ngcf",
    "pinsage",
    {"name": "gat", "heads": 2},
    *({"name": "graphsage", "aggregator": name} for name in ("mean", "gcn", "concat", "max")),
]


@pytest.mark.parametrize("encoder", ENCODER_CASES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_runtime_computes_what_the_library_does(encoder: Any, weighted: bool, tmp_path: Path) -> None:
    state = fitted(encoder, weighted=weighted)
    run = session(state, tmp_path)
    items, feeds = batch(), {}
    matrix = as_matrix(items)
    name = encoder if isinstance(encoder, str) else encoder["name"]
    if weighted and RULES[name].reads_weights:
        weights = np.random.default_rng(2).uniform(0.1, 3, items.shape).astype(np.float32)
        feeds, matrix = {"weights": weights}, as_matrix(items, weights)
    assert [one.name for one in run.get_inputs()] == ["items", *feeds]
    agree(state, run.run(None, {"items": items, **feeds}), matrix)


def test_every_encoder_has_a_rule() -> None:
    assert set(RULES) == set(ENCODERS)
    assert {case if isinstance(case, str) else case["name"] for case in ENCODER_CASES} == set(RULES)


def test_the_queries_and_codes_are_those_of_recommending(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state(item_ids=[f"i{n}" for n in range(N_ITEMS)], n_bits=64))
    run = session(model.state_, tmp_path)
    items = np.array([[3, 1, -1], [7, 7, 7]])
    folded = model.fold_in_users([["i1", "i3"], ["i7"]])
    query, code = run.run(None, {"items": items})
    np.testing.assert_allclose(query, folded.embeddings, rtol=1e-5)
    assert code.tolist() == folded.codes.packed.tolist()


@pytest.mark.parametrize("encoder", ["history", {"name": "graphsage", "aggregator": "mean"}], ids=str)
def test_a_repeated_item_counts_once_without_weights(encoder: Any, tmp_path: Path) -> None:
    state = fitted(encoder)
    items = batch(repeats=True)
    agree(state, session(state, tmp_path).run(None, {"items": items}), as_matrix(items))


def test_weights_of_a_repeated_item_are_added_up(tmp_path: Path) -> None:
    state = fitted("history", weighted=True)
    items = batch(repeats=True)
    weights = np.random.default_rng(2).uniform(0.1, 3, items.shape).astype(np.float32)
    found = session(state, tmp_path).run(None, {"items": items, "weights": weights})
    agree(state, found, as_matrix(items, weights))


@pytest.mark.parametrize("encoder", ["history", "mf", {"name": "gat", "heads": 2}, "pinsage",
                                     {"name": "graphsage", "aggregator": "max"}], ids=str)  # fmt: skip
def test_batches_and_rows_of_any_length_are_taken_also_none(encoder: Any, tmp_path: Path) -> None:
    state = fitted(encoder)
    run = session(state, tmp_path)
    for shape in ((1, 1), (2, 0), (1, 40), (3, 5)):
        items = np.full(shape, -1, np.int64)
        items[:, : min(shape[1], N_ITEMS)] = np.arange(min(shape[1], N_ITEMS))
        agree(state, run.run(None, {"items": items}), as_matrix(items))
    query, code = run.run(None, {"items": np.empty((0, 3), np.int64)})
    assert (query.shape, code.shape) == ((0, state.dim), (0, state.n_bits // 8))


def test_a_position_beyond_the_items_is_an_error_of_the_runtime(tmp_path: Path) -> None:
    run = session(random_state(item_ids=N_ITEMS), tmp_path)
    with pytest.raises(Exception, match="indices element out of data bounds"):
        run.run(None, {"items": np.array([[N_ITEMS]])})


@pytest.mark.parametrize("encoder", ["history", "gcn"])
@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
@pytest.mark.parametrize("hash_layer", ["shared", "per_side"])
def test_either_hash_layer_and_float_embedding(
    encoder: str, float_embedding: str, hash_layer: str, tmp_path: Path
) -> None:
    state = fitted(encoder, float_embedding=float_embedding, hash_layer=hash_layer)
    agree(state, session(state, tmp_path).run(None, {"items": batch()}), as_matrix(batch()))


def test_learned_thresholds_are_in_the_graph(tmp_path: Path) -> None:
    state = fitted("history", relaxation="learned_threshold")
    assert any(name.endswith("threshold") for name in state.projection.arrays)
    agree(state, session(state, tmp_path).run(None, {"items": batch()}), as_matrix(batch()))


@pytest.mark.parametrize("encoder", ["history", "lightgcn", "gcn"])
def test_side_features_of_users_are_an_input(encoder: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"user_id": np.arange(N_USERS), "age": np.arange(N_USERS) % 7, "land": list("abc") * 10})
    features = SideFeatures.from_frame(table, id="user_id", numeric=["age"], categorical=["land"])
    config = quick("paper", **{"encoder": encoder, "optimizer.epochs": 1})
    state = train(interactions(), config, user_features=features, options=run_options(3))
    run = session(state, tmp_path)
    assert [(one.name, one.shape) for one in run.get_inputs()][1] == ("features", ["batch", 5])
    values = np.random.default_rng(4).normal(size=(40, 5)).astype(np.float32)
    agree(state, run.run(None, {"items": batch(), "features": values}), as_matrix(batch()), values)
    agree(state, run.run(None, {"items": batch(), "features": 0 * values}), as_matrix(batch()))
    vocabulary = json.loads(run.get_modelmeta().custom_metadata_map["user_features"])
    assert vocabulary == state.users.features.to_dict()  # type: ignore[union-attr]


def test_the_metadata_says_what_a_reader_needs(tmp_path: Path) -> None:
    state = fitted("history", weighted=True)
    metadata = session(state, tmp_path).get_modelmeta().custom_metadata_map
    assert metadata["item_ids_sha256"] == ids_digest(state.items.ids)
    assert float(metadata["mean_weight"]) == pytest.approx(float(state.seen.data.mean()))
    expected = {"n_bits": "16", "bit_order": "big", "n_items": "24", "encoder": "history", "query": "relaxed"}
    assert {name: metadata[name] for name in expected} == expected
    assert (
        "mean_weight" not in session(random_state(), tmp_path / "other").get_modelmeta().custom_metadata_map
    )


def test_the_same_model_is_the_same_bytes_and_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    model, path = HashGNN.from_state(random_state()), tmp_path / "history.onnx"
    model.export_onnx(path)
    first = path.read_bytes()
    with pytest.raises(ParameterError, match=r"history\.onnx: exists; pass overwrite=True to replace it$"):
        model.export_onnx(path)
    model.export_onnx(path, overwrite=True)
    assert path.read_bytes() == first


def external(path: Path) -> set[str]:
    """The files that the tensors of a model lie in."""
    model = onnx.load(str(path), load_external_data=False)
    return {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }


@pytest.mark.parametrize("encoder", ["history", "lightgcn", "gat"])
def test_tables_beyond_the_limit_lie_in_a_file_beside_it(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, items = fitted(encoder), batch()
    (tmp_path / "whole").mkdir()
    whole = session(state, tmp_path / "whole")
    monkeypatch.setattr(onnx_file, "_MAX_BYTES", 500)
    found = session(state, tmp_path)
    (data,) = tmp_path.glob("*.data")
    assert data.name.startswith("history.onnx.")
    assert external(tmp_path / "history.onnx") == {data.name}
    outputs = found.run(None, {"items": items})
    agree(state, outputs, as_matrix(items))
    for one, other in zip(outputs, whole.run(None, {"items": items}), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "history.onnx").stat().st_size < (tmp_path / "whole/history.onnx").stat().st_size
    # Both go elsewhere together, and the same model is the same bytes.
    (tmp_path / "moved").mkdir()
    for file in (data, tmp_path / "history.onnx"):
        (tmp_path / "moved" / file.name).write_bytes(file.read_bytes())
    moved = onnxruntime.InferenceSession(str(tmp_path / "moved/history.onnx"))
    np.testing.assert_array_equal(moved.run(None, {"items": items})[1], outputs[1])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    export_onnx(state, tmp_path / "history.onnx", overwrite=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_another_model_takes_the_place_of_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, neighbour = tmp_path / "history.onnx", tmp_path / "history.onnx.mine.data"
    neighbour.write_text("of somebody else")
    monkeypatch.setattr(onnx_file, "_MAX_BYTES", 500)
    export_onnx(random_state(20, 200), path)
    first = external(path)
    assert len(first) == 1
    with pytest.raises(ParameterError, match="exists; pass overwrite=True"):
        export_onnx(random_state(20, 200, rng=1), path)
    assert external(path) == first
    export_onnx(random_state(20, 200, rng=1), path, overwrite=True)
    assert external(path) != first
    assert {file.name for file in tmp_path.iterdir()} == {path.name, neighbour.name, *external(path)}
    monkeypatch.undo()
    export_onnx(random_state(20, 200, rng=1), path, overwrite=True)
    assert {file.name for file in tmp_path.iterdir()} == {path.name, neighbour.name}
    assert onnxruntime.InferenceSession(str(path)).run(None, {"items": np.array([[1, 2]])})[1].shape == (1, 4)


@pytest.mark.parametrize("fails", ["data", "model"])
def test_a_disk_that_fills_up_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "history.onnx"
    monkeypatch.setattr(onnx_file, "_MAX_BYTES", 500)
    export_onnx(random_state(20, 200), path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: Any) -> None:
        raise full

    if fails == "data":
        monkeypatch.setattr(DataFile, "_write", refuse)
    else:
        monkeypatch.setattr(Path, "write_bytes", refuse)
    for target, overwrite in ((path, True), (tmp_path / "new.onnx", False)):
        with pytest.raises(
            StorageError, match=r"could not be written, the disk is full; nothing was changed"
        ):
            export_onnx(random_state(20, 200, rng=1), target, overwrite=overwrite)
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_encoder_without_a_rule_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "RULES", {"mf": RULES["mf"]})
    with pytest.raises(
        ParameterError, match=r"^encoder must be one of 'mf' for an ONNX file, got 'history'$"
    ):
        export_onnx(random_state(), tmp_path / "history.onnx")


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="an ONNX file needs the package onnx, of the extra onnx"):
        export_onnx(random_state(), tmp_path / "history.onnx")
    assert list(tmp_path.iterdir()) == []
