"""Generated codes, queries and filters for indexes, small enough to have many ties."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import CandidateFilter, Matches

WIDTHS = (8, 16, 24, 64, 72, 128, 256, 512, 520, 1024)


@dataclass(frozen=True)
class Case:
    """One search.

    Attributes
    ----------
    codes, queries : BinaryCodes
    floats : ndarray of shape (n_queries, n_bits), float32
        Queries for asymmetric search.
    bias : ItemBias or None
    filter : CandidateFilter or None
    k, n_threads : int
    """

    codes: BinaryCodes
    queries: BinaryCodes
    floats: Array
    bias: ItemBias | None
    filter: CandidateFilter | None
    k: int
    n_threads: int


@st.composite
def cases(draw: st.DrawFn, max_codes: int = 300) -> Case:
    """Draw a case of up to ``max_codes`` codes, of a few patterns repeated, so that distances tie."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, n_queries = draw(st.integers(1, max_codes)), draw(st.integers(0, 7))
    n_bits = draw(st.sampled_from(WIDTHS))
    patterns = rng.integers(0, 256, (draw(st.integers(1, 40)), n_bits // 8), np.uint8)
    codes = BinaryCodes(patterns[rng.integers(0, len(patterns), n)])
    queries = BinaryCodes(rng.integers(0, 256, (n_queries, n_bits // 8), np.uint8))
    floats = np.round(rng.standard_normal((n_queries, n_bits)) * draw(st.sampled_from([0.01, 1, 50])), 3)
    bias = None
    if draw(st.booleans()):
        bias = ItemBias(
            rng.integers(0, draw(st.integers(1, 256)), n).astype(np.uint8), float(rng.integers(-9, 9))
        )
    chosen = CandidateFilter.from_lists(
        block_per_query=draw(st.none() | st.just(_lists(rng, n_queries, n, draw(st.integers(0, n))))),
        allow_per_query=draw(st.none() | st.just(_lists(rng, n_queries, n, draw(st.integers(0, n))))),
        allow_all=draw(st.none() | st.just(rng.random(n) < draw(st.sampled_from([0.0, 0.1, 0.9])))),
    )
    return Case(
        codes,
        queries,
        floats.astype(np.float32),
        bias,
        draw(st.sampled_from([chosen, None])),
        draw(st.integers(1, n)),
        draw(st.integers(1, 3)),
    )


def random_codes(n: int, seed: int, n_bits: int = 24) -> BinaryCodes:
    """Return random codes."""
    return BinaryCodes(np.random.default_rng(seed).integers(0, 256, (n, n_bits // 8), np.uint8))


def assert_same(found: Matches, expected: Matches) -> None:
    """Compare results; distances where both have them."""
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6, atol=1e-4)
    if expected.distances is not None and found.distances is not None:
        np.testing.assert_array_equal(found.distances, expected.distances)


def edit_header(path: Path, old: str, new: str) -> None:
    """Change the header of a saved index, its checksum with it."""
    content = path.read_bytes()
    length = int.from_bytes(content[8:16], "little")
    header = content[48 : 48 + length].decode()
    assert header.count(old) == 1
    header = header.replace(old, new)
    start = b"hashgnnx" + len(header).to_bytes(8, "little") + hashlib.sha256(header.encode()).digest()
    padding = 4096 - len(start) - len(header)
    path.write_bytes(start + header.encode() + bytes(padding) + content[4096:])


def _lists(rng: np.random.Generator, n_queries: int, n: int, longest: int) -> list[Array]:
    return [rng.integers(0, n, rng.integers(0, longest + 1)) for _ in range(n_queries)]
