"""Random-hyperplane locality-sensitive hashing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.codes.binarisers.base import LinearBinariser, check_fit


@dataclass(frozen=True, eq=False, repr=False)
class LshBinariser(LinearBinariser):
    """One bit per random hyperplane through the origin: the side on which a row lies.

    Two rows at the angle θ agree in a bit with probability ``1 - θ/π``.

    References
    ----------
    Charikar, *Similarity estimation techniques from rounding algorithms*, STOC 2002.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> codes = LshBinariser.fit(rows, n_bits=1024, rng=0).encode(rows)
    >>> 450 < int(codes.distances(codes)[0, 1]) < 574
    True
    """

    @classmethod
    def fit(cls, embeddings: Array, *, n_bits: int, rng: RngLike = None) -> Self:
        """Return a binariser with ``n_bits`` hyperplanes; only the width of the embeddings is read."""
        rows, width = check_fit(embeddings, n_bits)
        dim = rows.shape[1]
        normals = as_generator(rng).standard_normal((dim, width))
        return cls(np.zeros(dim, np.float32), normals.astype(np.float32))
