"""Quantisers of the same floats: estimates, bytes, and one fit for a model and all that code it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashgnn.benchmarking.quality.data_sets import load_data_set
from hashgnn.benchmarking.quality.methods import parse_method
from hashgnn.benchmarking.quality.quantisers import QUANTISERS, quantise
from hashgnn.benchmarking.quality.run import Plan, compare_quality
from hashgnn.errors import ParameterError

ITEMS = np.random.default_rng(0).normal(size=(700, 32)).astype(np.float32)
QUERIES = np.random.default_rng(1).normal(size=(40, 32)).astype(np.float32)
LIBRARIES = {"opq": "faiss", "pq": "faiss", "rabitq": "faiss", "turboquant": "turbovec"}


def estimates(name: str, **settings: Any) -> tuple[np.ndarray, float]:
    pytest.importorskip(LIBRARIES[name])
    quantised = quantise(name, ITEMS, n_bits=64, seed=3, **settings)
    return quantised.scores(QUERIES), quantised.bytes_per_item


def agreement(scores: np.ndarray) -> float:
    return float(np.corrcoef(scores.ravel(), (QUERIES @ ITEMS.T).ravel())[0, 1])


@pytest.mark.parametrize("name", sorted(QUANTISERS))
def test_estimates_follow_the_inner_products_and_a_seed_gives_them_again(name: str) -> None:
    first, n_bytes = estimates(name)
    again, _ = estimates(name)
    assert first.shape == (40, 700)
    assert agreement(first) > 0.75
    assert np.array_equal(first, again)
    assert 0 < n_bytes < 4 * 32


@pytest.mark.parametrize(
    ("name", "few", "many"),
    [
        ("rabitq", {"bits": 1}, {"bits": 4}),
        ("turboquant", {"bits": 2}, {"bits": 4}),
        ("opq", {"n_bytes": 4}, {"n_bytes": 16}),
    ],
)
def test_more_bytes_estimate_better(name: str, few: dict[str, int], many: dict[str, int]) -> None:
    (less, small), (more, large) = estimates(name, **few), estimates(name, **many)
    assert large > small
    assert agreement(more) > agreement(less)
    assert agreement(more) > 0.97


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("opq", {"n_bytes": 5}, "n_bytes of opq must divide the width of the embeddings, 32, got 5"),
        ("rabitq", {"bits": 0}, "bits must"),
        ("turboquant", {"bits": 5}, "bits must"),
    ],
)
def test_settings_that_do_not_fit_are_named(name: str, settings: dict[str, int], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        estimates(name, **settings)


@pytest.mark.parametrize("bits", [1, 3])
def test_rabitq_scores_as_a_search_of_faiss_does(bits: int) -> None:
    faiss = pytest.importorskip("faiss")
    scores, _ = estimates("rabitq", bits=bits)
    rotation = faiss.RandomRotationMatrix(32, 32)
    rotation.init(3)
    own = faiss.IndexRaBitQ(32, faiss.METRIC_INNER_PRODUCT, bits)
    own.qb = 0
    index = faiss.IndexPreTransform(rotation, own)
    index.train(ITEMS)
    index.add(ITEMS)
    found, positions = index.search(QUERIES, 10)
    np.testing.assert_allclose(np.take_along_axis(scores, positions, 1), found, rtol=1e-4, atol=1e-3)


def test_a_setting_of_another_quantiser_is_refused_before_anything_is_fitted() -> None:
    with pytest.raises(ParameterError, match="n_bytes is not a setting of rabitq; its settings: bits, form"):
        parse_method("rabitq+n_bytes=8:default")


def test_codes_of_a_recipe_are_made_of_the_floats_that_its_own_cell_fitted(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    from hashgnn.recommender import HashGNN

    fits: list[object] = []
    fit = HashGNN.fit

    def counted(self: HashGNN, *given: Any, **named: Any) -> Any:
        fits.append(self)
        return fit(self, *given, **named)

    monkeypatch.setattr(HashGNN, "fit", counted)
    data = load_data_set("groups", files.parent)
    expression = "default+optimizer.epochs=1"
    methods = [
        parse_method(f"ours={expression}"),
        parse_method(f"rabitq:{expression}"),
        parse_method(f"lsh:{expression}"),
    ]
    plan = Plan(methods, bits=[16], seeds=[0], metrics=["recall@5"])
    ours, rabitq, lsh = compare_quality(tmp_path, plan, [data], progress=False)
    assert len(fits) == 1
    for coded in (rabitq, lsh):
        assert coded.values["metrics"]["float"] == ours.values["metrics"]["float"]
    assert "hamming" in lsh.search_ways
    assert "hamming" not in rabitq.search_ways
    # After a kill the embeddings may be there without a cell, or the cell without the embeddings.
    for path in (tmp_path / "floats").iterdir():
        path.unlink()
    plan = Plan(
        [methods[0], parse_method(f"opq+n_bytes=1:{expression}")], bits=[16], seeds=[0], metrics=["recall@5"]
    )
    compare_quality(tmp_path, plan, [data], progress=False, on_failed=lambda cell, error: None)
    assert len(fits) == 2


@pytest.mark.parametrize("bits", [2, 4])
def test_turboquant_scores_as_a_search_of_turbovec_does_but_for_its_rounding_of_queries(bits: int) -> None:
    turbovec = pytest.importorskip("turbovec")
    scores, _ = estimates("turboquant", bits=bits)
    index = turbovec.TurboQuantIndex(dim=32, bit_width=bits)
    index.calibrate(ITEMS[np.random.default_rng(3).permutation(len(ITEMS))])
    index.add(ITEMS)
    index.prepare()
    found, positions = index.search(QUERIES, len(ITEMS))
    own = np.take_along_axis(scores, positions.astype(np.int64), axis=1)
    assert np.abs(own - found).max() < 0.1 * np.abs(found).max()
    assert np.corrcoef(own.ravel(), found.ravel())[0, 1] > 0.998
