"""What an item that training did not see adds to those who interacted with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.state import ModelState

_SAMPLE = 16_384  # items: a linear map of some hundred columns is then known well
_RIDGE = 1e-6  # of the mean diagonal


@dataclass(frozen=True, eq=False)
class NewItemRows:
    """Rows of the item tables of a fold-in rule, from the embeddings of items.

    A rule keeps for each item what it adds to a user who interacted with it. For the trained items that is known
    from training. For a new one it is the linear map of its embedding that fits the trained items best, by
    least squares with a constant; where the table holds the embeddings themselves it is the embedding.

    Attributes
    ----------
    maps : mapping of str to ndarray of shape (width + 1, n_columns), or None
        For each table; ``None``: the table holds the embeddings.
    """

    maps: Mapping[str, Array | None]

    @classmethod
    def fit(cls, state: ModelState) -> NewItemRows:
        """Fit the maps on the items of a state, on an even sample where there are very many."""
        rows = np.unique(np.linspace(0, max(0, state.n_items - 1), _SAMPLE).astype(np.int64))
        rows = rows[: state.n_items]
        given = _vectors(state, state.items.embeddings[rows]).astype(np.float64)
        given = np.hstack([given, np.ones((len(given), 1))])
        gram = given.T @ given
        gram[np.diag_indices_from(gram)] += _RIDGE * max(float(np.trace(gram)) / len(gram), _RIDGE)
        maps: dict[str, Array | None] = {}
        for name, table in state.fold_in.item_tables.items():
            wanted = np.asarray(table[rows])
            if np.array_equal(wanted, given[:, :-1]):
                maps[name] = None
            else:
                maps[name] = np.linalg.solve(gram, given.T @ wanted.astype(np.float64))
        return cls(maps)

    def of(self, state: ModelState, embeddings: Array) -> dict[str, Array]:
        """Return the rows of new items for each table, float32.

        Parameters
        ----------
        state : ModelState
        embeddings : ndarray of shape (n, dim), float32
            As the items of the state have them.
        """
        given = _vectors(state, embeddings)
        widened = np.hstack([given.astype(np.float64), np.ones((len(given), 1))])
        return {
            name: given if fitted is None else np.ascontiguousarray(widened @ fitted, np.float32)
            for name, fitted in self.maps.items()
        }


def _vectors(state: ModelState, embeddings: Array) -> Array:
    """Return what is linear in the output of the encoder: embeddings, or the activations that were relaxed."""
    if state.config.float_embedding == "relaxed":
        return state.projection.items.activations_of_relaxed(embeddings)
    return np.asarray(embeddings)
