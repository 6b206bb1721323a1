"""The commands as a user runs them: good input, and every kind of bad input with its one sentence."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.index import InvertedFile, build
from hashgnn.recommender import HashGNN

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--set", "embedding_dim=16", "--set", "teacher.rank=8", "--set", "teacher.k=10", "--threads", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and held-out events of 40 users in two groups, and a model of them."""
    folder = tmp_path_factory.mktemp("events")
    rng = np.random.default_rng(0)
    same = np.kron(np.eye(2), np.ones((20, 12))) > 0
    users, items = np.nonzero(same & (rng.random(same.shape) < 0.8))
    held = rng.random(len(users)) < 0.2
    for name, rows in (("train", ~held), ("test", held)):
        table = pa.table({"user_id": users[rows] + 1, "item_id": [f"i{item}" for item in items[rows]]})
        pq.write_table(table, folder / f"{name}.parquet")
    command = [sys.executable, "-m", "hashgnn", "fit", folder / "train.parquet", "-o", folder / "model"]
    subprocess.run(
        [*map(str, command), "--bits", "16", "--epochs", "20", *QUICK], check=True, capture_output=True
    )
    return folder


def test_fit_saves_a_model_and_a_log_and_no_checkpoint(files: Path) -> None:
    assert sorted(path.name for path in files.iterdir()) == [
        "model",
        "model.log.jsonl",
        "test.parquet",
        "train.parquet",
    ]
    events = [json.loads(line)["event"] for line in (files / "model.log.jsonl").read_text().splitlines()]
    assert events == ["start", "objective", *["epoch"] * 20, "end"]


def test_evaluate_prints_the_document_that_was_promised(files: Path, run: Run) -> None:
    code, out, _ = run(
        "evaluate", files / "model", "--test", files / "test.parquet", "--k", "5,10", "--json", "--quiet"
    )
    document = json.loads(out)
    assert code == 0
    assert document["n_users"] > 30
    assert set(document["metrics"]) == {"hamming", "biased", "asymmetric", "hierarchical", "float"}
    assert document["metrics"]["hierarchical"]["recall@10"] > 0.9
    assert document["bytes_per_item"]["biased"] == 3
    assert set(document["milliseconds_per_query"]) == set(document["metrics"])
    assert (document["served"], document["index_recall"]) == (False, 1)


def test_evaluate_measures_what_is_served(files: Path, run: Run) -> None:
    command = (
        "evaluate",
        files / "model",
        "--test",
        files / "test.parquet",
        "--k",
        "5",
        "--search",
        "biased",
    )
    _, exact, _ = run(*command, "--json", "--quiet")
    code, out, _ = run(*command, "--served", "--index-recall", "0.9", "--json", "--quiet")
    document = json.loads(out)
    assert code == 0
    assert (document["served"], document["index_recall"]) == (True, 0.9)
    assert document["metrics"] == json.loads(exact)["metrics"]  # so few items are scanned, and exactly
    assert document["expected"] == {"biased": {}}
    _, printed, _ = run(*command, "--served", "--quiet")
    assert "items, as served, 95 % intervals over users" in printed.splitlines()[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--k", "0"), "--k must be integers >= 1 like 20,50, got '0'"),
        (("--k", "20,1001"), "metrics must be cut at 1000 at most, got 'recall@1001'"),
        (
            ("--k", "5", "--index-recall", "0.9"),
            "--index-recall must be 1 where quality is measured exactly, got 0.9; add --served",
        ),
        (("--metrics", "recal@5"), "metrics must be names like 'recall@20', of 'recall', "),
        (
            ("--k", "5", "--search", "hamming,hash"),
            "search must be one of 'hamming', 'biased', 'asymmetric', ",
        ),
    ],
)
def test_a_bad_question_to_evaluate_is_refused_before_its_file_is_read(
    options: tuple[str, ...], sentence: str, files: Path, run: Run
) -> None:
    code, out, err = run("evaluate", files / "model", "--test", files / "gone.parquet", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"hashgnn: {sentence}")
    assert err.count("\n") == 1


def test_recommend_for_users_for_a_history_and_for_everyone(files: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("recommend", files / "model", "--users", "1,21", "-k", "1", "--json")
    first, second = json.loads(out)["results"]
    assert code == 0
    assert int(first["item_ids"][0][1:]) < 12 <= int(second["item_ids"][0][1:])
    _, listed, said = run("recommend", files / "model", "--users", "1,21", "-k", "1", "--index-recall", "0.9")
    assert "HammingIndex(n=" in said  # few items are scanned all the same
    assert listed
    code, out, _ = run("recommend", files / "model", "--history", "i1,i2,i3", "-k", "3", "--json")
    (found,) = json.loads(out)["results"]
    assert code == 0
    assert found["history"] == 0
    assert not {"i1", "i2", "i3"} & set(found["item_ids"])
    _, out, _ = run(
        "recommend", files / "model", "--history", "i1", "--allow", "i2,i3", "--block", "i3", "--json"
    )
    assert json.loads(out)["results"][0]["item_ids"] == ["i2"]
    target = tmp_path / "all.parquet"
    code, _, _ = run("recommend", files / "model", "--all", "-o", target, "-k", "2")
    assert code == 0
    assert pq.read_table(target).num_rows == 80


def test_similar_and_inspect(files: Path, run: Run) -> None:
    code, out, _ = run("similar", files / "model", "--item", "i1", "-k", "5", "--json")
    assert code == 0
    assert "i1" not in json.loads(out)["results"][0]["similar_item_ids"]
    code, out, _ = run("inspect", files / "model", "--json")
    assert code == 0
    assert "collision_share" in out


def test_stats_have_a_row_a_figure(files: Path, run: Run) -> None:
    code, out, _ = run("data", "stats", files / "train.parquet", "--quiet")
    rows = {name.strip(): value for name, value in (line.rsplit(maxsplit=1) for line in out.splitlines()[2:])}
    assert code == 0
    assert (rows["users"], rows["items"]) == ("40", "24")
    assert float(rows["interactions per user, minimum"]) >= 1
    assert "{" not in out


def test_help_is_quick_and_needs_no_torch() -> None:
    code = "import sys, hashgnn.cli; sys.exit('torch' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "user_id,thing\n1,2\n",
            "column 'item_id' is missing, found 'user_id', 'thing'; name the column with --item",
        ),
        ("", "the file is empty"),
        ("user_id,item_id\n1,2\n1,3\n", "training needs at least 2 users with interactions, got 1"),
        ("user_id,item_id,weight\n1,2,1\n2,3,nan\n", "line 3: weight must be finite and > 0, got nan"),
        ("user_id,item_id,timestamp\n1,2,5\n2,3,-5\n", "line 3: timestamp must be >= 0, got -5"),
        ("user_id,item_id\n1,2\n2,3,4\n", "line 3: "),
        ("user_id,item_id\n1,2\n2,\n", "line 3: item_id is empty"),
    ],
)
def test_fit_on_a_bad_file_says_one_sentence_and_leaves_nothing(
    content: str, sentence: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(content)
    code, out, err = run("fit", path, "-o", tmp_path / "model", *QUICK, "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("hashgnn: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_a_broken_parquet_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(b"PAR1 this is none PAR1")
    code, _, err = run("fit", path, "-o", tmp_path / "model", "--quiet")
    assert code == 2
    assert "events.parquet" in err
    assert "parquet" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--bits", "100"), "n_bits must be a positive multiple of 8, got 100"),
        (("--set", "margn=0.1"), "margn is not a setting; did you mean objective.ranking_loss.margin?"),
        (("--set", "margin"), "a setting must be written key=value, got 'margin'"),
        (
            ("--set", "optimizer.epochs=2", "--set", "optimizer.epochs=3"),
            "--set optimizer.epochs is given twice, 2 and 3; give it once",
        ),
        (
            ("--epochs", "1", "--set", "optimizer.epochs=-1"),
            "--epochs and --set optimizer.epochs are the same setting; give one of them",
        ),
        (
            ("--bits", "64", "--set", "n_bits=32"),
            "--bits and --set n_bits are the same setting; give one of them",
        ),
        (
            ("--recipe", "papr"),
            "recipe must be one of 'default', 'paper', 'authors' or a .toml file, got 'papr'",
        ),
        (("--seed", "-1"), "--seed must be an integer >= 0, got -1"),
        (("--device", "gpu"), "device must be 'auto', 'cpu' or 'cuda[:n]', got 'gpu'"),
        (("--nonsense",), "No such option"),
    ],
)
def test_a_bad_option_of_fit_is_named_before_anything_is_written(
    options: tuple[str, ...], sentence: str, files: Path, run: Run, tmp_path: Path
) -> None:
    code, _, err = run("fit", files / "train.parquet", "-o", tmp_path / "model", *options, "--quiet")
    assert code == 2
    assert sentence in err
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "model.log.jsonl"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--users", "1,99"),
            "1 of 2 user ids are not in the training data: 99; pass --on-unknown skip or use --history",
        ),
        (("--users", "one"), "user ids of this model are integers, got 'one'"),
        (("--users", "1", "-k", "0"), "k must be an integer >= 1, got 0"),
        (("--users", "1", "--search", "hash"), "search must be one of"),
        (
            ("--history", "i1,nothing"),
            "1 of 2 item ids are not in the training data: 'nothing'; pass --on-unknown skip to leave them out",
        ),
        (("--users", "1", "--allow", "nothing"), "or pass another --on-unknown"),
        (
            ("--users", "1", "--on-unknown", "drop"),
            "on_unknown must be one of 'error', 'skip', 'popular', 'fold_in'",
        ),
        ((), "recommend needs one of --users, --users-file, --history, --all and --histories, got 0 of them"),
        (("--users", "1", "--all"), "recommend needs one of"),
        (("--all",), "--all needs an output, -o FOLDER or -o FILE.csv"),
        (("--all", "-o", "all.csv", "--format", "excel"), "format must be one of 'parquet', 'csv', 'jsonl'"),
    ],
)
def test_a_bad_question_to_recommend_is_answered_with_one_sentence(
    arguments: tuple[str, ...], sentence: str, files: Path, run: Run
) -> None:
    code, out, err = run("recommend", files / "model", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_file_of_unknown_format_names_the_option(run: Run, tmp_path: Path) -> None:
    (tmp_path / "events.bin").write_text("1 2\n")
    code, _, err = run("data", "stats", tmp_path / "events.bin")
    assert code == 2
    assert err.endswith(" with --format\n")


def test_a_remedy_names_only_options_of_the_command(files: Path, run: Run) -> None:
    code, _, err = run("similar", files / "model", "--item", "nothing")
    assert code == 2
    assert "--on-unknown" not in err


def test_json_is_all_that_a_command_prints_to_stdout(files: Path, run: Run, tmp_path: Path) -> None:
    train = files / "train.parquet"
    for command in (
        ("fit", train, "-o", tmp_path / "v1", "--epochs", 1, "--bits", 16, *QUICK),
        ("data", "stats", train),
        ("inspect", tmp_path / "v1"),
        ("recommend", tmp_path / "v1", "--all", "-o", tmp_path / "all.parquet"),
    ):
        code, out, _ = run(*command, "--json")
        assert code == 0
        assert out.count("\n") == 1
        assert json.loads(out)


def test_an_existing_model_is_not_overwritten_without_the_option(files: Path, run: Run) -> None:
    code, _, err = run("fit", files / "train.parquet", "-o", files / "model", "--quiet")
    assert code == 2
    assert "holds a saved model; pass --overwrite to replace it" in err


def test_a_folder_that_is_no_model_is_named(run: Run, tmp_path: Path) -> None:
    code, _, err = run("inspect", tmp_path)
    assert code == 2
    assert str(tmp_path) in err


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_a_demo_that_could_not_be_saved_is_refused_before_any_work(
    taken: str, run: Run, tmp_path: Path
) -> None:
    place = tmp_path / "demo"
    if taken == "file":
        place.write_text("")
    else:
        (place / "model").mkdir(parents=True)
        (place / "model" / "photo.jpg").write_text("")
    code, out, err = run("demo", "--offline", "--output", place)
    assert (code, out) == (2, "")
    assert err.startswith(f"hashgnn: {place}/model: ")
    assert err.count("\n") == 1


def test_a_demo_without_a_network_names_its_data_in_every_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("demo", "--offline", "--output", tmp_path / "demo")
    assert code == 0
    for text in (out, err):
        assert all(line.startswith("[generated data]") for line in text.splitlines())
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "hashgnn demo (generated data)" in page
    assert "Code health, generated data" in page
    # It is the report of `hashgnn evaluate --report`: a verdict, baselines, tests, segments, what was held out.
    verdict = next(line for line in out.splitlines() if "Codes keep" in line)
    assert verdict.removeprefix("[generated data] ") in html.unescape(page)
    for words in ("against ease", "By segment", "Held out: what the user did choose", "Generated "):
        assert words in page
    assert (tmp_path / "demo" / "model" / "manifest.json").exists()


def test_the_demo_as_json_is_one_document(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("demo", "--offline", "--output", tmp_path / "demo", "--json", "--quiet")
    document: dict[str, Any] = json.loads(out)
    assert code == 0
    assert document["data"]["generated"] is True
    assert [len(person["recommended"]) for person in document["recommended"]] == [10, 10, 10]
    assert list(document["baselines"]) == ["popularity", "itemknn", "ease"]
    assert document["verdict"].startswith("Codes keep")
    for person in document["recommended"]:
        found = [one["title"] for one in person["recommended"] if one["held_out"]]
        kept = [title.rpartition(" (rank ")[0] for title in person["held_out"][: len(found)]]
        assert kept == found
        code, out, _ = run("recommend", tmp_path / "demo" / "model", "--users", person["user_id"], "--json")
        assert json.loads(out)["results"][0]["item_ids"] == [one["item_id"] for one in person["recommended"]]


def test_benchmark_search_names_its_engines_and_their_ratios(run: Run) -> None:
    code, out, _ = run(
        "benchmark", "search", "--items", 3000, "--bits", 64, "-k", 10, "--queries", 8, "--rounds", 1,
        "--peers", "numpy-matmul", "--json", "--quiet",
    )  # fmt: skip
    rows = {row["engine"]: row for row in json.loads(out)["rows"]}
    assert code == 0
    assert rows["hamming"]["ratio_to_ours"] == 1
    assert rows["numpy-matmul"]["ratio_to_ours"] > 0
    code, out, _ = run(
        "benchmark", "search", "--items", 300, "--bits", 64, "-k", 10, "--queries", 8, "--rounds", 1,
        "--engines", "hamming", "--peers", "none", "--json", "--quiet",
    )  # fmt: skip
    assert code == 0
    assert [row["engine"] for row in json.loads(out)["rows"]] == ["hamming"]


def test_a_memory_budget_is_an_option_where_models_answer(files: Path, run: Run) -> None:
    recommend = ("recommend", files / "model", "--users", "1", "-k", "3", "--index-recall", "0.9", "--json")
    code, out, said = run(*recommend, "--bytes-per-item", "60")
    assert code == 0, said
    assert "row_bits=" in said
    assert len(json.loads(out.splitlines()[0])) > 0
    code, _, said = run(*recommend, "--bytes-per-item", "2")
    assert code == 2
    assert said.splitlines()[-1].startswith("hashgnn: bytes_per_item must be at least ")
    evaluate = (
        "evaluate",
        files / "model",
        "--test",
        files / "test.parquet",
        "--quiet",
        "--bytes-per-item",
        "60",
    )
    code, _, said = run(*evaluate)
    assert (code, said) == (
        2,
        "hashgnn: --bytes-per-item is for searches that are served, got 60, and quality is measured exactly; "
        "add --served\n",
    )
    code, _, said = run(*evaluate, "--served", "--search", "hierarchical")
    assert code == 0, said


def test_fit_saves_a_model_with_the_index_that_was_requested(
    files: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SCAN_LIMIT", 10)
    command = ("fit", files / "train.parquet", "--bits", "16", "--epochs", "1", *QUICK)
    code, _, said = run(*command, "-o", tmp_path / "lists", "--index-recall", "0.9")
    assert code == 0, said
    model = HashGNN.load(tmp_path / "lists")
    assert model.index_recall == 0.9
    assert isinstance(model.item_index, InvertedFile)
    assert model.item_index is model.state_.items.index  # mapped, not made
    code, _, said = run(*command, "-o", tmp_path / "other", "--index-recall", "2")
    assert (code, said) == (2, "hashgnn: index_recall must be a finite number > 0 and <= 1, got 2.0\n")
