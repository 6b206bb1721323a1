"""Code health: balance, entropy, correlation and collisions of the bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn.codes.binary_codes import BinaryCodes
from hashgnn.errors import ParameterError

_DEAD_SHARE = 0.01  # a bit with one value in 99 % of the codes tells next to nothing


@dataclass(frozen=True, repr=False)
class CodeHealth:
    """The result of :func:`code_health`. It prints as a table.

    Attributes
    ----------
    n_codes, n_bits : int
    balance : ndarray of shape (n_bits,), float64
        Share of codes in which the bit is +1; 0.5 is best.
    dead_bits : int
        Bits whose rarer value is in less than 1 % of the codes.
    mean_entropy : float
        Mean binary entropy of the bits, in bits; 1 is best.
    mean_absolute_correlation, largest_absolute_correlation : float
        Over pairs of different bits that vary; 0 is best.
    n_distinct : int
        Different codes.
    collision_share : float
        Share of codes that at least one other code equals.
    """

    n_codes: int
    n_bits: int
    balance: np.ndarray[Any, np.dtype[np.float64]]
    dead_bits: int
    mean_entropy: float
    mean_absolute_correlation: float
    largest_absolute_correlation: float
    n_distinct: int
    collision_share: float

    def __repr__(self) -> str:
        figures = self.summary()
        width = max(map(len, figures))
        return "\n".join(f"{name.replace('_', ' '):<{width}}  {value:.6g}" for name, value in figures.items())

    def summary(self) -> dict[str, float | int]:
        """Return the figures without the per-bit array, ready for JSON."""
        return {
            "n_codes": self.n_codes,
            "n_bits": self.n_bits,
            "dead_bits": self.dead_bits,
            "mean_balance": float(self.balance.mean()),
            "worst_balance": float(self.balance[np.abs(self.balance - 0.5).argmax()]),
            "mean_entropy": self.mean_entropy,
            "mean_absolute_correlation": self.mean_absolute_correlation,
            "largest_absolute_correlation": self.largest_absolute_correlation,
            "n_distinct": self.n_distinct,
            "collision_share": self.collision_share,
        }


def code_health(codes: BinaryCodes, *, max_codes: int | None = None) -> CodeHealth:
    """Measure balance, entropy, correlation and collisions of a set of codes.

    Cost: one pass over the bits and one ``n_bits × n_bits`` product; memory is bounded by blocks.

    Parameters
    ----------
    codes : BinaryCodes
    max_codes : int, optional
        Take about so many codes, evenly from the whole set, where there are more.

    Raises
    ------
    ParameterError
        If there are no codes.

    See Also
    --------
    hashgnn.benchmarking.assessment.health_advice : What to do about it.

    Examples
    --------
    >>> import numpy as np
    >>> report = code_health(BinaryCodes(np.array([[0b10000000], [0b10000000], [0b10001111]], np.uint8)))
    >>> report.dead_bits, report.n_distinct, round(report.collision_share, 2)
    (4, 2, 0.67)
    """
    if max_codes is not None and len(codes) > max_codes:
        codes = codes[:: len(codes) // max_codes]
    n = len(codes)
    if n == 0:
        raise ParameterError("codes must hold at least one code, got 0")
    sums = np.zeros(codes.n_bits)
    products = np.zeros((codes.n_bits, codes.n_bits))
    for start in range(0, n, 65536):
        block = codes[start : start + 65536].signs().astype(np.float32)
        sums += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block
    mean = sums / n
    balance = (mean + 1) / 2
    variance = 1 - mean**2
    varies = variance > 0
    scale = np.sqrt(np.where(varies, variance, 1))
    correlation = np.abs((products / n - np.outer(mean, mean)) / np.outer(scale, scale))
    pairs = correlation[np.triu(np.outer(varies, varies), k=1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(balance * np.log2(balance) + (1 - balance) * np.log2(1 - balance))
    rows = np.ascontiguousarray(codes.packed).view([("code", np.void, codes.n_bits // 8)]).ravel()
    _, counts = np.unique(rows, return_counts=True)
    return CodeHealth(
        n_codes=n,
        n_bits=codes.n_bits,
        balance=balance,
        dead_bits=int((np.minimum(balance, 1 - balance) < _DEAD_SHARE).sum()),
        mean_entropy=float(np.nan_to_num(entropy).mean()),
        mean_absolute_correlation=float(pairs.mean()) if pairs.size else 0.0,
        largest_absolute_correlation=float(pairs.max()) if pairs.size else 0.0,
        n_distinct=len(counts),
        collision_share=float(counts[counts > 1].sum() / n),
    )
