"""Side features in the columns of a vocabulary that a model was trained with."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._types import Array, SideName
from hashgnn.data.features import FeatureVocabulary, SideFeatures
from hashgnn.errors import ParameterError


def in_known_columns(known: FeatureVocabulary, given: SideFeatures, side: SideName) -> SideFeatures:
    """Return features in the columns of a known vocabulary, with new categories added to it.

    Numbers get the mean and deviation of the known vocabulary, so that a value stays what it was in training.

    Parameters
    ----------
    known : FeatureVocabulary
        Of a model.
    given : SideFeatures
        Of the same columns, by a vocabulary of its own.
    side : {"user", "item"}
        For messages.

    Raises
    ------
    ParameterError
        If the columns are not those of the model, or are categories there and numbers here.
    """
    wanted, found = _columns_of(known), _columns_of(given.vocabulary)
    if wanted != found:
        names = ", ".join(f"{name} ({kind})" for name, kind in sorted(wanted.items()))
        others = ", ".join(f"{name} ({kind})" for name, kind in sorted(found.items()))
        raise ParameterError(
            f"{side}_features must have the columns that the model was trained with, {names}, got {others}"
        )
    categories = {
        name: tuple(sorted({*values, *given.vocabulary.categories[name]}))
        for name, values in known.categories.items()
    }
    merged = FeatureVocabulary(categories, dict(known.numbers))
    places = {name: place for place, name in enumerate(given.vocabulary.column_names)}
    columns = sp.csc_matrix(given.matrix)
    parts: list[Any] = []
    for name, values in categories.items():
        for value in values:
            place = places.get(f"{name}={value}")
            parts.append(
                sp.csc_matrix((len(given), 1), dtype=np.float32) if place is None else columns[:, [place]]
            )
    for name, (mean, deviation) in known.numbers.items():
        own_mean, own_deviation = given.vocabulary.numbers[name]
        place = places[name]
        missing = columns[:, [place + 1]]
        scores = columns[:, [place]].toarray().ravel().astype(np.float64)
        moved = scores * (own_deviation / deviation) + (own_mean - mean) / deviation
        moved[missing.toarray().ravel() > 0] = 0
        parts += [sp.csc_matrix(moved.astype(np.float32)[:, None]), missing]
    matrix = sp.csr_matrix(sp.hstack(parts), dtype=np.float32)
    return SideFeatures(given.ids, matrix, merged)


def weights_of(weights: Array, known: FeatureVocabulary, merged: FeatureVocabulary) -> Array:
    """Return the rows of weights for the columns of a merged vocabulary; those of new categories are zero.

    Parameters
    ----------
    weights : ndarray of shape (known.n_columns, dim), float32
    """
    places = {name: place for place, name in enumerate(known.column_names)}
    rows = np.zeros((merged.n_columns, weights.shape[1]), np.float32)
    for row, name in enumerate(merged.column_names):
        if name in places:
            rows[row] = weights[places[name]]
    return rows


def _columns_of(vocabulary: FeatureVocabulary) -> dict[str, str]:
    return {
        **dict.fromkeys(vocabulary.categories, "categories"),
        **dict.fromkeys(vocabulary.numbers, "numbers"),
    }
