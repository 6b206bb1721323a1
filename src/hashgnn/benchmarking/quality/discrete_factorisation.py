"""Discrete factorisation: codes of users and items found bit by bit for the interactions themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from hashgnn._checks import check_float, check_int
from hashgnn._types import Array


@dataclass(frozen=True, eq=False)
class DiscreteFactorisation:
    """Codes whose inner products approximate the interactions, by coordinate descent over bits.

    Minimises ``Σ_ui w_ui (K y_ui - b_u · d_i)² - 2 α tr(BᵀX) - 2 α tr(DᵀY)`` over codes ``b``, ``d`` of signs, where y
    is 1 for an interaction and 0 elsewhere. X and Y are the balanced and uncorrelated matrices next to the codes.

    Attributes
    ----------
    users, items : ndarray of shape (n_users, n_bits) and (n_items, n_bits), float32
        Signs, -1 and 1.
    leanings : ndarray of shape (n_users, n_bits), float32
        Values whose signs are the users' codes: what a float query multiplies.
    losses : tuple of float
        Before each sweep and after the last; with ``balance`` 0 it never rises.

    References
    ----------
    Zhang et al., *Discrete collaborative filtering*, SIGIR 2016. It fits ratings; here all pairs count, those without an
    interaction with a weight of their own, as in Hu et al., ICDM 2008.
    """

    users: Array
    items: Array
    leanings: Array
    losses: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        matrix: sparse.csr_matrix,
        users: Array,
        items: Array,
        *,
        unobserved_weight: float = 0.15,
        balance: float = 0.01,
        n_sweeps: int = 20,
    ) -> Self:
        """Return the codes that descent finds from a start.

        Parameters
        ----------
        matrix : csr_matrix of shape (n_users, n_items)
            What is not 0 is an interaction.
        users, items : ndarray of shape (n_users, n_bits) and (n_items, n_bits)
            Signs to start from.
        unobserved_weight : float in [0, 1], default=0.15
            ``w`` of a pair without an interaction; 1 is that of an interaction.
        balance : float, default=0.01
            α, as a share of the weight of all pairs of a row.
        n_sweeps : int, default=20
            Times that every bit of every user and item is looked at.

        Notes
        -----
        A sweep costs interactions × bits and (users + items) × bits².
        """
        check_float("unobserved_weight", unobserved_weight, minimum=0, maximum=1)
        check_float("balance", balance, minimum=0)
        check_int("n_sweeps", n_sweeps, minimum=1)
        by_user = matrix.tocsr()
        by_item = by_user.T.tocsr()
        b, d = (np.where(np.asarray(table) >= 0, 1.0, -1.0).astype(np.float32) for table in (users, items))
        losses, leanings = [_loss(by_user, b, d, unobserved_weight)], b
        for _ in range(n_sweeps):
            leanings = _sweep(by_user, b, d, unobserved_weight, balance)
            _sweep(by_item, d, b, unobserved_weight, balance)
            losses.append(_loss(by_user, b, d, unobserved_weight))
        return cls(b, d, leanings, tuple(losses))


def _sweep(matrix: sparse.csr_matrix, codes: Array, others: Array, weight: float, balance: float) -> Array:
    """Set every bit of ``codes``, in place, to the sign that is best given all other bits; return what decided."""
    n_bits = codes.shape[1]
    target = np.float32(n_bits)
    degrees = np.diff(matrix.indptr).astype(np.float32)
    rows = np.repeat(np.arange(len(codes)), np.diff(matrix.indptr))
    products = _products(matrix, rows, codes, others)
    gram = others.T @ others
    pull = balance * (weight * len(others) + (1 - weight) * degrees)[:, None] * _balanced(codes)
    leanings = np.empty_like(codes)
    for bit in range(n_bits):
        column, old = others[:, bit], codes[:, bit].copy()
        seen = column[matrix.indices]
        observed = _sums(matrix, seen * (target - (1 - weight) * products))
        lean = observed + (1 - weight) * degrees * old - weight * (codes @ gram[bit] - len(others) * old)
        lean += pull[:, bit]
        new = np.where(lean == 0, old, np.where(lean > 0, np.float32(1), np.float32(-1)))
        products += (new - old)[rows] * seen
        codes[:, bit], leanings[:, bit] = new, lean
    return leanings


def _products(matrix: sparse.csr_matrix, rows: Array, codes: Array, others: Array) -> Array:
    """Return the inner product of both codes of every interaction."""
    result = np.zeros(matrix.nnz, np.float32)
    for bit in range(codes.shape[1]):
        result += codes[rows, bit] * others[matrix.indices, bit]
    return result


def _sums(matrix: sparse.csr_matrix, values: Array) -> Array:
    totals: Array = sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape).sum(axis=1)
    return np.asarray(totals).ravel().astype(np.float32)


def _balanced(codes: Array) -> Array:
    """Return the matrix of orthogonal columns of mean 0 next to the codes (eq. 13)."""
    centred = codes - codes.mean(axis=0)
    left, _, right = np.linalg.svd(centred, full_matrices=False)
    result: Array = np.sqrt(np.float32(len(codes))) * (left @ right)
    return result


def _loss(matrix: sparse.csr_matrix, b: Array, d: Array, weight: float) -> float:
    """Return the weighted squares of all pairs, without forming them."""
    rows = np.repeat(np.arange(len(b)), np.diff(matrix.indptr))
    products = _products(matrix, rows, b, d).astype(np.float64)
    everywhere = float(((b.T @ b).astype(np.float64) * (d.T @ d)).sum())
    observed = float(((b.shape[1] - products) ** 2).sum() - weight * (products**2).sum())
    return weight * everywhere + observed
