"""Post-hoc binarisers: codes for embeddings that were trained without codes in mind."""

from __future__ import annotations

from typing import Any

from hashgnn._registry import Registry, imported
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.codes.binarisers.base import Binariser
from hashgnn.codes.binarisers.cosine_form import cosine_form
from hashgnn.codes.binarisers.product_quantizer import ProductQuantizer

_HERE = "hashgnn.codes.binarisers"
#: The binarisers by name, for :func:`fit_binariser`.
BINARISERS = Registry(
    "binariser",
    {
        "anchor_graph": f"{_HERE}.anchor_graph:AnchorGraphBinariser",
        "itq": f"{_HERE}.itq:ItqBinariser",
        "lsh": f"{_HERE}.lsh:LshBinariser",
        "pca_sign": f"{_HERE}.sign:PcaSignBinariser",
        "sign": f"{_HERE}.sign:SignBinariser",
        "spectral": f"{_HERE}.spectral:SpectralBinariser",
    },
)


def fit_binariser(
    name: str, embeddings: Array, *, n_bits: int, rng: RngLike = None, **options: Any
) -> Binariser:
    """Fit the named binariser; ``options`` are those of its own ``fit``.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(100, 16))
    >>> fit_binariser("itq", rows, n_bits=8, rng=0, n_iterations=5).encode(rows)
    BinaryCodes(n=100, n_bits=8)
    """
    kind: type[Binariser] = imported(BINARISERS[name])
    return kind.fit(embeddings, n_bits=n_bits, rng=rng, **options)


__all__ = ["BINARISERS", "Binariser", "ProductQuantizer", "cosine_form", "fit_binariser"]
