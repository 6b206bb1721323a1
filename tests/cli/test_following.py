"""``fit`` and ``update`` with trackers and a card, and ``export``, as commands."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import Run

from hashgnn.codes import BinaryCodes
from hashgnn.data import generate_interactions
from hashgnn.recommender import HashGNN
from hashgnn.state.card import CARD
from hashgnn.testing.states import random_state

QUICK = ("--bits", "16", "--epochs", "2", "--threads", "1", "--device", "cpu",
         "--set", "embedding_dim=8", "--set", "teacher.rank=8", "--set", "teacher.k=3")  # fmt: skip


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    made = generate_interactions(40, 30, 400, rng=0)
    path = tmp_path / "events.csv"
    rows = zip(made.user_index.tolist(), made.item_index.tolist(), strict=True)
    path.write_text("user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in rows))
    return path


@pytest.mark.filterwarnings("ignore", "error::hashgnn.errors.HashGNNWarning")
def test_fit_and_update_write_to_trackers_and_the_card(events: Path, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    mlflow = pytest.importorskip("mlflow")
    from tests.tracking.runs import scalars, text

    Path("notes.md").write_text("Ask the **shop** team.\n", encoding="utf-8")
    store = f"sqlite:///{tmp_path}/store.db"
    tracked = ("--tensorboard", "runs", "--mlflow", f"{store}/shop")
    code, _, err = run(
        "fit", events, "-o", "v1", *QUICK, *tracked, "--license", "MIT", "--card-notes", "notes.md"
    )
    assert code == 0, err
    assert "goes on without it" not in err
    card = Path("v1", CARD).read_text(encoding="utf-8")
    assert "\n## Licence\n\nMIT\n" in card
    assert "\n## Notes\n\nAsk the **shop** team.\n" in card
    assert [step for step, _ in scalars(Path("runs/v1"), "loss")] == [1, 2]
    assert text(Path("runs/v1"), "model_card") == card  # the saved one, with its notes
    client = mlflow.MlflowClient(store)
    (found,) = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    assert (found.info.run_name, found.info.status) == ("v1", "FINISHED")
    assert Path(client.download_artifacts(found.info.run_id, CARD)).read_text(encoding="utf-8") == card

    Path("new.csv").write_text("user_id,item_id\n900,1\n900,2\n")
    code, _, err = run("update", "v1", "new.csv", "--epochs", "1", "--threads", "1", "--tensorboard", "runs")
    assert code == 0, err
    assert [step for step, _ in scalars(Path("runs/v2"), "loss")] == [1]
    assert "\n## Licence\n\nMIT\n" in Path("v2", CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["shop", "http://host:5000", "http://host:5000/", "/shop", "sqlite:///"])
def test_a_place_that_is_no_store_and_experiment_is_refused_before_the_training(
    place: str, events: Path, run: Run
) -> None:
    pytest.importorskip("torch")
    code, out, err = run("fit", events, "-o", "v1", "--mlflow", place)
    assert (code, out) == (2, "")
    assert err == (
        "hashgnn: --mlflow must be a tracking URI and an experiment, as http://localhost:5000/shop or "
        f"sqlite:///mlflow.db/shop, got {place!r}\n"
    )
    assert not Path("v1").exists()


@pytest.mark.parametrize(
    ("option", "package"),
    [(("--tensorboard", "runs"), "tensorboard"), (("--mlflow", "sqlite:///a.db/x"), "mlflow")],
)
def test_a_tracker_whose_package_is_missing_is_said_before_the_training(
    option: tuple[str, str], package: str, events: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = run("fit", "gone.csv", "-o", "v1", *option)
    assert code == 2
    assert f"needs the package {package}, of the extra {package}; install it with: pip install" in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe", "notes.md: must be a text file in UTF-8"),
        (b"a\x1bb", "notes.md: the text must be plain text without control characters, got some"),
        (b"x" * 65537, "notes.md: the text must be at most 65,536 characters, got 65,537"),
        (b"x" * 300_000, "notes.md: must hold at most 65,536 characters, got a larger file"),
        (None, "notes.md: cannot be read, No such file or directory"),
    ],
)
def test_notes_that_cannot_be_kept_are_refused_before_the_training(
    content: bytes | None, sentence: str, events: Path, run: Run
) -> None:
    pytest.importorskip("torch")
    if content is not None:
        Path("notes.md").write_bytes(content)
    code, _, err = run("fit", "gone.csv", "-o", "v1", "--card-notes", "notes.md")
    assert (code, err) == (2, f"hashgnn: {sentence}\n")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HashGNN:
    monkeypatch.chdir(tmp_path)
    made = HashGNN.from_state(random_state(5, ["a,b", 'say "x"', "é"], n_bits=16))
    made.save("v1")
    return made


def test_export_writes_the_items_as_csv_and_as_parquet(model: HashGNN, run: Run) -> None:
    code, out, err = run("export", "v1", "--items", "items.csv")
    assert (code, err) == (0, "")
    assert out.startswith("items.csv: ")
    with open("items.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    items, bias = model.state_.items, model.state_.items.bias
    assert bias is not None
    assert list(rows[0]) == ["position", "item_id", "code", "penalty", "bias"]
    assert [int(row["position"]) for row in rows] == [0, 1, 2]
    assert [row["item_id"] for row in rows] == ["a,b", 'say "x"', "é"]
    assert [bytes.fromhex(row["code"]) for row in rows] == [code.tobytes() for code in items.codes.packed]
    assert [int(row["penalty"]) for row in rows] == bias.penalty.tolist()
    assert np.array_equal(np.array([row["bias"] for row in rows], np.float32), bias.values())
    assert run("export", "v1", "--items", "items.parquet")[0] == 0
    table = pq.read_table("items.parquet")
    assert table.column_names == list(rows[0])
    assert table["code"].to_pylist() == [bytes.fromhex(row["code"]) for row in rows]
    assert table.schema.metadata[b"n_bits"] == b"16"


def test_export_of_a_model_without_a_bias_has_no_columns_of_it(tmp_path: Path, run: Run) -> None:
    HashGNN.from_state(random_state(n_bits=8, item_bias=False)).save(tmp_path / "v1")
    assert run("export", tmp_path / "v1", "--items", tmp_path / "items.parquet")[0] == 0
    assert pq.read_table(tmp_path / "items.parquet").column_names == ["position", "item_id", "code"]


def test_export_writes_an_onnx_file_that_agrees_with_the_table(model: HashGNN, run: Run) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    code, out, _ = run("export", "v1", "--onnx", "h.onnx", "--items", "items.parquet", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["onnx"] == {"path": "h.onnx", "n_bytes": Path("h.onnx").stat().st_size}
    assert document["items"]["path"] == "items.parquet"
    query = runtime.InferenceSession("h.onnx").run(None, {"items": np.array([[2, 0]])})[1]
    table = pq.read_table("items.parquet")
    items = BinaryCodes(np.frombuffer(b"".join(table["code"].to_pylist()), np.uint8).reshape(3, 2))
    distances = BinaryCodes(query).distances(items)[0] + table["penalty"].to_numpy()
    wanted = model.recommend_for_history([["é", "a,b"]], k=3, search="biased", filter_seen=False)
    scores = dict(zip(wanted.lists()[0], wanted.scores[0].tolist(), strict=True))
    for item, distance in zip(table["item_id"].to_pylist(), distances.tolist(), strict=True):
        top = model.state_.items.bias.top  # type: ignore[union-attr]
        assert scores[item] == pytest.approx(16 + top - 2 * distance, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "export needs --to, or --onnx FILE, --items FILE or both, got none"),
        (("--items", "items.txt"), "the table of items must be a .csv or .parquet file, got 'items.txt'"),
        (
            ("--items", "s3://shop/items.csv"),
            "path must be a path of this machine, got the address 's3://shop/items.csv'",
        ),
        (("--items", "a.csv", "--onnx", "a.csv"), "--onnx and --items must be two files, got a.csv for both"),
        (("--items", "there.csv"), "there.csv: exists; pass --overwrite to replace it"),
        (("--items", "new.csv", "--onnx", "there.csv"), "there.csv: exists; pass --overwrite to replace it"),
    ],
)
def test_bad_input_of_export_writes_nothing(
    options: tuple[str, ...], sentence: str, model: HashGNN, run: Run
) -> None:
    Path("there.csv").write_text("mine")
    before = sorted(Path().rglob("*"))
    code, out, err = run("export", "v1", *options)
    assert (code, out, err) == (2, "", f"hashgnn: {sentence}\n")
    assert sorted(Path().rglob("*")) == before
    assert Path("there.csv").read_text() == "mine"
    assert run("export", "v1", "--items", "there.csv", "--overwrite")[0] == 0
