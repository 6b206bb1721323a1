"""Every name of every registry stands for something that is there."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from hashgnn import _components
from hashgnn._registry import Component, Registry, imported
from hashgnn.baselines import BASELINES
from hashgnn.codes.binarisers import BINARISERS, Binariser
from hashgnn.config import Section
from hashgnn.errors import ParameterError
from hashgnn.fold_in import FoldIn
from hashgnn.nn import Encoder, RankingLoss, Relaxation

COMPONENTS = [
    (registry, name)
    for registry in vars(_components).values()
    if isinstance(registry, Registry)
    for name in registry
]


@pytest.mark.parametrize(("registry", "name"), COMPONENTS, ids=lambda one: getattr(one, "kind", one))
def test_every_part_of_a_config_has_settings_and_an_implementation(
    registry: Registry[Component], name: str
) -> None:
    row = registry[name]
    settings = imported(row.settings)
    assert issubclass(settings, Section)
    assert settings.registry is registry
    assert settings().kind == name
    assert inspect.getdoc(settings)
    if row.implementation:
        assert callable(imported(row.implementation))


@pytest.mark.parametrize("name", sorted(_components.ENCODERS))
def test_an_encoder_is_a_torch_module_and_a_rule_whose_options_are_its_settings(name: str) -> None:
    row = _components.ENCODERS[name]
    encoder = imported(row.implementation)
    assert issubclass(encoder, Encoder)
    assert issubclass(imported(row.fold_in), FoldIn)
    assert set(imported(row.settings)().options()) <= set(inspect.signature(encoder).parameters)


def test_relaxations_losses_and_binarisers_keep_their_contracts() -> None:
    for registry, base in ((_components.RELAXATIONS, Relaxation), (_components.RANKING_LOSSES, RankingLoss)):
        assert all(issubclass(imported(row.implementation), base) for _, row in registry.items())
    assert all(issubclass(imported(row), Binariser) for _, row in BINARISERS.items())


def test_an_unknown_name_gets_one_sentence_with_the_closest_name() -> None:
    with pytest.raises(
        ParameterError,
        match="^binariser must be one of 'anchor_graph', .*, got 'itp'; did you mean 'itq'[?]$",
    ):
        BINARISERS["itp"]
    with pytest.raises(
        ParameterError, match="^baseline must be one of .*, got 'lightgnc'; did you mean 'lightgcn'"
    ):
        BASELINES["lightgnc"]


def test_reading_registries_and_settings_imports_no_torch() -> None:
    code = (
        "import sys, hashgnn.baselines, hashgnn.codes.binarisers, hashgnn._components\n"
        "from hashgnn.config import load_recipe\n"
        "load_recipe('authors')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
