from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hashgnn.benchmarking import benchmark_search, grown_workload, model_workload
from hashgnn.benchmarking.search import plot_search, workload
from hashgnn.cli.app import app
from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions, generate_interactions
from hashgnn.data import split as splits
from hashgnn.errors import ParameterError
from hashgnn.index.stores.embedded_store import is_mapped
from hashgnn.recommender import HashGNN

SMALL = {"n_bits": 32, "optimizer.epochs": 2, "embedding_dim": 16, "teacher.rank": 8, "teacher.k": 10}


@pytest.fixture(scope="module")
def split() -> tuple[Interactions, Interactions]:
    return splits.random(generate_interactions(120, 150, 2400, rng=0), test_size=0.2, rng=0)


@pytest.fixture(scope="module")
def model(split: tuple[Interactions, Interactions]) -> HashGNN:
    return HashGNN(**SMALL).fit(split[0], device="cpu", n_threads=1, rng=0, progress=False)


def test_grown_items_lie_between_an_item_and_a_near_one(model: HashGNN) -> None:
    data = grown_workload(model, 2000, rng=0)
    own = np.asarray(model.state_.items.embeddings, np.float64)
    n = len(own)
    assert (data.items[:n] == own).all()
    assert data.items.shape == (2000, 16)
    between = np.linalg.norm(own[:, None] - own[None], axis=2)
    np.fill_diagonal(between, np.inf)
    widest = np.sort(between, axis=1)[:, 15].max()
    distance = np.linalg.norm(data.items[n:, None] - own[None], axis=2)
    assert (distance.min(axis=1) > 0).all()
    assert (distance.min(axis=1) <= 0.5 * widest + 0.15 * 2 * widest).all()
    # Its nearest of the model's items is as a rule the one that it was grown from, or that one's neighbour.
    nearest = np.sort(distance, axis=1)[:, 0]
    assert np.median(nearest) < 0.6 * np.median(np.sort(between, axis=1)[:, :16])


def test_codes_and_bias_of_grown_items_are_the_models(model: HashGNN) -> None:
    data = grown_workload(model, 1000, rng=0)
    state = model.state_
    n = state.n_items
    assert (data.item_codes.packed[:n] == state.items.codes.packed).all()
    expected = BinaryCodes.from_signs(state.projection.items.activations(data.items[n:]))
    assert (data.item_codes.packed[n:] == expected.packed).all()
    assert state.items.bias is not None
    assert data.item_bias is not None
    own, grown = state.items.bias.values(), data.item_bias.values()
    assert (grown[:n] == own).all()
    assert own.min() <= grown.min()
    assert grown.max() <= own.max()
    assert data.scored_bias is data.item_bias
    assert len(data.queries) == state.n_users  # real users ask
    assert set(map(tuple, data.queries)) == set(map(tuple, np.asarray(state.users.embeddings)))


def test_a_seed_grows_one_catalogue(model: HashGNN) -> None:
    one, other = (grown_workload(model, 400, rng=np.random.default_rng(3)) for _ in range(2))
    assert (one.items == other.items).all()
    assert one.item_codes == other.item_codes
    assert (grown_workload(model, 400, rng=4).items[200:] != one.items[200:]).any()


def test_a_catalogue_larger_than_memory_allows_is_mapped_from_a_file(
    model: HashGNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = grown_workload(model, 1000, length_spread=0.2, rng=0)
    monkeypatch.setattr(workload, "_MOST_IN_MEMORY", 0)
    mapped = grown_workload(model, 1000, length_spread=0.2, rng=0)
    assert is_mapped(mapped.items)
    assert not is_mapped(in_memory.items)
    assert (mapped.items == in_memory.items).all()
    assert mapped.item_codes == in_memory.item_codes
    rows = benchmark_search(
        engines=["hierarchical-lists-rows64"],
        peers=[],
        workload=mapped,
        index_recall=0.9,
        k=10,
        n_rounds=1,
        n_threads=1,
    )
    assert [row["engine"] for row in rows] == ["hierarchical-lists-rows64"]


def test_lengths_are_spread_as_asked_and_codes_find_the_long_ones(model: HashGNN) -> None:
    plain, spread = (grown_workload(model, 3000, length_spread=s, rng=0) for s in (0.0, 0.4))
    lengths = np.linalg.norm(spread.items, axis=1) / np.linalg.norm(plain.items, axis=1)
    assert np.log(lengths).std() == pytest.approx(0.4, rel=0.1)
    assert np.log(lengths).mean() == pytest.approx(0, abs=0.05)
    assert (spread.item_codes.packed == plain.item_codes.packed).all()
    assert spread.item_bias is not None
    rows = {
        row["engine"]: row["float_recall"]
        for row in benchmark_search(
            workload=spread, k=10, n_queries=16, n_rounds=1, peers=[], engines=["hamming", "biased"]
        )
    }
    assert rows["biased"] > rows["hamming"] + 0.1  # the bias knows the lengths


def test_fewer_items_than_the_model_has_are_refused(model: HashGNN) -> None:
    n = model.state_.n_items
    with pytest.raises(
        ParameterError, match=f"n_items must be at least {n}, the items of the model, got {n - 1}"
    ):
        grown_workload(model, n - 1)
    assert len(grown_workload(model, n).items) == n


def test_end_quality_is_that_of_the_models_own_items(
    model: HashGNN, split: tuple[Interactions, Interactions]
) -> None:
    own = model_workload(model, split[1])
    requested = {
        "k": 20,
        "n_queries": 16,
        "n_rounds": 1,
        "engines": ["biased", "hierarchical"],
        "index_recall": 0.999,
    }
    here = benchmark_search(workload=own, peers=["numpy-matmul"], **requested)
    there = benchmark_search(
        workload=grown_workload(model, 1000), judged_on=own, peers=["numpy-matmul"], **requested
    )
    for one, other in zip(here, there, strict=True):
        assert other["items"] == 1000
        for name in ("recall@20", "ndcg@20", "share_of_floats"):
            assert other[name] == pytest.approx(one[name])
    exact = next(row for row in there if row["engine"] == "numpy-matmul")
    assert exact["share_of_floats"] == pytest.approx(1)
    assert exact["index_recall"] == exact["float_recall"] == 1
    assert 0 < exact["ndcg@20"] < 1


def test_the_command_grows_judges_draws_and_draws_again(
    model: HashGNN, split: tuple[Interactions, Interactions], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    model.save(tmp_path / "model")
    test = split[1]
    table = {"user_id": test.user_ids.ids[test.user_index], "item_id": test.item_ids.ids[test.item_index]}
    pq.write_table(pa.table(table), tmp_path / "test.parquet")
    run = CliRunner().invoke(
        app,
        [
            *("benchmark", "search", "--grow", str(tmp_path / "model"), "--items", "900", "-k", "20"),
            *("--test", str(tmp_path / "test.parquet"), "--rounds", "1", "--index-recall", "0.9,0.95"),
            *("--engines", "hierarchical,hierarchical-lists", "--peers", "numpy-matmul", "--json", "--quiet"),
            *("--plot", str(tmp_path / "one.svg")),
        ],
    )
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    rows = document["rows"]
    assert [row["requested_index_recall"] for row in rows] == [0.9] * 3 + [0.95] * 3
    assert {row["items"] for row in rows} == {900}
    assert all(0 < row["recall@20"] <= 1 for row in rows)
    assert document["left_out"] == {}
    assert document["versions"]["numpy"] == np.__version__
    assert "900 items grown from model" in document["title"]
    (tmp_path / "rows.json").write_text(run.stdout)
    again = CliRunner().invoke(
        app,
        ["benchmark", "search", "--rows", str(tmp_path / "rows.json"), "--plot", str(tmp_path / "two.png")],
    )
    assert again.exit_code == 0, again.output
    assert (tmp_path / "one.svg").read_text().count("numpy-matmul") or (
        tmp_path / "one.svg"
    ).stat().st_size > 10_000
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_has_a_panel_for_each_quality_and_axis(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    row = {"engine": "hamming", "k": 10, "float_recall": 0.9, "recall@20": None}
    row |= {"single_query_ms": 1.0, "bytes_per_item": 16.0}
    better = row | {"engine": "scann", "single_query_ms": 0.5, "float_recall": 1.0}
    plot_search([row, better], tmp_path / "one.svg")
    plot_search([row | {"recall@20": 0.1}, better], tmp_path / "two.svg")
    one, two = ((tmp_path / name).read_text() for name in ("one.svg", "two.svg"))
    assert (one.count('id="axes_'), two.count('id="axes_')) == (2, 4)
    with pytest.raises(ParameterError, match="rows must hold one row or more, got none"):
        plot_search([], tmp_path / "none.svg")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--model", "m", "--grow", "m"), "--model and --grow must not be given together, got both"),
        (("--length-spread", "0.3"), "--length-spread must be given with --grow, got it alone"),
        (("--index-recall", "high"), "--index-recall must be numbers like 0.95,0.99, got 'high'"),
        (("--rows", "none.json"), "--rows must be given with --plot, got it alone"),
        (
            ("--rows", "none.json", "--plot", "p.svg"),
            "--rows must name a file that benchmark search --json printed",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    given: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, ["benchmark", "search", *given])
    assert run.exit_code != 0
    assert said in str(run.exception) or said in run.output
