"""Ray and Spark: a cluster of two processes on this machine makes the same files, also where workers are killed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.batch.conftest import Fatal, files

from hashgnn import HashGNN
from hashgnn.answering import BatchAnswers
from hashgnn.answering.batch_job import BatchJob
from hashgnn.batch import run_batch
from hashgnn.errors import DataError, EngineError

ROOT = Path(__file__).parents[2]
# Both warn of versions of libraries that are newer than they are, and leave sockets to the end of the process.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"
    ),
    pytest.mark.slow,
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def ray() -> Iterator[str]:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    import ray

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_BACKEND_LOG_LEVEL": "fatal",
            "PYTHONPATH": str(ROOT),
        }.items():
            patch.setenv(name, value)
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        yield "ray"
        ray.shutdown()


@pytest.fixture(scope="module")
def spark() -> Iterator[str]:
    pytest.importorskip("pyspark", reason="needs the extra 'spark'")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local-cluster[2,1,1024]")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.log.level", "OFF")
            .config("spark.executorEnv.PYTHONPATH", str(ROOT))
            .getOrCreate()
        )
        yield "spark"
        session.stop()


@pytest.fixture(params=["ray", "spark"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


def test_the_files_are_those_of_one_process(
    engine: str, model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = model.recommend_all(out, k=5, part_rows=15, engine=engine, n_workers=2, progress=False)
    assert (result.n_made, result.n_results) == (10, 750)
    assert files(out) == whole


def test_rules_and_their_table_go_with_the_job(engine: str, model: HashGNN, tmp_path: Path) -> None:
    table = pa.table({"item_id": model.item_ids.tolist(), "price": list(range(40)), "brand": ["a", "b"] * 20})
    shop = model.with_item_table(table)
    rules: dict[str, Any] = {"where": "price < 33", "boost": {"brand = 'a'": 1.5}, "max_per": {"brand": 2}}
    shop.recommend_all(
        tmp_path / "out", k=5, part_rows=15, engine=engine, n_workers=2, progress=False, **rules
    )
    made = pq.read_table(tmp_path / "out").replace_schema_metadata(None)
    assert made.equals(shop.recommend(shop.user_ids, k=5, **rules).to_arrow())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_workers_change_nothing(
    engine: str, fatal: Fatal, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_batch(fatal(out, 2, 7), out, engine=engine, n_workers=2, progress=False)
    assert len(list((tmp_path / "marks").iterdir())) == 2
    assert files(out) == whole


def test_a_run_that_another_engine_began_goes_on(
    engine: str, model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("_manifest.json", "part-00000.parquet", "part-00005.parquet"):
        (out / name).write_bytes(whole[name])
    result = model.recommend_all(out, k=5, part_rows=15, engine=engine, progress=False)
    assert result.n_made == 8
    assert files(out) == whole


def test_an_error_of_the_library_arrives_as_it_is(engine: str, job: BatchJob, tmp_path: Path) -> None:
    import dataclasses

    from hashgnn.answering.batch_request import HistoryFile

    gone = HistoryFile(str(tmp_path / "gone.parquet"), 150, 10)
    broken = BatchJob(dataclasses.replace(job.request, histories=(gone,)), 150)
    with pytest.raises(DataError, match=r"gone.parquet: cannot be read"):
        run_batch(broken, tmp_path / "out", engine=engine, progress=False)
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_too_small_is_one_sentence(ray: str, job: BatchJob, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Ray has 3 processors, and n_threads=9 needs as many for a worker"):
        run_batch(job, tmp_path / "out", engine="ray", n_threads=9, progress=False)
    assert not (tmp_path / "out").exists()


def test_the_function_in_a_pipeline_of_ray(ray: str, model: HashGNN) -> None:
    import ray.data

    users = model.user_ids[:12].tolist()
    answers = BatchAnswers(model.batch_request(k=3))
    rows = ray.data.from_items([{"user_id": user} for user in users], override_num_blocks=1)
    found = rows.map_batches(answers, batch_format="pyarrow", batch_size=12).take_all()
    assert sorted(found, key=lambda row: (users.index(row["user_id"]), row["rank"])) == (
        model.recommend(users, k=3).to_arrow().to_pylist()
    )


def test_the_function_in_a_pipeline_of_spark(spark: str, model: HashGNN) -> None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    assert session is not None
    users = model.user_ids[:12].tolist()
    answers = BatchAnswers(model.batch_request(k=3))
    frame = session.createDataFrame([(user,) for user in users], "user_id string").coalesce(1)
    schema = "user_id string, item_id string, rank int, score float"
    found = [row.asDict() for row in frame.mapInArrow(answers.over, schema).collect()]
    assert found == model.recommend(users, k=3).to_arrow().to_pylist()


@pytest.mark.parametrize(
    ("package", "address", "sentence"),
    [
        ("ray", "127.0.0.1:1", "Ray at 127.0.0.1:1 cannot be reached, Connection refused"),
        (
            "pyspark",
            "spark://127.0.0.1:1",
            "Spark at spark://127.0.0.1:1 cannot be reached, Connection refused",
        ),
    ],
)
def test_an_engine_that_cannot_be_reached(
    model: HashGNN, package: str, address: str, sentence: str, tmp_path: Path
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    engine = {"ray": "ray", "pyspark": "spark"}[package]
    words = ["recommend", str(model._path), "--all", "-o", str(tmp_path / "out"), "--engine", engine]
    done = subprocess.run(
        [sys.executable, "-m", "hashgnn", *words, "--address", address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"hashgnn: {sentence}\n")
    assert not (tmp_path / "out").exists()
