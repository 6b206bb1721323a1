"""A model as scikit-learn sees one: parameters, clones, pipelines and searches."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hashgnn import HashGNN, Interactions, evaluate
from hashgnn.data import split
from hashgnn.errors import DataWarning, NotFittedError, ParameterError
from hashgnn.testing.states import random_state

SMALL: dict[str, Any] = {
    "n_bits": 16,
    "embedding_dim": 16,
    "teacher": "none",
    "optimizer": {"epochs": 1},
    "validation": {"share": 0.0},
}


def events() -> pd.DataFrame:
    users, items = np.nonzero(np.random.default_rng(0).random((30, 20)) < 0.4)
    return pd.DataFrame({"user_id": users, "item_id": items})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"n_bits": 64, "index_recall": 0.9},
        {"recipe": "paper", "encoder": {"name": "gat", "heads": 2}},
        {"optimizer.epochs": 3, "item_bias": False},
    ],
)
def test_parameters_make_an_equal_model(arguments: dict[str, Any]) -> None:
    model = HashGNN(**arguments)
    again = HashGNN(**model.get_params(deep=False))
    assert (again.config, again.index_recall) == (model.config, model.index_recall)
    assert again.get_params() == model.get_params()
    assert {name: model.get_params(deep=False)[name] for name in arguments} == arguments
    assert model.get_params()["optimizer__epochs"] == model.config.optimizer.epochs


def test_settings_are_set_at_every_depth_or_not_at_all() -> None:
    model = HashGNN(n_bits=64, optimizer={"epochs": 4})
    assert model.set_params(n_bits=32, optimizer__epochs=2, encoder__name="gat", item_bias=False) is model
    assert model.config == HashGNN(n_bits=32, optimizer={"epochs": 2}, encoder="gat", item_bias=False).config
    assert model.set_params(recipe="paper", optimizer={"epochs": 7}).config.optimizer.epochs == 7
    before = model.get_params()
    for wrong, sentence in (
        ({"n_bits": 7}, "n_bits must be"),
        ({"n_bits": 16, "optimizer__epoch": 3}, "epoch is not a setting"),
        ({"width": 16}, "width is not a setting"),
        ({"index_recall": 2}, "index_recall must be"),
        ({"recipe": "none.txt"}, "recipe must be one of"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            model.set_params(**wrong)
        assert model.get_params() == before


def test_a_fitted_model_answers_as_before_until_it_is_fitted_again() -> None:
    model = HashGNN.from_state(random_state())
    expected = model.recommend(["u1"], k=3).ids.tolist()
    model.set_params(n_bits=64)
    assert model.recommend(["u1"], k=3).ids.tolist() == expected
    assert repr(model).startswith("HashGNN(n_bits=32, ")
    assert model.config.n_bits == 64


def test_a_clone_is_equal_and_not_fitted() -> None:
    base = pytest.importorskip("sklearn.base")
    fitted = HashGNN.from_state(random_state(), index_recall=0.9)
    for model in (HashGNN(recipe="paper", n_bits=64, optimizer={"epochs": 2}), fitted):
        found = base.clone(model)
        assert type(found) is HashGNN
        assert (found.config, found.index_recall) == (model.config, model.index_recall)
        assert found.get_params() == model.get_params()
        with pytest.raises(NotFittedError):
            found.recommend(["u1"])
    assert fitted.recommend(["u1"]).counts.tolist() == [10]


def ndcg(model: Any, held_out: pd.DataFrame) -> float:
    """A score for a search: NDCG of what a model has not seen."""
    model = getattr(model, "steps", [[model]])[-1][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # users and items that the fold leaves unknown
        test = Interactions.from_frame(
            held_out, user_ids=model.user_ids, item_ids=model.item_ids, on_unknown="skip"
        )
    found = evaluate(
        model, model.state_.seen, test.csr, metrics=["ndcg@5"], search=["hamming"], progress=False
    )
    return float(found.metrics["hamming"]["ndcg@5"])


def test_a_pipeline_and_a_search_over_our_own_split() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, ParameterGrid
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    table = events()
    run = {"device": "cpu", "n_threads": 1, "rng": 0, "progress": False}
    loop = {}
    train, _ = split.leave_one_out(Interactions.from_frame(table), rng=0)
    for settings in ParameterGrid({"n_bits": [16, 32]}):
        model = clone(HashGNN(**SMALL)).set_params(**settings).fit(train, **run)
        assert model.state_.n_bits == settings["n_bits"]
        loop[settings["n_bits"]] = model
    assert len(loop) == 2

    rows = np.random.default_rng(1).permutation(len(table))
    cut = len(rows) // 5
    search = GridSearchCV(
        Pipeline(
            [
                ("known", FunctionTransformer(lambda frame: frame[frame["item_id"] != 3])),
                ("hash", HashGNN(**SMALL)),
            ]
        ),
        {"hash__n_bits": [16, 32], "hash__optimizer__epochs": [1]},
        scoring=ndcg,
        cv=[(rows[cut:], rows[:cut])],
        refit=True,
    )
    search.fit(table, **{f"hash__{name}": value for name, value in run.items()})
    best = search.best_estimator_.named_steps["hash"]
    assert best.state_.n_bits == search.best_params_["hash__n_bits"]
    assert 3 not in best.item_ids
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_target_is_refused() -> None:
    with pytest.raises(
        ParameterError, match="y must be None, the interactions are all that is learned, got list"
    ):
        HashGNN(**SMALL).fit(events(), [1, 2])  # type: ignore[arg-type]


def test_scikit_learn_is_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from hashgnn import HashGNN; model = HashGNN(n_bits=64); model.__sklearn_tags__();"
        "model.set_params(n_bits=32).get_params(); assert not any(name.startswith('sklearn') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
