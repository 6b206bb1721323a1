"""The choice of results that differ: as the definition says, on every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index.choosing import choose_diverse


def by_definition(
    codes: BinaryCodes,
    relevance: np.ndarray,
    k: int,
    diversity: float,
    groups: np.ndarray,
    caps: list[int],
    n_chosen: int,
) -> tuple[list[int], list[int]]:
    """Compare every candidate with all that are chosen, every time."""
    bits = np.unpackbits(codes.packed, axis=1).astype(int)
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    chosen, result, capped = list(range(n_chosen)), [], [0] * len(caps)
    left = list(range(n_chosen, len(codes)))
    while left and len(result) < k:
        values = {}
        for row in left:
            similarity = 1.0 - min(distances[row, chosen]) / codes.n_bits if chosen else 0.0
            values[row] = (1.0 - diversity) * relevance[row] - diversity * similarity
        best = max(left, key=lambda row: (values[row], -row))
        left.remove(best)
        full = [
            place
            for place, cap in enumerate(caps)
            if groups[best, place] >= 0 and (groups[chosen, place] == groups[best, place]).sum() >= cap
        ]
        if full:
            capped[full[0]] += 1
        else:
            chosen.append(best)
            result.append(best)
    return result, capped


@st.composite
def choices(draw: st.DrawFn) -> tuple[BinaryCodes, np.ndarray, int, float, np.ndarray, list[int], int]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, n_bits = draw(st.integers(0, 40)), draw(st.sampled_from([8, 16, 24, 64, 72, 128, 256, 1024]))
    patterns = rng.integers(0, 256, (draw(st.integers(1, 12)), n_bits // 8), np.uint8)
    codes = BinaryCodes(patterns[rng.integers(0, len(patterns), n)])
    relevance = np.round(rng.random(n), draw(st.integers(0, 3)))  # many ties
    caps = draw(st.lists(st.integers(1, 4), max_size=3))
    groups = rng.integers(-1, draw(st.integers(1, 5)), (n, len(caps)))
    return (
        codes,
        relevance,
        draw(st.integers(0, 45)),
        draw(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])),
        groups,
        caps,
        draw(st.integers(0, min(n, 4))),
    )


@given(choices())
@settings(max_examples=300, deadline=None)
def test_the_choice_is_that_of_the_definition(case: tuple) -> None:
    codes, relevance, k, diversity, groups, caps, n_chosen = case
    found = choose_diverse(
        codes, relevance, k, diversity=diversity, groups=groups, caps=np.array(caps), n_chosen=n_chosen
    )
    assert (found.rows.tolist(), found.n_capped.tolist()) == by_definition(*case)


def test_without_diversity_the_order_is_that_of_the_relevance() -> None:
    codes = BinaryCodes(np.zeros((4, 1), np.uint8))
    assert choose_diverse(codes, np.array([0.5, 1.0, 0.5, 0.9]), 3).rows.tolist() == [1, 3, 0]
    assert choose_diverse(codes[:0], np.empty(0), 3).rows.tolist() == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"diversity": 1.5}, "diversity must be .* got 1.5"),
        ({"k": -1}, "k must be an integer >= 0, got -1"),
        ({"n_chosen": 5}, "n_chosen must be at most 3, got 5"),
        ({"relevance": np.array([1.0, np.nan, 0.0])}, "relevance must be finite, got NaN or infinity"),
        ({"relevance": np.ones(2)}, "relevance must have one value a code"),
        ({"groups": np.zeros((3, 1), np.int32)}, "groups and caps must be given together"),
        (
            {"groups": np.zeros((2, 1), np.int32), "caps": np.ones(1, np.int64)},
            "groups must have one row a code",
        ),
    ],
)
def test_a_wrong_argument_is_an_error(change: dict, sentence: str) -> None:
    codes = BinaryCodes(np.zeros((3, 2), np.uint8))
    arguments = {"relevance": np.ones(3), "k": 2, **change}
    with pytest.raises(ParameterError, match=sentence):
        choose_diverse(codes, **arguments)


def every_choice() -> list[list[int]]:
    rng = np.random.default_rng(3)
    found = []
    for n_bits in (8, 64, 72, 128, 256, 520, 1024):
        centers = rng.integers(0, 256, (9, n_bits // 8), np.uint8)
        noise = np.packbits(rng.random((200, n_bits)) < 0.2, axis=1)
        codes = BinaryCodes(centers[rng.integers(0, 9, 200)] ^ noise)
        found.append(choose_diverse(codes, rng.random(200), 60, diversity=0.6).rows.tolist())
    return found


@pytest.mark.parametrize("simd", ["avx512", "avx2", "neon", "portable"])
def test_every_instruction_set_chooses_the_same(simd: str) -> None:
    script = (
        "import sys; from hashgnn import _native\n"
        "from hashgnn.errors import ParameterError\n"
        "try: _native.simd()\n"
        "except ParameterError: sys.exit(77)\n"
        "from tests.index.test_choosing import every_choice; print(every_choice())"
    )
    environment = {**os.environ, "HASHGNN_SIMD": simd}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=root, check=False, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip(f"this processor has no {simd}")
    assert done.stdout.strip() == str(every_choice()), done.stderr
