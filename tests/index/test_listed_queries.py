"""Queries of lists around embeddings: every form of the same numbers answers alike, and bad ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, RowQuantiser

Array = np.ndarray[Any, Any]
_WIDTH, _K = 24, 10


def _some(n: int, seed: int) -> EmbeddedCodes:
    """Return embeddings that float16 holds exactly, with the codes of their signs."""
    vectors = np.random.default_rng(seed).standard_normal((n, _WIDTH)).astype(np.float16).astype(np.float32)
    return EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors)


@pytest.fixture(scope="module", params=["float16", "int8", None])
def index(request: pytest.FixtureRequest) -> HierarchicalIndex:
    entries = _some(800, 0)
    rows = RowQuantiser.fit(entries.embeddings, bits=4)
    return HierarchicalIndex(
        HammingIndex(entries.codes), entries.embeddings, dtype=request.param, rows=rows, n_lists=12
    )


def _strided(vectors: Array) -> Array:
    wide = np.zeros((len(vectors), 2 * _WIDTH), np.float32)
    wide[:, ::2] = vectors
    return wide[:, ::2]


_FORMS: dict[str, Callable[[Array], Array]] = {
    "float64": lambda v: v.astype(np.float64),
    "float16": lambda v: v.astype(np.float16),
    "columns first": np.asfortranarray,
    "every second column": _strided,
    "other byte order": lambda v: v.astype(">f4"),
    "read only": lambda v: np.frombuffer(v.tobytes(), np.float32).reshape(v.shape),
}


@pytest.mark.parametrize("form", _FORMS)
def test_every_form_of_the_same_queries_finds_the_same(index: HierarchicalIndex, form: str) -> None:
    queries = _some(7, 1)
    usual = index.search(queries, _K)
    found = index.search(EmbeddedCodes(queries.codes, _FORMS[form](queries.embeddings)), _K)
    assert np.array_equal(found.positions, usual.positions)
    assert np.array_equal(found.scores, usual.scores)


def test_mapped_queries_find_the_same(index: HierarchicalIndex, tmp_path: Path) -> None:
    queries = _some(7, 1)
    np.save(tmp_path / "queries.npy", queries.embeddings)
    mapped = EmbeddedCodes(queries.codes, np.load(tmp_path / "queries.npy", mmap_mode="r"))
    for some in (slice(0, 7), slice(2, 3)):
        assert np.array_equal(
            index.search(mapped[some], _K).positions, index.search(queries[some], _K).positions
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 40])
def test_a_query_that_is_not_finite_is_refused_wherever_it_is(
    index: HierarchicalIndex, n: int, value: float
) -> None:
    for at in (0, n * _WIDTH - 1):
        vectors = _some(n, 1).embeddings.copy()
        vectors.reshape(-1)[at] = value
        queries = EmbeddedCodes(_some(n, 1).codes, vectors)
        with pytest.raises(
            ParameterError, match="embeddings of queries must be finite, got 1 NaN or infinity"
        ):
            index.search(queries, _K)
        with pytest.raises(
            ParameterError, match="embeddings of queries must be finite, got 1 NaN or infinity"
        ):
            index.search(EmbeddedCodes(queries.codes, vectors.astype(np.float64)), _K)


def test_products_that_are_too_large_are_refused(index: HierarchicalIndex) -> None:
    queries = _some(3, 1)
    vectors = np.where(
        np.arange(3)[:, None] == 1, np.float32(3e38) * np.sign(queries.embeddings), queries.embeddings
    )
    with pytest.raises(ParameterError, match="inner products must be finite"):
        index.search(EmbeddedCodes(queries.codes, vectors.astype(np.float32)), _K)
    assert index.search(queries, _K).is_finite


@pytest.mark.parametrize("shape", [(3, _WIDTH - 8), (3, _WIDTH + 8), (3, 0)])
def test_queries_of_another_width_are_refused(index: HierarchicalIndex, shape: tuple[int, int]) -> None:
    queries = EmbeddedCodes(_some(3, 1).codes, np.zeros(shape, np.float32))
    with pytest.raises(ParameterError, match=rf"embeddings of queries must have shape \(n, {_WIDTH}\)"):
        index.search(queries, _K)


@pytest.mark.parametrize("n_threads", [True, 0, 1.0, [1], "1", 1025])
def test_options_of_an_earlier_search_let_no_bad_ones_through(
    index: HierarchicalIndex, n_threads: object
) -> None:
    queries: Any = _some(3, 1)
    index.search(queries, 1, n_threads=1)
    with pytest.raises(ParameterError, match="n_threads must be"):
        index.search(queries, 1, n_threads=n_threads)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="k must be"):
        index.search(queries, True)
    with pytest.raises(ParameterError, match="oversampling must be"):
        index.search(queries, 1, oversampling=0)


def test_searches_with_other_options_do_not_share_them(index: HierarchicalIndex) -> None:
    queries = _some(5, 1)
    first = [index.search(queries, k, n_threads=threads).positions for k, threads in ((3, 1), (8, 1), (3, 2))]
    assert [found.shape[1] for found in first] == [3, 8, 3]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(first[0], first[1][:, :3])


def test_a_slice_of_queries_is_what_its_parts_make() -> None:
    queries = _some(9, 1)
    for rows in (slice(2, 5), slice(8, None, -3), np.array([1, 7]), queries.embeddings[:, 0] > 0):
        some = queries[rows]
        assert np.array_equal(some.embeddings, queries.embeddings[rows])
        assert some.codes == queries.codes[rows]
        assert len(some) == len(some.embeddings)
    with pytest.raises(ParameterError, match="rows must be a slice or an array"):
        queries[2]  # type: ignore[index]
