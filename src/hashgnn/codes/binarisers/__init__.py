"""Post-hoc binarisers: codes for embeddings that were trained without codes in mind."""

from __future__ import annotations

from typing import Any

from hashgnn._checks import check_choice
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.codes.binarisers.anchor_graph import AnchorGraphBinariser
from hashgnn.codes.binarisers.base import Binariser
from hashgnn.codes.binarisers.cosine_form import cosine_form
from hashgnn.codes.binarisers.itq import ItqBinariser
from hashgnn.codes.binarisers.lsh import LshBinariser
from hashgnn.codes.binarisers.product_quantizer import ProductQuantizer
from hashgnn.codes.binarisers.sign import PcaSignBinariser, SignBinariser
from hashgnn.codes.binarisers.spectral import SpectralBinariser

BINARISERS: dict[str, type[Binariser]] = {
    "anchor_graph": AnchorGraphBinariser,
    "itq": ItqBinariser,
    "lsh": LshBinariser,
    "pca_sign": PcaSignBinariser,
    "sign": SignBinariser,
    "spectral": SpectralBinariser,
}


def fit_binariser(
    name: str, embeddings: Array, *, n_bits: int, rng: RngLike = None, **options: Any
) -> Binariser:
    """Fit the named binariser; ``options`` are those of its own ``fit``.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(100, 16))
    >>> fit_binariser("itq", rows, n_bits=8, rng=0, n_iterations=5).encode(rows)
    BinaryCodes(n=100, n_bits=8)
    """
    return BINARISERS[check_choice("binariser", name, BINARISERS)].fit(
        embeddings, n_bits=n_bits, rng=rng, **options
    )


__all__ = ["BINARISERS", "Binariser", "ProductQuantizer", "cosine_form", "fit_binariser"]
