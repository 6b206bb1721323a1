"""A virtual environment for each extra, and in it what the pages say: their code, their commands, their errors."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.environments import Environment, build_wheel, new_environment
from tests.pages import OTHERS, ROOT, SHELL, blocks, code, page_name, quick
from tests.reader import make_folder

pytestmark = pytest.mark.slow

Extras = tuple[str, ...]
CORE: Extras = ()
README_EXTRAS: Extras = ("train",)
OFTEN = {CORE, README_EXTRAS}
Make = Callable[[Extras], Environment]


def extras_of(page: Path) -> Extras:
    """Return the extras that a page tells its reader to install, those of the README where it names none."""
    found = re.search(r'pip install "\.\[([\w,]+)\]"', page.read_text(encoding="utf-8"))
    return README_EXTRAS if found is None else tuple(found[1].split(","))


def by_extras() -> dict[Extras, list[Path]]:
    """Return the pages that have code, by the extras that they name."""
    pages: dict[Extras, list[Path]] = {}
    for page in OTHERS:
        if code(page):
            pages.setdefault(extras_of(page), []).append(page)
    return pages


PROMISED = by_extras()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def make(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Make environments; those that many tests use are kept, and the last of the others."""
    kept: dict[Extras, Environment] = {}

    def one(extras: Extras) -> Environment:
        if extras not in kept:
            if extras not in OFTEN:
                _remove(kept, set(kept) - OFTEN)
            kept[extras] = new_environment(tmp_path_factory.mktemp("environment") / "venv", wheel, extras)
        return kept[extras]

    yield one
    _remove(kept, set(kept))


def _remove(kept: dict[Extras, Environment], chosen: set[Extras]) -> None:
    for extras in chosen:
        shutil.rmtree(kept.pop(extras).path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return make_folder(tmp_path_factory.mktemp("reader"))


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the reader's folder, for one test to write into."""
    shutil.copytree(prepared, tmp_path / "reader", symlinks=True)
    return tmp_path / "reader"


def succeeds(environment: Environment, folder: Path, *command: str) -> str:
    done = environment.run(folder, *command)
    assert done.code == 0, f"{' '.join(command)}\n{done.err[-2000:]}"
    assert "Traceback" not in done.err
    return done.out


# --- without extras -------------------------------------------------------------------------------------------

WITHOUT_TORCH = """
import importlib.util
import hashgnn as hg

assert importlib.util.find_spec("torch") is None
model = hg.HashGNN.load("artifacts/v1", verify=True)
assert model.recommend(["u1", "u2"], k=5).counts.tolist() == [5, 5]
assert model.recommend_for_history([["i42", "i7"]], k=5).counts.tolist() == [5]
assert model.similar_items(["i42"], k=5).counts.tolist() == [5]
assert len(model.fold_in_items([["u1", "u9"]])) == 1
train = hg.read_interactions("train.parquet", user_ids=model.state_.users.ids, item_ids=model.state_.items.ids)
test = hg.read_interactions("held_out.parquet", user_ids=train.user_ids, item_ids=train.item_ids)
assert set(hg.evaluate(model, train, test, rng=0).metrics) == set(model.search_ways)
assert hg.evaluate(model, train, test, rng=0).to_frame("pyarrow").num_rows == 10
model.save("artifacts/v2")
"""


def test_without_extras_a_model_is_loaded_and_answers(
    make: Make, folder: Path, prepared: Path, tmp_path: Path
) -> None:
    environment = make(CORE)
    (folder / "program.py").write_text(WITHOUT_TORCH)
    succeeds(environment, folder, "python", "program.py")
    for arguments in quick(OTHERS):
        place = tmp_path / "place"  # what one command writes is not in the way of the next
        shutil.copytree(prepared, place, symlinks=True)
        succeeds(environment, place, "hashgnn", *arguments)
        shutil.rmtree(place)
    assert succeeds(environment, folder, "hashgnn", "--version").startswith("hashgnn ")
    assert "demo" in succeeds(environment, folder, "hashgnn")


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("fit events.parquet -o models/v2", "torch", "train"),
        ("update models/v1 events.parquet", "torch", "train"),
        ("demo", "torch", "train"),
        ("tune train.parquet -o mine.toml", "optuna", "tune"),
        ("serve models", "httptools", "serve"),
        ("benchmark search --items 1000 --plot search.png", "matplotlib", "plots"),
        ("benchmark search --items 1000 --peers faiss-flat-ip --quiet", "faiss", "benchmark"),
        ("data stats s3://shop/events.csv", "fsspec", "cloud"),
    ],
)
def test_a_missing_extra_is_one_sentence_and_nothing_is_written(
    command: str, package: str, extra: str, make: Make, folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    done = make(CORE).run(folder, "hashgnn", *command.split())
    assert done.code == 2
    assert re.search(
        rf"^hashgnn: .* needs the package {package}, of the extra {extra}; install it with: pip install \"",
        done.err,
    ), done.err
    assert done.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


# --- the pages ------------------------------------------------------------------------------------------------

RUN_IN = [(extras, page) for extras, pages in sorted(PROMISED.items()) for page in pages]


@pytest.mark.parametrize(
    ("extras", "page"),
    RUN_IN,
    ids=lambda value: page_name(value) if isinstance(value, Path) else "+".join(value),
)
def test_a_page_works_with_the_extras_that_it_names(
    extras: Extras, page: Path, make: Make, folder: Path
) -> None:
    (folder / "page.py").write_text(code(page), encoding="utf-8")
    succeeds(make(extras), folder, "python", "page.py")


# --- the commands that train ----------------------------------------------------------------------------------


def training_commands() -> list[str]:
    """Return the different fits and updates of the pages that need no other file than a reader has."""
    found = {
        " ".join(words[1:])
        for page in OTHERS
        for block in blocks(page)
        if block.kind == SHELL
        for words in block.commands
        if words[:2] in (["hashgnn", "fit"], ["hashgnn", "update"])
    }
    left_out = "data/|mine.toml|newer.parquet|current|--engine ray"  # Ray takes a quarter of a gigabyte
    return sorted(line for line in found if not re.search(left_out, line))


# The page whose commands begin with a folder that another command makes, and end with a recipe that it prints.
LARGE = ROOT / "docs" / "guide" / "events-beyond-memory.md"
# Options that need an extra of their own.
TRACKERS = {"--tensorboard": "tensorboard", "--mlflow": "mlflow"}


@pytest.mark.parametrize("line", training_commands())
def test_a_command_that_trains_works_with_train_and_the_extra_of_its_option(
    line: str, make: Make, folder: Path
) -> None:
    shutil.copy(folder / "held_out.parquet", folder / "new.parquet")
    command = line.split()
    output = folder / command[command.index("-o") + 1]
    shutil.rmtree(output, ignore_errors=True)
    trackers = tuple(extra for option, extra in TRACKERS.items() if option in command)
    environment = make((*README_EXTRAS, *trackers))
    if "prepared" in command:
        succeeds(environment, folder, "hashgnn", "data", "prepare", "events.parquet", "-o", "prepared")
        (recipe,) = re.findall(r"```toml\n(.*?)```", LARGE.read_text(encoding="utf-8"), re.DOTALL)
        (folder / "large.toml").write_text(recipe, encoding="utf-8")
    succeeds(environment, folder, "hashgnn", *command)
    assert (output / "manifest.json").is_file()


def test_with_train_alone_the_demo_ends_with_a_report_without_plots(make: Make, tmp_path: Path) -> None:
    done = make(README_EXTRAS).run(tmp_path, "hashgnn", "demo", "--offline", "--threads", "1")
    assert done.code == 0, done.err[-2000:]
    noted, _, rest = done.err.partition("the report will have no plots: a plot needs the package matplotlib")
    assert "epoch 1 of" not in noted, "said before the training"
    assert "epoch 1 of" in rest
    page = (tmp_path / "demo/report.html").read_text(encoding="utf-8")
    assert "Search ways" in page
    assert "<svg" not in page


# --- each other extra -----------------------------------------------------------------------------------------


@contextmanager
def serving(environment: Environment, folder: Path, command: str) -> Iterator[str]:
    """Run a service on a free port, and yield its address."""
    process = subprocess.Popen(
        [str(environment.path / "bin/hashgnn"), *command.split(), "--port", "0"],
        cwd=folder,
        env=environment.variables,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"http://[\d.]+:\d+", line):
                yield found[0]
                break
        else:
            pytest.fail(said)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def post(address: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of the service to a JSON document."""
    body, headers = json.dumps(document).encode(), {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_with_serve_alone_the_service_answers_without_torch(make: Make, folder: Path) -> None:
    environment = make(("serve",))
    assert environment.run(folder, "python", "-c", "import torch").code == 1
    with serving(environment, folder, "serve models --items titles.parquet") as address:
        found = post(f"{address}/v1/recommend", {"users": ["u1"], "k": 3})
    assert len(found["results"][0]["items"]) == 3


def test_from_parquet_to_production_and_to_the_next_version(make: Make, folder: Path) -> None:
    """The commands of the serving page, in its order."""
    environment = make(("train", "serve"))
    shutil.rmtree(folder / "models")
    succeeds(environment, folder, "hashgnn", *["fit", "events.parquet", "-o", "models/v1"])
    (folder / "models/current").symlink_to("v1")
    line = "serve models --items titles.parquet --item-id item_id --interactions events.db"
    with serving(environment, folder, line) as address:
        assert post(f"{address}/v1/recommend", {"users": ["u1"], "k": 3})["results"]
        assert post(f"{address}/v1/interactions", {"interactions": [{"user": "new", "item": "i7"}]})
    for line in (
        "interactions export events.db -o new.parquet --model models/current",
        "update models/current new.parquet -o models/v2",
        "interactions clear events.db --model models/v2",
        "recommend models/v2 --users new -k 3",
    ):
        succeeds(environment, folder, "hashgnn", *line.split())


def test_with_plots_alone_a_plot_is_drawn(make: Make, tmp_path: Path) -> None:
    command = "benchmark search --items 2000 --queries 8 --rounds 1 --peers none --plot search.png"
    succeeds(make(("plots",)), tmp_path, "hashgnn", *command.split())
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")


CLOUD = """
import fsspec, hashgnn as hg
with fsspec.open("memory://shop/events.csv", "w") as file:
    file.write("user_id,item_id\\na,x\\nb,y\\n")
assert len(hg.read_interactions("memory://shop/events.csv")) == 2
import aiohttp
"""


def test_with_cloud_alone_an_address_is_read(make: Make, tmp_path: Path) -> None:
    succeeds(make(("cloud",)), tmp_path, "python", "-c", CLOUD)


def test_with_tune_settings_are_searched_and_a_model_is_fitted_with_them(make: Make, folder: Path) -> None:
    environment = make(("train", "tune"))
    # As the pages have it, and one trial instead of half an hour.
    search = "tune train.parquet -o mine.toml --minutes 30 --trials 1"
    for line in (search, "fit train.parquet -o models/v3 --recipe mine.toml"):
        succeeds(environment, folder, "hashgnn", *line.split())
    assert (folder / "models/v3/manifest.json").is_file()


SUITE = """
import pytest
from hashgnn import HashGNN
from hashgnn.testing.indexes import IndexContract
from hashgnn.testing.states import random_state

def test_a_model_without_training_answers():
    assert HashGNN.from_state(random_state()).recommend(["u3"], k=5).counts.tolist() == [5]
"""


def test_with_testing_alone_the_suites_can_be_imported(make: Make, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(SUITE)
    assert "1 passed" in succeeds(
        make(("testing",)), tmp_path, "python", "-m", "pytest", "-q", "test_mine.py"
    )


def test_with_benchmark_alone_every_other_library_is_timed(make: Make, tmp_path: Path) -> None:
    peers = "faiss-binary-flat,faiss-flat-ip,usearch-exact,hnswlib"
    command = f"benchmark search --items 2000 --queries 8 --rounds 1 --peers {peers} --json"
    document = json.loads(succeeds(make(("benchmark",)), tmp_path, "hashgnn", *command.split()))
    assert {row["engine"] for row in document["rows"]} >= set(peers.split(","))


def test_every_extra_has_an_environment() -> None:
    written = Path(__file__).read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    named = {extra for found in PROMISED for extra in found}
    named |= set(re.findall(r"\w+", " ".join(re.findall(r"make\(\(([^()]+)\)\)", written))))
    named |= set(TRACKERS.values())
    # All are the other extras together, which make installs; Ray takes a quarter of a gigabyte, Spark half of one, and
    # Java. Engines need a server, or take 200 MB. The rivals take 150 MB, and their tests skip without them.
    others = {"all", "lancedb", "milvus", "pgvector", "postgres", "ray", "rivals", "spark"}
    assert set(extras) - named == others
