"""``Parameters``: the settings of a recommender as scikit-learn reads, sets and clones them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hashgnn._checks import check_float
from hashgnn.config import ModelConfig, load_recipe

_OWN = ("n_bits", "recipe", "index_recall")  # what is no setting of the config, or has an argument of its own


@dataclass
class _InputTags:
    one_d_array: bool = False
    two_d_array: bool = True
    three_d_array: bool = False
    sparse: bool = True
    categorical: bool = True
    string: bool = True
    dict: bool = False
    positive_only: bool = False
    allow_nan: bool = False
    pairwise: bool = False


@dataclass
class _TargetTags:
    required: bool = False
    one_d_labels: bool = False
    two_d_labels: bool = False
    positive_only: bool = False
    multi_output: bool = False
    single_output: bool = True


@dataclass
class _Tags:
    """The tags that scikit-learn wants of an estimator, in its form; scikit-learn itself is not imported."""

    estimator_type: str | None = None
    target_tags: _TargetTags = field(default_factory=_TargetTags)
    transformer_tags: None = None
    classifier_tags: None = None
    regressor_tags: None = None
    array_api_support: bool = False
    no_validation: bool = True
    non_deterministic: bool = False
    requires_fit: bool = True
    _skip_test: bool = True
    input_tags: _InputTags = field(default_factory=_InputTags)


class Parameters:
    """``get_params``, ``set_params`` and what else ``sklearn.base.clone``, pipelines and searches use.

    Attributes
    ----------
    config : ModelConfig
    index_recall : float
    """

    config: ModelConfig
    index_recall: float
    _params: dict[str, Any] | None = None  # as they were given; None where a state was

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that make an equal model which is not fitted: ``HashGNN(**model.get_params(False))``.

        Parameters
        ----------
        deep : bool, default=True
            Every other setting too, by a name such as ``optimizer__epochs``.
        """
        given = dict(self._given)
        if not deep:
            return given
        return {**_flat(self.config.to_dict()), **given}

    def set_params(self, **params: Any) -> Self:
        """Change settings, and return this object.

        What was fitted stays, and answers as before, until the next ``fit``. Nothing changes where a setting is
        refused.

        Parameters
        ----------
        **params
            Arguments of the constructor. A setting of a section is ``optimizer__epochs=5`` or
            ``optimizer={"epochs": 5}``.

        Raises
        ------
        ParameterError
            As for the constructor.

        Examples
        --------
        >>> from hashgnn import HashGNN
        >>> HashGNN(n_bits=64).set_params(n_bits=32, optimizer__epochs=5).config.optimizer.epochs
        5
        """
        given = dict(self._given)
        nested = {name.replace("__", "."): value for name, value in params.items() if "__" in name}
        for name, value in params.items():
            if "__" not in name:
                given = {key: one for key, one in given.items() if not key.startswith(f"{name}.")}
                given[name] = value
        recall = check_float("index_recall", given["index_recall"], minimum=0, maximum=1, open_minimum=True)
        config = _config_of(given)
        if nested:
            config = config.replace(**nested)
            sections = {name.partition(".")[0] for name in nested}
            given = {name: value for name, value in given.items() if name.partition(".")[0] not in sections}
            given |= {name: getattr(config, name) for name in sorted(sections)}
        self.config, self.index_recall, self._params = config, recall, given
        return self

    @property
    def _given(self) -> Mapping[str, Any]:
        if self._params is not None:
            return self._params
        fields = {name: getattr(self.config, name) for name in type(self.config).model_fields}
        return {
            "n_bits": fields.pop("n_bits"),
            "recipe": "default",
            "index_recall": self.index_recall,
            **fields,
        }

    def __sklearn_tags__(self) -> _Tags:
        return _Tags()


def _config_of(given: Mapping[str, Any]) -> ModelConfig:
    settings = {name: value for name, value in given.items() if name not in _OWN}
    recipe: str | Path = given["recipe"]
    width = {} if given["n_bits"] is None else {"n_bits": given["n_bits"]}
    return load_recipe(recipe, **width, **settings)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}__")
        else:
            found[before + name] = value
    return found
