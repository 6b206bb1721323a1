"""``FloatQueries``: what asymmetric search multiplies with the signs of codes."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hashgnn._types import Array
from hashgnn.fold_in import HashMap
from hashgnn.index.scores import inverse_lengths, to_code_length
from hashgnn.state.model_state import ModelState
from hashgnn.state.side import Side

_SAMPLE = 8192  # rows: a spread is then known to a hundredth
_RUN = 64  # of them lie together, so that a memory-mapped table is read in few places


class FloatQueries:
    """Turn users or items into the query vectors that asymmetric search multiplies with signs of codes.

    A bit of a code is the sign of its activation ``a = W^T u + b``, and training gives every bit the same
    weight. So the query has ``a_k / s_k`` for bit k, where ``s_k`` is the root mean square of that activation
    over the users (or items) of the model. The query is then scaled to norm ``sqrt(n_bits)``, that of a code.
    On held-out interactions of four data sets this ranked better than ``tanh(a)``, which training relaxes
    bits with (docs/guide/recipes.md).

    Parameters
    ----------
    side : Side
        Where the queries come from. Its embeddings are read for ``s_k``: at most 8,192 rows, spread evenly.
    hash_map : HashMap
        The hash layer of that side.
    relaxed : bool
        Whether embeddings are relaxed codes, not the encoder's output.
    """

    def __init__(self, side: Side, hash_map: HashMap, *, relaxed: bool) -> None:
        self._side, self._map, self._relaxed = side, hash_map, relaxed

    @classmethod
    def of_users(cls, state: ModelState) -> FloatQueries:
        """Return the float queries of a model's users."""
        return cls(state.users, state.projection.users, relaxed=state.config.float_embedding == "relaxed")

    @classmethod
    def of_items(cls, state: ModelState) -> FloatQueries:
        """Return the float queries of a model's items, that similar ones are searched with."""
        return cls(state.items, state.projection.items, relaxed=state.config.float_embedding == "relaxed")

    def __call__(self, embeddings: Array) -> Array:
        """Return float queries (n, n_bits), float32, of norm ``sqrt(n_bits)``, of embeddings (n, dim)."""
        return to_code_length(self._activations(embeddings) * self._weights)

    def parts(self, embeddings: Array, pulls: Array) -> Array:
        """Return what parts of one query's activations add to its float query, both float64 (n, n_bits).

        Parameters
        ----------
        embeddings : ndarray of shape (1, dim), float32
            Of the query, whose length sets the scale.
        pulls : ndarray of shape (n, n_bits)
            Parts of its activations.
        """
        weighted = self._activations(embeddings) * self._weights
        scale = np.sqrt(np.float64(weighted.shape[1])) * inverse_lengths(weighted)[0]
        scaled: Array = pulls * (self._weights * scale)
        return scaled

    @cached_property
    def _weights(self) -> Array:
        table = self._side.embeddings
        spread = np.sqrt(np.square(self._activations(table[_sample(len(table))])).mean(axis=0))
        weights: Array = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        return weights

    def _activations(self, embeddings: Array) -> Array:
        if self._relaxed:
            return self._map.activations_of_relaxed(embeddings)
        return self._map.activations(embeddings)


def _sample(n_rows: int) -> Array:
    if n_rows <= _SAMPLE:
        return np.arange(n_rows)
    starts = np.linspace(0, n_rows - _RUN, _SAMPLE // _RUN).astype(np.int64)
    return np.unique(starts[:, None] + np.arange(_RUN))
