"""Fold-in: embeddings and codes for users and items unseen in training, in NumPy, with no retraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashgnn._components import ENCODERS
from hashgnn._registry import imported
from hashgnn._types import Array
from hashgnn.fold_in.base import FoldIn
from hashgnn.fold_in.projection import HashMap, HashProjection


def build_fold_in(kind: str, arrays: Mapping[str, Array], params: Mapping[str, Any]) -> FoldIn:
    """Build the rule that an encoder exported.

    Parameters
    ----------
    kind : str
        The name of the encoder.
    arrays : mapping of str to ndarray
        float32; memory-mapped arrays are read as they are, not copied.
    params : mapping of str to JSON values

    Raises
    ------
    ParameterError
        If the kind is unknown, or an array or parameter of the rule is missing or has the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> tables = {"item_table": np.eye(2, dtype=np.float32), "user_table": np.eye(2, dtype=np.float32),
    ...           "item_mean": np.zeros(2, np.float32)}
    >>> rule = build_fold_in("history", tables, {"normalization": "degree", "degree_exponent": 1.0, "map_exponent": 0.5})
    >>> rule.users(sp.csr_matrix([[1.0, 1.0]])).tolist()
    [[0.5, 0.5]]
    """
    rule: FoldIn = imported(ENCODERS[kind].fold_in)(dict(arrays), dict(params))
    return rule


def kind_of(rule: FoldIn) -> str:
    """Return the name of the encoder that a rule belongs to."""
    return next(kind for kind, row in ENCODERS.items() if type(rule) is imported(row.fold_in))


__all__ = ["FoldIn", "HashMap", "HashProjection", "build_fold_in", "kind_of"]
