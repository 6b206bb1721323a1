"""``BASELINES``: every baseline by name. A new one is a fit function and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hashgnn._registry import Registry, imported
from hashgnn._rng import RngLike, as_seed
from hashgnn.baselines.base import FittedBaseline
from hashgnn.baselines.trained import ModuleFit, TrainedFit
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.runs import RunOptions


@dataclass(frozen=True)
class Baseline:
    """A baseline before fitting.

    Attributes
    ----------
    name : str
    function : str or callable
        By dotted name or as it is. Takes the interactions and, by keyword, ``dim`` and its settings; in addition ``rng``, or ``valid`` and
        ``options`` where it is trained.
    has_embeddings : bool
        Whether the fitted model has vectors, as a post-hoc binariser needs them.
    is_trained : bool
        Whether it is trained by gradient descent, with torch.
    has_codes : bool
        Whether it learns codes, of ``dim`` bits.
    """

    name: str
    function: str | Callable[..., FittedBaseline] = field(repr=False)
    has_embeddings: bool
    is_trained: bool
    has_codes: bool = False

    def fit(
        self,
        interactions: Interactions,
        *,
        dim: int,
        rng: RngLike,
        valid: Interactions | None,
        options: RunOptions,
        settings: dict[str, Any],
    ) -> FittedBaseline:
        """Fit; an unknown setting raises :class:`ParameterError`."""
        function: Any = self.function
        if isinstance(function, str):
            function = imported(function)
            known = sorted(function.__kwdefaults__ or ())
            for name in settings:
                if name not in known:
                    listed = ", ".join(known) or "it has none"
                    raise ParameterError(f"{name} is not a setting of {self.name}; its settings: {listed}")
        fitted: FittedBaseline
        if self.is_trained:
            seeded = replace(options, seed=as_seed(rng))
            fitted = function(interactions, dim=dim, valid=valid, options=seeded, **settings)
        else:
            fitted = function(interactions, dim=dim, rng=rng, **settings)
        return fitted


def _trained(name: str, encoder: str, **defaults: Any) -> Baseline:
    return Baseline(name, TrainedFit(encoder, defaults), has_embeddings=True, is_trained=True)


def _module(name: str, *, has_codes: bool) -> Baseline:
    fit = ModuleFit(f"hashgnn.baselines.{name.replace('-', '_')}:fit")
    return Baseline(name, fit, has_embeddings=False, is_trained=True, has_codes=has_codes)


def _registered(*baselines: Baseline) -> Registry[Baseline]:
    return Registry("baseline", {baseline.name: baseline for baseline in baselines})


_CLOSED, _NODES = "hashgnn.baselines.closed_form", "hashgnn.baselines.node_embeddings"
_ONE_LAYER = {"n_layers": 1}

#: The baselines by name, each with what it has: embeddings, training.
BASELINES = _registered(
    Baseline("popularity", f"{_CLOSED}:popularity", has_embeddings=False, is_trained=False),
    Baseline("itemknn", "hashgnn.baselines.item_knn:itemknn", has_embeddings=False, is_trained=False),
    Baseline("ease", "hashgnn.baselines.ease:ease", has_embeddings=False, is_trained=False),
    Baseline("ridge", "hashgnn.baselines.ridge:ridge", has_embeddings=False, is_trained=False),
    Baseline("als", "hashgnn.baselines.als:als", has_embeddings=True, is_trained=False),
    Baseline("puresvd", f"{_CLOSED}:puresvd", has_embeddings=True, is_trained=False),
    Baseline("spectral", f"{_CLOSED}:spectral", has_embeddings=True, is_trained=False),
    Baseline("gf-cf", f"{_CLOSED}:gf_cf", has_embeddings=False, is_trained=False),
    Baseline("chebycf", f"{_CLOSED}:chebycf", has_embeddings=False, is_trained=False),
    _trained("mf-bpr", "mf", epochs=24, regularisation=1e-2),
    _trained("apr", "mf", loss="apr", epochs=24, regularisation=1e-2),
    _trained("lightgcn", "lightgcn", epochs=21, batch_size=32768, learning_rate=0.03),
    _trained(
        "lightgcn-bsl",
        "lightgcn",
        loss="bsl",
        epochs=8,
        validate_every=2,
        n_negatives=256,
        learning_rate=0.02,
    ),
    _trained("ngcf", "ngcf", epochs=24, batch_size=32768, learning_rate=0.02, regularisation=1e-3),
    # One layer: with two these stay near popularity on MovieLens-1M, where every neighbourhood is wide.
    _trained("gcn", "gcn", epochs=15, batch_size=32768, learning_rate=0.02, encoder_options=_ONE_LAYER),
    _trained(
        "graphsage",
        "graphsage",
        epochs=15,
        batch_size=32768,
        regularisation=1e-3,
        encoder_options={"aggregator": "concat"},
    ),
    _trained(
        "gat",
        "gat",
        epochs=8,
        validate_every=2,
        batch_size=32768,
        learning_rate=0.02,
        encoder_options=_ONE_LAYER,
    ),
    _trained(
        "pinsage", "pinsage", epochs=24, batch_size=32768, learning_rate=0.02, encoder_options=_ONE_LAYER
    ),
    Baseline("deepwalk", f"{_NODES}:deepwalk", has_embeddings=True, is_trained=False),
    Baseline("node2vec", f"{_NODES}:node2vec", has_embeddings=True, is_trained=False),
    Baseline("line", f"{_NODES}:line", has_embeddings=True, is_trained=False),
    Baseline("bine", f"{_NODES}:bine", has_embeddings=True, is_trained=False),
    _module("ncf", has_codes=False),
    _module("bgch", has_codes=True),
    _module("bigear", has_codes=True),
    _module("hs-gcn", has_codes=True),
)
