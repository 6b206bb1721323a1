"""The instruction set of the kernels."""

from __future__ import annotations

from hashgnn import _native


def instruction_set() -> str:
    """Return the instruction set that the kernels use here: avx512, avx2, neon or portable."""
    return _native.simd()
