"""Continuous models to compare with, by name: one contract, ``hashgnn.evaluate`` reads each as it is.

Importing this package does not import torch; fitting a trained baseline does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hashgnn._checks import check_int
from hashgnn._rng import RngLike
from hashgnn.baselines.base import (
    EmbeddingBaseline,
    FilterBaseline,
    FittedBaseline,
    ItemBaseline,
    PopularityBaseline,
)
from hashgnn.baselines.coded import CodedBaseline
from hashgnn.baselines.pairs import PairBaseline
from hashgnn.baselines.registry import BASELINES, Baseline
from hashgnn.data import Interactions
from hashgnn.runs import Callback, RunOptions


def fit_baseline(
    name: str,
    interactions: Interactions,
    *,
    dim: int = 64,
    rng: RngLike = None,
    valid: Interactions | None = None,
    device: str = "cpu",
    n_threads: int | None = None,
    progress: bool | None = None,
    checkpoint_dir: str | Path | None = None,
    resume: bool = False,
    log_path: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> FittedBaseline:
    """Fit a baseline by its registered name.

    Parameters
    ----------
    name : str
        A key of ``BASELINES``.
    interactions : Interactions
        The training part; weights are not looked at.
    dim : int, default=64
        Width of the vectors. Models without vectors do not look at it.
    rng : int, numpy.random.Generator or None, default=None
        One seed gives one result on one machine with one thread count.
    valid : Interactions or None, default=None
        Held-out interactions over the same ids, by which a trained baseline chooses its best epoch;
        ``None`` holds a tenth of each user's interactions back for it. Never the test part.
    device : str, default="cpu"
        For trained baselines: ``"cpu"``, ``"cuda"`` or ``"auto"``.
    n_threads, progress, checkpoint_dir, resume, log_path, callbacks
        For trained baselines; see :class:`hashgnn.runs.RunOptions`.
    **settings
        Settings of the baseline in place of its defaults; see docs/guide/baselines.md.

    Returns
    -------
    FittedBaseline
        ``user_embeddings`` and ``item_embeddings``, float32, where it has vectors; ``score`` in any case.

    Raises
    ------
    ParameterError
        If the name or a setting is unknown, or a value breaks its rule.
    MissingExtraError
        If the baseline is a trained one and torch is not installed.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> blocks = np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)
    >>> train = Interactions.from_csr(sp.csr_matrix(blocks))
    >>> fitted = fit_baseline("spectral", train, dim=2, rng=0)
    >>> fitted.search_block(np.arange(6), "float", 1, oversampling=1).positions.ravel()
    array([0, 1, 2, 3, 4, 5])
    """
    baseline = BASELINES[name]
    check_int("dim", dim, minimum=1)
    options = RunOptions(
        device=device,
        n_threads=n_threads,
        progress=progress,
        checkpoint_dir=checkpoint_dir,
        resume=resume,
        log_path=log_path,
        callbacks=callbacks,
    )
    return baseline.fit(interactions, dim=dim, rng=rng, valid=valid, options=options, settings=settings)


__all__ = [
    "BASELINES",
    "Baseline",
    "CodedBaseline",
    "EmbeddingBaseline",
    "FilterBaseline",
    "FittedBaseline",
    "ItemBaseline",
    "PairBaseline",
    "PopularityBaseline",
    "fit_baseline",
]
