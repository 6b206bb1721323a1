"""Fold-in: embeddings and codes for users and items unseen in training, in NumPy, with no retraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashgnn._checks import check_choice
from hashgnn._types import Array
from hashgnn.fold_in.base import FoldIn
from hashgnn.fold_in.gat import GATFoldIn
from hashgnn.fold_in.gcn import GCNFoldIn
from hashgnn.fold_in.graphsage import GraphSAGEFoldIn
from hashgnn.fold_in.history import HistoryFoldIn
from hashgnn.fold_in.lightgcn import LightGCNFoldIn
from hashgnn.fold_in.mf import MFFoldIn
from hashgnn.fold_in.ngcf import NGCFFoldIn
from hashgnn.fold_in.pinsage import PinSageFoldIn
from hashgnn.fold_in.projection import HashMap, HashProjection

FOLD_INS: dict[str, type[FoldIn]] = {
    "gat": GATFoldIn,
    "gcn": GCNFoldIn,
    "graphsage": GraphSAGEFoldIn,
    "history": HistoryFoldIn,
    "lightgcn": LightGCNFoldIn,
    "mf": MFFoldIn,
    "ngcf": NGCFFoldIn,
    "pinsage": PinSageFoldIn,
}


def build_fold_in(kind: str, arrays: Mapping[str, Array], params: Mapping[str, Any]) -> FoldIn:
    """Build the rule that an encoder exported.

    Parameters
    ----------
    kind : str
        A key of ``FOLD_INS``.
    arrays : mapping of str to ndarray
        float32; memory-mapped arrays are read as they are, not copied.
    params : mapping of str to JSON values

    Raises
    ------
    ParameterError
        If the kind is unknown, or an array or parameter of the rule is missing or has the wrong shape.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> tables = {"item_table": np.eye(2, dtype=np.float32), "user_table": np.eye(2, dtype=np.float32),
    ...           "item_mean": np.zeros(2, np.float32)}
    >>> rule = build_fold_in("history", tables, {"normalization": "degree", "degree_exponent": 1.0, "map_exponent": 0.5})
    >>> rule.users(sp.csr_matrix([[1.0, 1.0]])).tolist()
    [[0.5, 0.5]]
    """
    check_choice("fold_in kind", kind, FOLD_INS)
    return FOLD_INS[kind](dict(arrays), dict(params))


__all__ = ["FOLD_INS", "FoldIn", "HashMap", "HashProjection", "build_fold_in"]
