"""What a release rests on: versions that agree, workflows that name what exists, templates that GitHub reads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.pages import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEMPLATES = sorted(
    path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = PROJECT["project"]["version"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))


def document(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


# --- versions -----------------------------------------------------------------------------------------------------


def check_version(root: Path, tag: str) -> tuple[int, str]:
    command = [sys.executable, str(root / "deploy/check_version.py"), tag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The files that hold the version, as they are on the day of a release."""
    for name in ("pyproject.toml", "CHANGELOG.md", "CITATION.cff", "deploy/check_version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changes = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    dated = re.sub(r"^## .+$", f"## {VERSION} (2026-12-01)", changes, count=1, flags=re.MULTILINE)
    (tmp_path / "CHANGELOG.md").write_text(dated, encoding="utf-8")
    return tmp_path


def test_a_tag_of_the_version_may_be_released_on_its_day(released: Path) -> None:
    assert check_version(released, f"v{VERSION}") == (0, "")


@pytest.mark.parametrize("tag", ["v9.9.9", VERSION, f"v{VERSION}rc1"])
def test_another_tag_is_refused(released: Path, tag: str) -> None:
    code, said = check_version(released, tag)
    assert (code, said) == (
        1,
        f"pyproject.toml has the version {VERSION}, the tag must be v{VERSION}, got {tag}\n",
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("CHANGELOG.md", r"\(2026-12-01\)", "(not released)", "CHANGELOG.md must begin with"),
        ("CHANGELOG.md", r"^## \S+ ", "## 9.9.9 ", "CHANGELOG.md must begin with"),
        ("CITATION.cff", r"^version: .*$", "version: 9.9.9", "CITATION.cff must have the version"),
        ("CITATION.cff", r"^version: .*$", "", "CITATION.cff must have the version"),
    ],
)
def test_a_file_of_another_version_is_refused(
    released: Path, name: str, old: str, new: str, sentence: str
) -> None:
    text = (released / name).read_text(encoding="utf-8")
    changed = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert changed != text
    (released / name).write_text(changed, encoding="utf-8")
    code, said = check_version(released, f"v{VERSION}")
    assert code == 1
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_the_changes_begin_with_the_version_and_the_policy_supports_it() -> None:
    headings = re.findall(r"^## (\S+) \(", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == VERSION
    supported = re.findall(
        r"^\| (\d+\.\d+) \| yes", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert ".".join(VERSION.split(".")[:2]) in supported


# --- workflows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_names_what_exists(path: Path) -> None:
    workflow = document(path)
    # YAML 1.1 reads the key "on" as true.
    assert set(workflow) >= {"name", True, "permissions", "jobs"}
    jobs = workflow["jobs"]
    for job in jobs.values():
        assert set(job.get("needs", [])) <= set(jobs)
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
    ran = "\n".join(step["run"] for step in steps(workflow) if "run" in step)
    named = set(re.findall(r"(?:\.ci|deploy|benchmarks|tests)/[\w./-]+", ran))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
    for name in named:
        if name.startswith(".ci/"):
            assert (ROOT / name).stat().st_mode & 0o100, f"{name} can be run"
    matrices = {name: job.get("strategy", {}).get("matrix", {}) for name, job in jobs.items()}
    for name, job in jobs.items():
        known = set(matrices[name]) | {key for one in matrices[name].get("include", []) for key in one}
        assert set(re.findall(r"matrix\.(\w+)", str(job))) <= known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_to_a_commit_with_its_version_next_to_it(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    pinned = r"\s*- uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+"
    assert [line for line in lines if not re.fullmatch(pinned, line)] == []
    installs = re.findall(r"pip install ([\w-]+)(\S*)", path.read_text(encoding="utf-8"))
    loose = [name for name, rest in installs if not name.startswith("-") and not rest.startswith(("==", "/"))]
    assert loose == []


def test_nothing_but_a_tag_starts_a_release_and_no_secret_is_needed() -> None:
    path = ROOT / ".github/workflows/release.yml"
    workflow = document(path)
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    assert "secrets." not in path.read_text(encoding="utf-8")
    assert workflow["permissions"] == {"contents": "read"}
    publish = workflow["jobs"].pop("publish")
    assert publish["permissions"] == {"id-token": "write"}
    assert set(publish["needs"]) == set(workflow["jobs"])
    assert [name for name, job in workflow["jobs"].items() if "permissions" in job] == []
    first = workflow["jobs"]["version"]
    assert "needs" not in first
    assert first["steps"][-1]["run"] == 'python deploy/check_version.py "$GITHUB_REF_NAME"'


def test_wheels_are_built_for_every_platform_and_python_that_is_promised() -> None:
    settings = PROJECT["tool"]["cibuildwheel"]
    matrix = document(ROOT / ".github/workflows/release.yml")["jobs"]["wheels"]["strategy"]["matrix"][
        "include"
    ]
    for platform in ("linux", "macos"):
        archs = [row["arch"] for row in matrix if row["platform"] == platform]
        assert sorted(archs) == sorted(settings[platform]["archs"])
    assert settings["build"].split() == [f"cp{version.replace('.', '')}-*" for version in PYTHONS]
    program, *tried = [word.removeprefix("{project}/") for word in settings["test-command"].split()[1:]]
    assert (ROOT / program).is_file()
    assert [(ROOT / model / "manifest.json").is_file() for model in tried] == [True]
    for name, job in (("release.yml", "test"), ("ci.yml", "test")):
        jobs = document(ROOT / f".github/workflows/{name}")["jobs"]
        assert jobs[job]["strategy"]["matrix"]["python"] == PYTHONS
    lowest = PROJECT["project"]["requires-python"]
    assert lowest == f">={PYTHONS[0]}"


def test_ci_runs_what_the_project_calls_ci() -> None:
    ran = [step.get("run") for step in steps(document(ROOT / ".github/workflows/ci.yml"))]
    assert ".ci/run" in ran


# --- templates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_an_issue_template_is_one_that_github_reads(path: Path) -> None:
    template = document(path)
    assert {"name", "description", "body"} <= set(template)
    fields = [field for field in template["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names) > 0
    for field in template["body"]:
        assert field["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        assert ("value" if field["type"] == "markdown" else "label") in field["attributes"]
    assert any(field.get("validations", {}).get("required") for field in fields)
    named = re.findall(r"\b(?:docs/[\w/-]+\.md|[A-Z]+\.md)\b", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_there_are_templates_for_issues_and_for_changes() -> None:
    assert [path.name for path in TEMPLATES] == ["bug.yml", "feature.yml"]
    assert document(ROOT / ".github/ISSUE_TEMPLATE/config.yml")["blank_issues_enabled"] is True
    text = (ROOT / ".github/PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    assert "make check" in text
