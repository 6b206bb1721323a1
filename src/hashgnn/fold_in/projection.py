"""``HashProjection``: the hash layer in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hashgnn._checks import check_matrix
from hashgnn._types import Array
from hashgnn.errors import ParameterError

_WITHIN = np.float32(1 - 2.0**-20)  # of (-1, 1): tanh in float32 reaches 1, whose inverse is infinite


class HashMap:
    """The hash layer of one side: embeddings to relaxed codes ``z = tanh(W^T u + b) - t``.

    Parameters
    ----------
    weight : ndarray of shape (dim, n_bits), float32
    bias, threshold : ndarray of shape (n_bits,), float32
    """

    def __init__(self, weight: Array, bias: Array, threshold: Array) -> None:
        self._weight, self._bias, self._threshold = weight, bias, threshold
        self._offset: Array = np.arctanh(np.clip(threshold, -_WITHIN, _WITHIN))

    def __call__(self, embeddings: Array) -> Array:
        """Return the relaxed codes (n, n_bits) float32 of embeddings (n, dim)."""
        z = self._linear(embeddings)
        np.tanh(z, out=z)
        z -= self._threshold
        return z

    def activations(self, embeddings: Array) -> Array:
        """Return ``W^T u + b - atanh(t)`` (n, n_bits) float32 of embeddings (n, dim): its signs are the bits."""
        a = self._linear(embeddings)
        a -= self._offset
        return a

    def pulls(self, parts: Array) -> Array:
        """Return what parts of an embedding (n, dim) add to its activations: ``W^T part``, float64 (n, n_bits)."""
        added: Array = np.asarray(parts, np.float64) @ self._weight
        return added

    def activations_of_relaxed(self, relaxed: Array) -> Array:
        """Return the activations (n, n_bits) float32 of relaxed codes (n, n_bits), as exactly as float32 allows."""
        z = check_matrix("relaxed", relaxed, dtype=np.float32, n_columns=len(self._bias))
        a: Array = np.arctanh(np.clip(z + self._threshold, -_WITHIN, _WITHIN))
        a -= self._offset
        return a

    def _linear(self, embeddings: Array) -> Array:
        u = check_matrix("embeddings", embeddings, dtype=np.float32, n_columns=len(self._weight))
        a: Array = u @ self._weight
        a += self._bias
        return a


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
    users, items : HashMap
        The layer of each side; one for both where the arrays are shared.

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
        names = ("shared",) if "shared_weight" in arrays else ("user", "item")
        needed = [f"{name}_{part}" for name in names for part in ("weight", "bias")]
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise ParameterError(f"the hash layer needs the array {missing[0]}, got {', '.join(arrays)}")
        self.dim, self.n_bits = (int(n) for n in np.shape(arrays[f"{names[0]}_weight"]))
        self._arrays = dict(arrays)
        maps = [self._map(name) for name in names]
        self.users, self.items = maps[0], maps[-1]

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that the layer was built from, as they are saved in an artifact."""
        return dict(self._arrays)

    def _map(self, name: str) -> HashMap:
        weight = check_matrix(
            f"{name}_weight",
            self._arrays[f"{name}_weight"],
            dtype=np.float32,
            n_rows=self.dim,
            n_columns=self.n_bits,
        )
        return HashMap(weight, self._vector(f"{name}_bias"), self._vector(f"{name}_threshold"))

    def _vector(self, name: str) -> Array:
        values = np.asarray(self._arrays.get(name, np.zeros(self.n_bits)), np.float32)
        if values.shape != (self.n_bits,):
            raise ParameterError(f"{name} must have shape ({self.n_bits},), got {values.shape}")
        if not np.isfinite(values).all():
            raise ParameterError(f"{name} must be finite, got NaN or infinity")
        return values
