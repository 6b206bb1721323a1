"""``HashProjection``: the hash layer in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hashgnn._checks import check_matrix
from hashgnn._types import Array
from hashgnn.errors import ParameterError

_WITHIN = np.float32(1 - 2.0**-20)  # of (-1, 1): tanh in float32 reaches 1, whose inverse is infinite


class HashProjection:
    """Map embeddings to relaxed codes ``z = tanh(W^T u + b) - t``; the code is the sign of z, sign(0) = +1.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        As ``HashLayer.export`` gives them: ``shared_weight`` (dim, n_bits), ``shared_bias`` (n_bits,) and,
        where thresholds were learned, ``shared_threshold`` (n_bits,); or the same for ``user`` and ``item``.

    Attributes
    ----------
    dim, n_bits : int

    Raises
    ------
    ParameterError
        If the arrays are of neither form, or their shapes differ.

    Examples
    --------
    >>> layer = HashProjection({"shared_weight": np.eye(8, dtype=np.float32), "shared_bias": np.zeros(8, np.float32)})
    >>> bool((layer.users(np.ones((1, 8), np.float32)) > 0.76).all())
    True
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        sides = ("shared", "shared") if "shared_weight" in arrays else ("user", "item")
        missing = [
            f"{side}_{part}"
            for side in sides
            for part in ("weight", "bias")
            if f"{side}_{part}" not in arrays
        ]
        if missing:
            raise ParameterError(f"the hash layer needs the array {missing[0]}, got {', '.join(arrays)}")
        self.dim, self.n_bits = (int(n) for n in np.shape(arrays[f"{sides[0]}_weight"]))
        self._arrays = dict(arrays)
        self._layers = {}
        for name, side in zip(("user", "item"), sides, strict=True):
            weight = check_matrix(
                f"{side}_weight",
                arrays[f"{side}_weight"],
                dtype=np.float32,
                n_rows=self.dim,
                n_columns=self.n_bits,
            )
            bias, threshold = (
                np.asarray(arrays.get(f"{side}_{part}", np.zeros(self.n_bits)), np.float32)
                for part in ("bias", "threshold")
            )
            for part, values in (("bias", bias), ("threshold", threshold)):
                if values.shape != (self.n_bits,):
                    raise ParameterError(
                        f"{side}_{part} must have shape ({self.n_bits},), got {values.shape}"
                    )
            self._layers[name] = (weight, bias, threshold)

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that the layer was built from, as an artifact keeps them."""
        return dict(self._arrays)

    def users(self, embeddings: Array) -> Array:
        """Return the relaxed codes (n, n_bits) float32 of user embeddings (n, dim)."""
        return self._relaxed("user", embeddings)

    def items(self, embeddings: Array) -> Array:
        """Return the relaxed codes (n, n_bits) float32 of item embeddings (n, dim)."""
        return self._relaxed("item", embeddings)

    def activations(self, side: str, embeddings: Array) -> Array:
        """Return ``W^T u + b - atanh(t)`` (n, n_bits) float32 of embeddings (n, dim): bits are its signs, too."""
        a = self._linear(side, embeddings)
        a -= self._offset(side)
        return a

    def activations_of(self, side: str, relaxed: Array) -> Array:
        """Return the activations (n, n_bits) float32 of relaxed codes (n, n_bits), within what float32 tells apart."""
        z = check_matrix("relaxed", relaxed, dtype=np.float32, n_columns=self.n_bits)
        a: Array = np.arctanh(np.clip(z + self._layers[side][2], -_WITHIN, _WITHIN))
        a -= self._offset(side)
        return a

    def _relaxed(self, side: str, embeddings: Array) -> Array:
        z = self._linear(side, embeddings)
        np.tanh(z, out=z)
        z -= self._layers[side][2]
        return z

    def _linear(self, side: str, embeddings: Array) -> Array:
        u = check_matrix("embeddings", embeddings, dtype=np.float32, n_columns=self.dim)
        weight, bias, _ = self._layers[side]
        a: Array = u @ weight
        a += bias
        return a

    def _offset(self, side: str) -> Array:
        offset: Array = np.arctanh(np.clip(self._layers[side][2], -_WITHIN, _WITHIN))
        return offset
