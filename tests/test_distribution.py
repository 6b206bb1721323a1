"""The source distribution and the wheel: what they hold, that they build without a network, and that they install."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.environments import (
    Environment,
    build_environment,
    build_offline,
    build_sdist,
    copy_of_the_project,
    pip,
    served,
)
from tests.pages import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # the first test waits for the compiler

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = f"{PROJECT['name']}-{PROJECT['version']}"
MEGABYTE = 1_000_000
LARGEST_WHEEL, LARGEST_SDIST = 50 * MEGABYTE, 5 * MEGABYTE


@dataclass(frozen=True)
class Distributions:
    """A source distribution, and the wheel that was built from it."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("distributions")
    builder = build_environment(folder / "builder")
    project = copy_of_the_project(folder / "project")
    sdist = build_sdist(builder, project, folder / "dist")
    shutil.rmtree(project)  # the wheel is made of what was packed
    return Distributions(sdist, build_offline(builder, sdist, folder / "dist"))


def test_the_source_distribution_holds_what_builds_and_no_more(built: Distributions) -> None:
    assert built.sdist.name == f"{NAME}.tar.gz"
    assert built.sdist.stat().st_size < LARGEST_SDIST
    with tarfile.open(built.sdist) as archive:
        files = {member.name.removeprefix(f"{NAME}/") for member in archive if member.isfile()}
    wanted = (
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "CITATION.cff",
        "PKG-INFO",
        "pyproject.toml",
    )
    assert files >= {*wanted, "CMakeLists.txt", "deploy/check_wheel.py", "src/hashgnn/__init__.py"}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "native").rglob("*.?pp")}
    assert files >= {name for name in sources if not name.startswith("native/tests/")}
    rooms = {name.partition("/")[0] for name in files if "/" in name}
    assert rooms == {"deploy", "native", "src"}
    assert [name for name in files if name.endswith((".so", ".pyc", ".png"))] == []


def test_the_wheel_holds_the_package_its_licence_and_the_kernels(built: Distributions) -> None:
    assert built.wheel.name.startswith(f"{NAME}-cp3")
    assert built.wheel.stat().st_size <= LARGEST_WHEEL
    with zipfile.ZipFile(built.wheel) as archive:
        files = set(archive.namelist())
        metadata = archive.read(f"{NAME}.dist-info/METADATA").decode()
    package = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/hashgnn").rglob("*")
        if path.is_file()
    }
    assert files >= {name for name in package if "__pycache__" not in name and not name.endswith(".so")}
    assert [name for name in files if name.startswith("hashgnn/_native.") and name.endswith(".so")]
    assert f"{NAME}.dist-info/licenses/LICENSE" in files
    assert {name.partition("/")[0] for name in files} == {"hashgnn", f"{NAME}.dist-info"}
    assert f"\nVersion: {PROJECT['version']}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata


@pytest.fixture(scope="module")
def installed(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment into which the name was installed from an index, as a user does it."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "simple/hashgnn").mkdir(parents=True)
    shutil.copy(built.wheel, folder / "simple/hashgnn")
    link = f'<!DOCTYPE html><a href="{built.wheel.name}">{built.wheel.name}</a>'
    (folder / "simple/hashgnn/index.html").write_text(link, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    with served(folder) as address:
        python = str(folder / "venv/bin/python")
        index = ("--extra-index-url", f"{address}/simple")
        pip("--python", python, "install", "--no-compile", "--no-cache-dir", *index, "hashgnn")
    return Environment(folder / "venv")


def test_the_name_installs_from_an_index_and_works_without_torch(
    installed: Environment, tmp_path: Path
) -> None:
    assert installed.run(tmp_path, "hashgnn", "--version").out == f"hashgnn {PROJECT['version']}\n"
    assert installed.run(tmp_path, "python", "-c", "import torch").code == 1
    models = [str(ROOT / f"tests/state/format-{version}") for version in (1, 2)]
    done = installed.run(tmp_path, "python", str(ROOT / "deploy/check_wheel.py"), *models)
    assert done.code == 0, done.err[-2000:]
    assert done.out.startswith(f"hashgnn {PROJECT['version']}, kernels ")
    assert str(installed.path) in done.out


@pytest.mark.parametrize("version", [1, 2])
def test_models_of_earlier_versions_are_read(installed: Environment, tmp_path: Path, version: int) -> None:
    shutil.copytree(ROOT / f"tests/state/format-{version}", tmp_path / "model")
    done = installed.run(tmp_path, "hashgnn", "inspect", "model")
    assert done.code == 0, done.err[-2000:]
    assert "hashgnn 0.1.0" in done.out
