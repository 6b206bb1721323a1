"""``EmbeddedCodes``: codes with an embedding each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddedCodes:
    """Codes with an embedding each: the queries and the entries of a :class:`HierarchicalIndex`.

    Parameters
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    embeddings : ndarray of shape (n, width), float32 or float16

    Raises
    ------
    ParameterError
        If ``codes`` are no BinaryCodes or the lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.ones((3, 8), np.float32)
    >>> len(EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors)[:2])
    2
    """

    codes: BinaryCodes
    embeddings: Array

    def __post_init__(self) -> None:
        if not isinstance(self.codes, BinaryCodes):
            raise ParameterError(f"codes must be BinaryCodes, got {type(self.codes).__name__}")
        shape = np.shape(self.embeddings)
        if len(shape) != 2 or shape[0] != len(self.codes):
            raise ParameterError(
                f"embeddings must have shape ({len(self.codes)}, width), a row per code, got {shape}"
            )

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.codes.n_bits

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n={len(self)}, n_bits={self.n_bits}, dim={np.shape(self.embeddings)[1]})"
        )

    def __getitem__(self, rows: slice | Array) -> EmbeddedCodes:
        codes, embeddings = self.codes[rows], self.embeddings[rows]
        if not isinstance(rows, slice):
            return EmbeddedCodes(codes, embeddings)
        some = EmbeddedCodes.__new__(EmbeddedCodes)  # of one length, as what was checked before
        some.__dict__.update(codes=codes, embeddings=embeddings)
        return some
