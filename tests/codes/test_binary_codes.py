from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hashgnn.codes import BinaryCodes, ItemBias, code_health, widen_items, widen_queries
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError

signs = hnp.arrays(
    np.int8,
    st.tuples(st.integers(0, 20), st.sampled_from([8, 16, 40, 128])),
    elements=st.sampled_from([-1, 1]),
)


@given(signs)
def test_packing_and_unpacking_gives_the_signs_back(values: np.ndarray) -> None:
    codes = BinaryCodes.from_signs(values)
    assert np.array_equal(codes.signs(), values)
    assert codes.packed.nbytes * 8 == values.size


@pytest.mark.parametrize(
    "rows", [slice(2, 5), slice(None, None, 2), slice(7, 2), [3, 1], np.arange(9) % 2 == 0]
)
def test_some_rows_are_codes_that_cannot_be_written(rows: slice | list[int] | np.ndarray) -> None:
    codes = BinaryCodes(np.arange(18, dtype=np.uint8).reshape(9, 2))
    chosen = codes[rows]
    np.testing.assert_array_equal(chosen.packed, codes.packed[rows])
    assert chosen.n_bits == 16
    assert chosen.packed.flags.c_contiguous
    assert not chosen.packed.flags.writeable


def test_the_first_sign_is_the_most_significant_bit_and_zero_counts_as_plus() -> None:
    codes = BinaryCodes.from_signs(np.array([[0.0, -0.5, -1, -1, -1, -1, -1, 2]]))
    assert codes.packed.tolist() == [[0b10000001]]


@given(signs, st.integers(0, 2**32 - 1))
def test_distance_is_the_number_of_differing_signs(values: np.ndarray, seed: int) -> None:
    others = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (5, values.shape[1]))
    expected = (values[:, None, :] != others[None]).sum(axis=2)
    distances = BinaryCodes.from_signs(values).distances(BinaryCodes.from_signs(others))
    assert np.array_equal(distances, expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), np.int8), "packed must have dtype uint8, got int8"),
        (np.zeros(4, np.uint8), "packed must have shape (n, n_bits // 8), got (4,)"),
        (np.zeros((2, 0), np.uint8), "n_bits must be a positive multiple of 8, got 0"),
    ],
)
def test_a_wrong_array_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        BinaryCodes(array)
    assert str(caught.value) == message


def test_nan_has_no_sign() -> None:
    with pytest.raises(ParameterError, match="values must not be NaN, got 1 NaN"):
        BinaryCodes.from_signs(np.array([[np.nan] + [1.0] * 7]))


def test_codes_cannot_be_changed() -> None:
    codes = BinaryCodes(np.zeros((1, 1), np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        codes.packed[0, 0] = 1
    with pytest.raises(AttributeError, match="immutable"):
        codes.n_bits = 16


def test_saved_codes_are_read_back_memory_mapped(tmp_path: Path) -> None:
    codes = BinaryCodes(np.arange(32, dtype=np.uint8).reshape(8, 4))
    codes.save(tmp_path / "codes.safetensors")
    loaded = BinaryCodes.load(tmp_path / "codes.safetensors")
    assert loaded == codes
    owner: Any = loaded.packed
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    assert isinstance(owner, mmap.mmap)


def test_any_truncation_of_saved_codes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    BinaryCodes(np.arange(32, dtype=np.uint8).reshape(8, 4)).save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactDamagedError):
            BinaryCodes.load(path)


def test_codes_of_another_convention_are_refused(tmp_path: Path) -> None:
    from hashgnn._tensors import write_tensors

    write_tensors(
        tmp_path / "x.safetensors",
        {"codes": np.zeros((1, 1), np.uint8)},
        {"n_bits": "8", "bit_order": "little"},
    )
    with pytest.raises(ArtifactError, match="bit_order must be 'big', got 'little'"):
        BinaryCodes.load(tmp_path / "x.safetensors")


@given(st.integers(0, 2**32 - 1), st.integers(0, 60))
def test_plain_hamming_over_widened_codes_equals_distance_plus_penalty(seed: int, largest: int) -> None:
    rng = np.random.default_rng(seed)
    items = BinaryCodes(rng.integers(0, 256, (12, 2), dtype=np.uint8))
    queries = BinaryCodes(rng.integers(0, 256, (5, 2), dtype=np.uint8))
    bias = ItemBias(rng.integers(0, largest + 1, 12).astype(np.uint8), top=1.0)
    wide = widen_items(items, bias)
    wide_queries = widen_queries(queries, wide.n_bits - items.n_bits)
    assert np.array_equal(wide_queries.distances(wide), queries.distances(items) + bias.penalty.astype(int))


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-200, 200)))
def test_a_bias_is_rounded_to_the_nearest_step_of_two_below_the_largest(values: np.ndarray) -> None:
    bias = ItemBias.from_values(values)
    assert np.abs(bias.values() - values).max() <= 1 + 1e-4
    assert bias.penalty.min() == 0


def test_too_few_extra_bits_are_refused() -> None:
    bias = ItemBias(np.array([9], np.uint8), top=0.0)
    with pytest.raises(ParameterError, match="n_extra must be at least the largest penalty, 9, got 8"):
        widen_items(BinaryCodes(np.zeros((1, 1), np.uint8)), bias, 8)


def test_health_of_known_codes() -> None:
    values = np.array([[1, 1, 1, -1], [1, -1, -1, 1], [1, 1, 1, -1], [1, -1, -1, 1]], np.int8)
    codes = BinaryCodes.from_signs(np.hstack([values, np.tile(np.array([[-1]], np.int8), (4, 4))]))
    health = code_health(codes)
    assert health.balance.tolist() == [1, 0.5, 0.5, 0.5, 0, 0, 0, 0]
    assert (health.dead_bits, health.n_distinct, health.collision_share) == (5, 2, 1.0)
    assert health.mean_entropy == pytest.approx(3 / 8)
    assert health.mean_absolute_correlation == pytest.approx(1.0)
