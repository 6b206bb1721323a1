from __future__ import annotations

import pytest

from hashgnn.benchmarking.quality import METHODS, SUITES, parse_method
from hashgnn.config import load_recipe
from hashgnn.errors import ParameterError


@pytest.mark.parametrize("name", METHODS)
def test_every_named_method_can_be_read(name: str) -> None:
    assert parse_method(name).describe(32)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_suite_holds_its_reference_and_every_method_once(suite: object) -> None:
    methods = suite.methods  # type: ignore[attr-defined]
    assert suite.reference in methods  # type: ignore[attr-defined]
    assert len(set(methods)) == len(methods)
    assert all(parse_method(name) for name in methods)


def test_the_paper_suite_has_every_baseline_of_the_paper() -> None:
    over_one_encoder = {"continuous", "continuous-lsh", "continuous-itq", "continuous-separate"}
    trained = {"hashnet", "gumbel", "plain-ste", "no-ranking"}
    methods = set(SUITES["paper"].methods)
    assert over_one_encoder | trained | {"mf-bpr", "line", "bine", "graphsage"} < methods


def test_the_rivals_of_the_paper_suite_differ_from_it_in_one_setting_or_in_the_coder() -> None:
    paper = load_recipe("paper")
    continuous = parse_method("continuous").source
    assert continuous.describe(32) == {
        "recipe": load_recipe("paper", n_bits=32, relaxation="none").identity()
    }
    for name in ("lsh", "itq", "separate"):
        assert parse_method(f"continuous-{name}").source == continuous
    for name, changed in {
        "plain-ste": {"relaxation": "ste"},
        "hashnet": {"relaxation": "hashnet"},
        "gumbel": {"relaxation": "gumbel"},
        "no-ranking": {"objective.ranking_weight": 0},
    }.items():
        method = parse_method(name)
        assert method.source.name == "paper"
        assert paper.replace(**method.source.settings) == paper.replace(**changed)


def test_an_expression_names_recipe_and_settings() -> None:
    method = parse_method("mine=paper+relaxation=hashnet+optimizer.epochs=2")
    assert (method.name, method.family, method.has_codes) == ("mine", "recipe", True)
    assert method.source.settings == {"relaxation": "hashnet", "optimizer.epochs": 2}
    expected = load_recipe("paper", n_bits=64, relaxation="hashnet", optimizer={"epochs": 2})
    assert method.describe(64)["recipe"] == expected.identity()


def test_an_expression_names_coder_and_floats() -> None:
    method = parse_method("itq+n_iterations=5+form=cosine:lightgcn+dim=32")
    assert (method.coder, method.settings) == ("itq", {"n_iterations": 5, "form": "cosine"})
    assert (method.source.name, method.source.settings) == ("lightgcn", {"dim": 32})
    assert (method.family, method.name) == ("coded", "itq+n_iterations=5+form=cosine:lightgcn+dim=32")


def test_settings_for_all_reach_what_trains_by_a_recipe_and_nothing_else() -> None:
    given = {"optimizer.epochs": 2}
    assert parse_method("paper").with_settings(given).source.settings == given
    assert parse_method("separate").with_settings(given).settings == given
    separate = parse_method("continuous-separate").with_settings(given)
    assert (separate.settings, separate.source.settings) == (given, {"relaxation": "none", **given})
    assert parse_method("lsh:paper").with_settings(given).source.settings == given
    for name in ("lsh", "gf-cf"):
        assert parse_method(name).with_settings(given) == parse_method(name)


def test_a_float_model_is_the_same_at_every_width() -> None:
    method = parse_method("gf-cf")
    assert not method.has_codes
    assert method.describe(32) == method.describe(64)
    assert parse_method("default").describe(32) != parse_method("default").describe(64)


def test_a_rival_that_learns_codes_has_the_widths_of_the_comparison() -> None:
    method = parse_method("bgch+n_layers=1")
    assert (method.family, method.has_codes, method.source.is_recipe) == ("codes", True, False)
    assert method.describe(32) == {"baseline": "bgch", "settings": {"n_layers": 1}, "n_bits": 32}
    assert method.with_settings({"optimizer.epochs": 2}) == method
    with pytest.raises(ParameterError, match="dim is no setting of bgch here; give the widths"):
        parse_method("bgch+dim=64")
    with pytest.raises(ParameterError, match="itq needs float embeddings, and bgch has none"):
        parse_method("itq:bgch")
    assert {"bgch", "bigear"} < set(SUITES["learned"].methods)
    assert not {"bgch", "bigear"} & set(SUITES["floats"].methods)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "deflt",
            "a method must be one of 'default', .* or a coder and its floats like 'itq:lightgcn', got 'deflt'",
        ),
        ("default+epoch=3", "epoch is not a setting; did you mean optimizer.epochs?"),
        ("default+n_bits=8", "n_bits is no setting of a method; give the widths of the comparison"),
        ("default+epochs", "a setting must be written key=value, got 'epochs'"),
        ("zip:lightgcn", "a coder must be one of 'anchor_graph', .*'separate', got 'zip'"),
        ("itq:gf-cf", "itq needs float embeddings, and gf-cf has none"),
        ("itq+depth=3:line", "depth is not a setting of itq; its settings: center, form, n_iterations"),
        ("lsh+form=unit:line", "form must be 'cosine' or left out, got 'unit'"),
    ],
)
def test_what_makes_no_method_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_method(text)
