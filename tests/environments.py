"""New virtual environments with hashgnn from one wheel, as somebody has them who installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.pages import ROOT

_SECONDS = 600  # a command that takes longer hangs
_BUILD_SECONDS = 1800  # of pip, which may compile next to other work
# What the one who runs the tests has set, and a newcomer has not.
_OWN = ("PYTHONPATH", "VIRTUAL_ENV", "HASHGNN_DATA", "HASHGNN_DEBUG")


@dataclass(frozen=True)
class Done:
    """The end of a command: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a shell in which it is active."""
        kept = {name: value for name, value in os.environ.items() if name not in _OWN}
        kept["PATH"] = f"{self.path / 'bin'}{os.pathsep}{kept['PATH']}"
        return {**kept, "VIRTUAL_ENV": str(self.path), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(self, folder: Path, *command: str) -> Done:
        """Run a program of the environment in a folder."""
        program = self.path / "bin" / command[0]
        done = subprocess.run(
            [str(program), *command[1:]],
            cwd=folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def install(self, *requirements: str) -> None:
        """Install requirements at the versions of ``constraints.txt``."""
        # Modules are compiled when they are first imported: most never are.
        pip("--python", str(self.path / "bin/python"), "install", "--no-compile", *requirements)


def pip(*arguments: str) -> None:
    """Run pip with the project's constraints, and fail with what it said."""
    done = _pip(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    verb = next(index for index, word in enumerate(arguments) if word in ("install", "wheel", "download"))
    constrained = ["--quiet", "--constraint", str(ROOT / "constraints.txt")]
    command = [*arguments[: verb + 1], *constrained, *arguments[verb + 1 :]]
    return subprocess.run(
        [sys.executable, "-m", "pip", *command],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in _OWN},
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
    )


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the project, as pip does; the test is skipped where no index of packages is reached."""
    reached = _pip("download", "--no-deps", "--dest", str(folder / "reached"), "nanobind")
    if reached.returncode:
        pytest.skip(f"pip reaches no index of packages: {reached.stderr.strip()[-200:]}")
    # In a folder of its own, so that the build of an editable install stays as it is.
    building = f"--config-settings=build-dir={folder / 'build'}"
    pip("wheel", "--no-deps", building, "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("hashgnn-*.whl"))


def copy_of_the_project(folder: Path) -> Path:
    """Return a copy of the project's files, as a clone has them, without what was built or installed here."""
    here = {".git", ".venv", ".hypothesis", "build", "dist", "demo", "runs", "artifacts"}  # in the root alone
    anywhere = shutil.ignore_patterns("__pycache__", "*.so", ".?*_cache")

    def left_out(place: str, names: list[str]) -> set[str]:
        return anywhere(place, names) | (here & set(names) if Path(place) == ROOT else set())

    shutil.copytree(ROOT, folder, ignore=left_out)
    return folder


def build_environment(path: Path) -> Environment:
    """Make a virtual environment with what builds the project, and nothing else of it.

    The test is skipped where no index of packages is reached.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
        "requires"
    ]
    tools = [name for name in ("cmake", "ninja") if shutil.which(name) is None]
    reached = _pip("--python", str(path / "bin/python"), "install", "--no-compile", *requirements, *tools)
    if reached.returncode:
        pytest.skip(f"pip reaches no index of packages: {reached.stderr.strip()[-200:]}")
    return Environment(path)


def build_sdist(builder: Environment, project: Path, folder: Path) -> Path:
    """Build the source distribution of a copy of the project."""
    code = "import sys; from scikit_build_core import build; print(build.build_sdist(sys.argv[1]))"
    done = builder.run(project, "python", "-c", code, str(folder))
    assert done.code == 0, done.err[-2000:]
    return next(folder.glob("hashgnn-*.tar.gz"))


def build_offline(builder: Environment, sdist: Path, folder: Path) -> Path:
    """Build a wheel from a source distribution, with the requirements that are there and no index."""
    alone = ("--no-build-isolation", "--no-index", "--no-deps", "--no-cache-dir")
    pip("--python", str(builder.path / "bin/python"), "wheel", *alone, "--wheel-dir", str(folder), str(sdist))
    return next(folder.glob("hashgnn-*.whl"))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP on this machine, and yield its address."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for each request."""


def new_environment(path: Path, wheel: Path, extras: tuple[str, ...]) -> Environment:
    """Make a virtual environment, and install the wheel with some extras, the rest from the index of pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    made = Environment(path)
    named = f"[{','.join(extras)}]" if extras else ""
    made.install(f"hashgnn{named} @ {wheel.as_uri()}")
    return made
