"""A choice of results that differ: maximal marginal relevance over codes, under caps per group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_float, check_int
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError

_NO_GROUPS = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Choice:
    """The candidates that were chosen.

    Attributes
    ----------
    rows : ndarray of shape (n_chosen,), int64
        Places of the candidates, in the order in which they were chosen.
    n_capped : ndarray of shape (n_caps,), int64
        Candidates that would have been chosen but for a cap. Of several caps the first counts.
    """

    rows: Array
    n_capped: Array


def choose_diverse(
    codes: BinaryCodes,
    relevance: Array,
    k: int,
    *,
    diversity: float = 0.0,
    groups: Array | None = None,
    caps: Array | None = None,
    n_chosen: int = 0,
) -> Choice:
    """Choose up to ``k`` candidates that are relevant and differ from one another.

    Each is the one with the largest ``(1 - diversity) * relevance - diversity * similarity``, where the
    similarity is ``1 - distance / n_bits`` to the nearest of those chosen before, 0 for the first. The choice
    is exact; ties go to the candidate that comes first.

    Parameters
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    relevance : ndarray of shape (n,), float64
        Higher is better. Similarities lie in [0, 1], so relevances should too.
    k : int
        ``k >= 0``.
    diversity : float, default=0.0
        In [0, 1]; 0 chooses by relevance.
    groups : ndarray of shape (n, n_caps), int32, optional
        Groups of each candidate; a negative one is none.
    caps : ndarray of shape (n_caps,), int64, optional
        How many of a group may be chosen.
    n_chosen : int, default=0
        So many candidates, the first, are chosen already, and are not returned.

    Returns
    -------
    Choice

    Raises
    ------
    ParameterError
        If a value breaks its rule or lengths differ.

    Notes
    -----
    A value only falls while others are chosen, so a candidate is compared again when it comes first: 100 of
    500 take about a twentieth of a millisecond (docs/guide/rules.md).

    References
    ----------
    Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
    summaries", SIGIR 1998, equation 1.

    Examples
    --------
    >>> codes = BinaryCodes(np.array([[0b00000000], [0b00000001], [0b11110000]], np.uint8))
    >>> choose_diverse(codes, np.array([1.0, 0.9, 0.6]), 2, diversity=0.5).rows.tolist()
    [0, 2]
    """
    share = check_float("diversity", diversity, minimum=0, maximum=1)
    check_int("k", k, minimum=0)
    check_int("n_chosen", n_chosen, minimum=0, maximum=len(codes))
    if (groups is None) != (caps is None):
        raise ParameterError("groups and caps must be given together, got one of them")
    n_bits = codes.n_bits
    similarity = 1.0 - np.arange(n_bits + 2) / n_bits  # of each distance
    similarity[-1] = 0.0
    rows, n_capped = _native.choose_rows(
        np.ascontiguousarray(codes.packed),
        n_chosen,
        np.ascontiguousarray((1.0 - share) * np.asarray(relevance, np.float64)),
        share * similarity,
        np.empty((len(codes), 0), np.int32) if groups is None else np.ascontiguousarray(groups, np.int32),
        _NO_GROUPS if caps is None else np.ascontiguousarray(caps, np.int64),
        k,
    )
    return Choice(rows, n_capped)
