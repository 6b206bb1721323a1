"""``BinaryCodes``: ±1 vectors kept as packed bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._addresses import path_of
from hashgnn._checks import check_bits
from hashgnn._tensors import read_tensors, write_tensors
from hashgnn._types import Array
from hashgnn.errors import ArtifactError, ParameterError

# Written with the bytes, so that a reader of the file need not know this library's convention.
_LAYOUT = {"bit_order": "big", "sign_convention": "bit 1 is +1, bit 0 is -1"}


class BinaryCodes:
    """Codes of ±1 entries, packed eight to a byte, most significant bit first, bit 1 = +1.

    The object is immutable: its array is marked read-only.

    Parameters
    ----------
    packed : ndarray of shape (n, n_bits // 8), uint8
        Packed bits. Not copied when it is already C-contiguous.
    n_bits : int or None, default=None
        Width of a code, a positive multiple of 8; ``None`` takes it from the array.

    Raises
    ------
    ParameterError
        If the array is not uint8 of that shape, or ``n_bits`` is no positive multiple of 8.

    Examples
    --------
    >>> import numpy as np
    >>> codes = BinaryCodes.from_signs(np.array([[1, -1, -1, -1, -1, -1, -1, 1]]))
    >>> codes.packed
    array([[129]], dtype=uint8)
    >>> codes.signs()
    array([[ 1, -1, -1, -1, -1, -1, -1,  1]], dtype=int8)
    """

    __slots__ = ("_packed", "n_bits")

    _packed: np.ndarray[Any, np.dtype[np.uint8]]
    n_bits: int

    def __init__(self, packed: Array, n_bits: int | None = None) -> None:
        array = np.asarray(packed)
        if array.dtype != np.uint8:
            raise ParameterError(f"packed must have dtype uint8, got {array.dtype}")
        if array.ndim != 2:
            raise ParameterError(f"packed must have shape (n, n_bits // 8), got {array.shape}")
        width = check_bits(array.shape[1] * 8 if n_bits is None else n_bits)
        if array.shape[1] * 8 != width:
            raise ParameterError(
                f"packed must have {width // 8} bytes a row for n_bits={width}, got {array.shape[1]}"
            )
        contiguous = np.ascontiguousarray(array)
        view = contiguous.view()
        view.flags.writeable = False
        object.__setattr__(self, "_packed", view)
        object.__setattr__(self, "n_bits", width)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"BinaryCodes is immutable; {name} cannot be set")

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the packed bits by value, also those of a mapped file; the copy is checked and read-only too."""
        return BinaryCodes, (np.asarray(self._packed), self.n_bits)

    @property
    def packed(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Packed bits, shape (n, n_bits // 8), uint8."""
        return self._packed

    @classmethod
    def from_signs(cls, values: Array) -> BinaryCodes:
        """Pack the signs of a float or integer array; zero counts as +1.

        Parameters
        ----------
        values : ndarray of shape (n, n_bits), float or integer
            Only the sign is read. NaN is refused: it has none.
        """
        array = np.asarray(values)
        if array.ndim != 2:
            raise ParameterError(f"values must have shape (n, n_bits), got {array.shape}")
        check_bits(array.shape[1])
        if array.dtype.kind not in "fib":
            raise ParameterError(f"values must be real signed numbers, got {array.dtype}")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ParameterError(f"values must not be NaN, got {int(np.isnan(array).sum())} NaN")
        return cls(np.packbits(array >= 0 if array.dtype.kind != "b" else array, axis=1, bitorder="big"))

    def signs(self) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Return the codes as ±1, shape (n, n_bits), int8."""
        bits = np.unpackbits(self.packed, axis=1, bitorder="big").view(np.int8)
        return bits * np.int8(2) - np.int8(1)

    def __len__(self) -> int:
        return int(self.packed.shape[0])

    def __getitem__(self, rows: slice | Array | list[int]) -> BinaryCodes:
        """Return the codes of a slice, an index array or a boolean mask; never a bare row."""
        if isinstance(rows, (int, np.integer)):
            raise ParameterError(
                f"rows must be a slice or an array, got {rows}; use codes[{rows}:{rows + 1}]"
            )
        chosen = self.packed[rows]
        if not isinstance(rows, slice) or not chosen.flags.c_contiguous:
            return BinaryCodes(chosen, self.n_bits)
        codes = BinaryCodes.__new__(BinaryCodes)  # a view of what was checked before, and read-only like it
        object.__setattr__(codes, "_packed", chosen)
        object.__setattr__(codes, "n_bits", self.n_bits)
        return codes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BinaryCodes):
            return NotImplemented
        return self.n_bits == other.n_bits and np.array_equal(self.packed, other.packed)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"BinaryCodes(n={len(self)}, n_bits={self.n_bits})"

    def distances(self, others: BinaryCodes) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Return all Hamming distances to ``others``, shape (len(self), len(others)), int32.

        Meant for small sets; an index answers the large ones. Memory grows with the product of lengths.
        """
        if others.n_bits != self.n_bits:
            raise ParameterError(f"others must have n_bits={self.n_bits}, got {others.n_bits}")
        result = np.zeros((len(self), len(others)), np.int32)
        mine, theirs = self.packed, others.packed
        for column in range(self.n_bits // 8):
            differing = mine[:, column, None] ^ theirs[None, :, column]
            result += np.bitwise_count(differing)
        return result

    def save(self, path: str | Path) -> None:
        """Write the codes, their width, bit order and sign convention to one safetensors file, atomically."""
        write_tensors(path_of(path), {"codes": self.packed}, {"n_bits": str(self.n_bits), **_LAYOUT})

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = True) -> BinaryCodes:
        """Read codes written by :meth:`save`; memory-mapped unless ``mmap=False``.

        Raises
        ------
        ArtifactDamagedError
            If the file is missing, truncated or not safetensors.
        ArtifactError
            If it holds no codes, or codes of another bit order or sign convention.
        """
        tensors, metadata = read_tensors(path_of(path), mmap=mmap)
        if "codes" not in tensors:
            raise ArtifactError(f"{path}: holds no tensor named 'codes', found {sorted(tensors)!s:.200}")
        for key, expected in _LAYOUT.items():
            if metadata.get(key) != expected:
                raise ArtifactError(f"{path}: {key} must be {expected!r}, got {metadata.get(key)!r:.80}")
        try:
            return cls(tensors["codes"], int(metadata.get("n_bits", "")))
        except ValueError as error:
            raise ArtifactError(f"{path}: {error}") from None
