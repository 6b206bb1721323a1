"""What print shows of the public objects: something to read, and never the values of whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, code_health
from hashgnn.codes.binarisers import fit_binariser
from hashgnn.evaluation import sample_distances
from hashgnn.graph import BipartiteGraph, low_spectrum
from hashgnn.recommender import HashGNN
from hashgnn.testing.states import random_state

STATE = random_state(40, 50)
MODEL = HashGNN.from_state(STATE)
VECTORS = np.random.default_rng(0).normal(size=(90, 16)).astype(np.float32)
GRAPH = BipartiteGraph(STATE.seen)

SHORT: dict[str, Any] = {
    "state": STATE,
    "side": STATE.items,
    "model": MODEL,
    "entities": MODEL.encode(user_ids=["u1", "u2"]),
    "recommendations": MODEL.recommend(["u1", "u2"], k=20),
    "distances": sample_distances(
        STATE.users.codes, STATE.items.codes, np.array([0, 1]), np.array([1, 2]), rng=0
    ),
    "spectrum": low_spectrum(GRAPH, rank=4, rng=0),
    **{name: fit_binariser(name, VECTORS, n_bits=16, rng=0) for name in ("lsh", "itq", "spectral", "sign")},
}


@pytest.mark.parametrize("name", SHORT)
def test_arrays_print_by_their_shape(name: str) -> None:
    text = repr(SHORT[name])
    assert "array(" not in text
    assert len(text) < 400, text


def test_what_is_printed_says_how_many_and_how_wide() -> None:
    assert repr(STATE.items) == f"Side(n=50, n_bits={STATE.n_bits}, dim={STATE.dim}, bias=True)"
    assert repr(SHORT["entities"]).startswith(f"EncodedEntities(n=2, n_bits={STATE.n_bits}, dim=")
    assert "float32 (16, 16)" in repr(SHORT["itq"])


def test_code_health_prints_as_a_table() -> None:
    lines = repr(code_health(BinaryCodes(np.array([[0b10000000], [0b10001111]], np.uint8)))).splitlines()
    assert lines[0].split() == ["n", "codes", "2"]
    assert {line.split("  ")[0].strip() for line in lines} >= {"dead bits", "mean entropy", "collision share"}
