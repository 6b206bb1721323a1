"""Methods by name or expression, fitted in the cells of a comparison."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hashgnn._checks import quote_some
from hashgnn._registry import imported
from hashgnn.baselines import BASELINES
from hashgnn.benchmarking.quality.discrete_factorisation import DiscreteFactorisation
from hashgnn.benchmarking.quality.quantisers import QUANTISERS
from hashgnn.codes.binarisers import BINARISERS
from hashgnn.config import RECIPES, ModelConfig, load_recipe, parse_setting
from hashgnn.errors import ParameterError

SEPARATE, DISCRETE = "separate", "dcf"
CODERS = (*BINARISERS, *QUANTISERS, DISCRETE, SEPARATE)
_SEPARATE_RECIPE = "paper"
_GIVEN = {"embeddings", "items", "matrix", "n_bits", "rng", "seed", "users"}  # to a coder, by the comparison


@dataclass(frozen=True)
class Source:
    """A recipe or a baseline with its settings.

    Attributes
    ----------
    name : str
        A recipe, the path of a recipe file, or a name of ``hashgnn.baselines.BASELINES``.
    settings : mapping
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_recipe(self) -> bool:
        """Whether it is trained by a recipe, which learns codes."""
        return self.name not in BASELINES

    @property
    def learns_codes(self) -> bool:
        """Whether the width of a code is a setting of its training."""
        return self.is_recipe or BASELINES[self.name].has_codes

    def describe(self, n_bits: int | None) -> dict[str, Any]:
        """Return everything that decides what is fitted, in JSON values."""
        own = {} if n_bits is None else {"n_bits": n_bits}
        if self.is_recipe:
            return {"recipe": load_recipe(self.name, **own, **self.settings).identity()}
        width = own if self.learns_codes else {}
        return {"baseline": self.name, "settings": dict(self.settings), **width}


@dataclass(frozen=True)
class Method:
    """One method of a comparison.

    Attributes
    ----------
    name : str
        As it stands in tables and file names.
    source : Source
        What is trained; what is coded afterwards, where there is a ``coder``.
    coder : str or None
        A binariser, a quantiser or ``separate``, which codes the float embeddings of ``source``; or ``dcf``, which
        begins with their codes.
    settings : mapping
        Of the coder.
    """

    name: str
    source: Source
    coder: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_codes(self) -> bool:
        """Whether the width of a code matters; a float model is fitted once for all widths."""
        return self.coder is not None or self.source.learns_codes

    @property
    def family(self) -> str:
        """``recipe``, ``codes`` (learned by another method), ``coded`` (made after training) or ``floats``."""
        if self.coder is not None:
            return "coded"
        if self.source.is_recipe:
            return "recipe"
        return "codes" if self.source.learns_codes else "floats"

    def with_settings(self, settings: Mapping[str, Any]) -> Method:
        """Return the method with settings added to what is trained by a recipe; others stay as they are."""
        source, own = self.source, self.settings
        if source.is_recipe:
            source = Source(source.name, {**source.settings, **settings})
        if self.coder == SEPARATE:
            own = {**own, **settings}
        return replace(self, source=source, settings=own)

    def describe(self, n_bits: int | None) -> dict[str, Any]:
        """Return everything that decides what is fitted, in JSON values."""
        if self.coder is None:
            return self.source.describe(n_bits if self.has_codes else None)
        own: dict[str, Any] = {"coder": self.coder, "n_bits": n_bits}
        if self.coder == SEPARATE:
            own["recipe"] = load_recipe(_SEPARATE_RECIPE, **self.settings).identity()
        else:
            own["settings"] = dict(self.settings)
        return {**own, "floats": self.source.describe(n_bits)}


_NAMED: dict[str, tuple[str, str]] = {
    "default": ("default", "our best so far"),
    "default-hamming": ("default+item_bias=false", "the same without an item bias"),
    "paper": ("paper", "HashGNN: the paper's equations"),
    "no-ranking": ("paper+objective.ranking_weight=0", "HashGNN_nr: no ranking loss"),
    "plain-ste": ("paper+relaxation=ste", "Hash_ste: straight-through estimator without guidance"),
    "hashnet": ("paper+relaxation=hashnet", "HashNet: tanh of growing steepness"),
    "gumbel": ("paper+relaxation=gumbel", "Hash_gumb: Gumbel-softmax bits"),
    "separate": ("separate:graphsage", "the baseline GraphSAGE first, then a hash layer over its embeddings"),
    "continuous": (
        "sign:paper+relaxation=none",
        "GraphSAGE by the paper's losses without codes, as wide as a code; its codes are signs taken afterwards",
    ),
    "continuous-lsh": ("lsh:paper+relaxation=none", "LSH: random hyperplanes over the same"),
    "continuous-itq": ("itq:paper+relaxation=none", "ITQ over the same"),
    "continuous-separate": (
        "separate:paper+relaxation=none",
        "HashGNN_sp: the same, then a hash layer trained over its vectors",
    ),
    "authors": ("authors", "what the authors' code does"),
    "lsh": ("lsh:graphsage", "random hyperplanes over the baseline GraphSAGE"),
    "itq": ("itq:graphsage", "ITQ over the baseline GraphSAGE"),
    "pq": ("pq:graphsage", "product quantisation of the baseline GraphSAGE: bytes, float queries"),
    "dcf": ("dcf:spectral", "discrete collaborative filtering over all pairs"),
    "lsh-spectral": ("lsh:spectral", "random hyperplanes over the spectral model"),
    "itq-spectral": ("itq:spectral", "ITQ over the spectral model"),
    "pq-spectral": ("pq:spectral", "product quantisation of the spectral model"),
    "no-teacher": ("default+teacher=none", "default on observed items alone"),
    "no-guidance": ("default+relaxation=ste", "default by the plain estimator"),
    "signed-users": ("default+relaxation.user_floor=0", "default whose users' bits all become signs"),
    "no-warm-start": ("default+warm_start=false", "default from random tables"),
    "one-table": (
        "default+encoder.input_table=false",
        "default with one table for histories and scored items",
    ),
    "no-dropout": (
        "default+encoder.history_dropout=0+objective.observed_target=all",
        "default shown whole histories",
    ),
    "no-left-out": (
        "default+objective.observed_target=all",
        "default trained on the items that it is shown too",
    ),
    "no-top-k": ("default+objective.top_k=none", "default by a softmax over all ranks"),
    "all-items": ("default+objective.item_share=1", "default by a softmax over all items"),
    "no-float-queries": (
        "default+objective.float_query_weight=0",
        "default without the loss of float queries against codes",
    ),
    "no-refinement": (
        "default+objective.refinement_rounds=0",
        "default whose item codes stay as the hash layer makes them",
    ),
    "no-floats": ("default+objective.float_weight=0", "default without the loss of the embeddings"),
}

#: A description of each named method; a recipe's and a baseline's name are methods too.
METHODS = {name: about for name, (_, about) in _NAMED.items()}


def parse_method(text: str) -> Method:
    """Return the method that a name or an expression stands for.

    Parameters
    ----------
    text : str
        A name of ``METHODS``, a recipe or recipe file, a float baseline; any of the last three with settings
        (``default+optimizer.epochs=4``, ``gf-cf+alpha=0.5``); or a coder over the floats of one
        (``itq:lightgcn``, ``lsh+form=cosine:default``, ``rabitq+bits=2:default``). ``NAME=EXPRESSION`` names it.

    Raises
    ------
    ParameterError
        If a part is unknown.

    Examples
    --------
    >>> parse_method("itq+n_iterations=20:lightgcn+dim=128").coder
    'itq'
    >>> parse_method("mine=default+optimizer.epochs=4").source.settings
    {'optimizer.epochs': 4}
    """
    head, equals, rest = text.partition("=")
    renamed = bool(equals) and not any(mark in head for mark in "+:")
    name, expression = (head.strip(), rest) if renamed else (text, text)
    if not name or ("/" in name and renamed):
        raise ParameterError(f"a method's name must be a plain word, got {name!r}")
    if expression in _NAMED:
        expression = _NAMED[expression][0]
    first, coded, last = expression.partition(":")
    if not coded:
        return Method(name, _source(first))
    coder, settings = _parts(first)
    if coder not in CODERS:
        raise ParameterError(f"a coder must be one of {quote_some(CODERS, len(CODERS))}, got {coder!r}")
    source = _source(last)
    if not source.is_recipe and not BASELINES[source.name].has_embeddings:
        raise ParameterError(f"{coder} needs float embeddings, and {source.name} has none")
    if coder == SEPARATE:
        load_recipe(_SEPARATE_RECIPE, **settings)  # raises where a setting is unknown
    else:
        _check_coder(coder, settings)
    return Method(name, source, coder, settings)


def separate_recipe(method: Method, n_bits: int, **settings: Any) -> ModelConfig:
    """Return the config by which a hash layer is trained over given embeddings, which no encoder changes."""
    own = {name: value for name, value in method.settings.items() if name.partition(".")[0] != "encoder"}
    return load_recipe(_SEPARATE_RECIPE, n_bits=n_bits, **{**own, **settings})


def _source(text: str) -> Source:
    name, settings = _parts(text)
    if name in BASELINES:
        if BASELINES[name].has_codes and "dim" in settings:
            raise ParameterError(f"dim is no setting of {name} here; give the widths of the comparison")
        return Source(name, settings)
    if name not in RECIPES and not name.endswith(".toml"):
        known = [*_NAMED, *(one for one in (*RECIPES, *BASELINES) if one not in _NAMED)]
        raise ParameterError(
            f"a method must be one of {quote_some(known, len(known))}, a .toml recipe, "
            f"or a coder and its floats like 'itq:lightgcn', got {name!r}"
        )
    if "n_bits" in settings:
        raise ParameterError("n_bits is no setting of a method; give the widths of the comparison")
    load_recipe(name, **settings)  # raises where a setting is unknown
    return Source(name, settings)


def _parts(text: str) -> tuple[str, dict[str, Any]]:
    name, *settings = (part.strip() for part in text.split("+"))
    return name, dict(parse_setting(part) for part in settings)


def _check_coder(coder: str, settings: Mapping[str, Any]) -> None:
    known = {"form"}
    if coder == DISCRETE:
        fits: Any = DiscreteFactorisation.fit
    else:
        fits = imported(BINARISERS[coder]).fit if coder in BINARISERS else QUANTISERS[coder]
    known |= set(inspect.signature(fits).parameters) - _GIVEN
    for name in settings:
        if name not in known:
            raise ParameterError(
                f"{name} is not a setting of {coder}; its settings: {', '.join(sorted(known))}"
            )
    if settings.get("form", "cosine") != "cosine":
        raise ParameterError(f"form must be 'cosine' or left out, got {settings['form']!r}")
