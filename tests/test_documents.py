"""The pages, read as a stranger would: code runs, commands can be typed, links lead somewhere, tables are true."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tokenize
import tomllib
from functools import cache
from pathlib import Path

import pytest
from tests.pages import OTHERS, PAGES, ROOT, SHELL, blocks, code, page_name, parse, prose, quick
from tests.reader import make_folder
from tests.test_architecture import LEVELS

KINDS = {"python", SHELL, "json", "toml", "text", "sql", "java", "go"}
OTHER_PROGRAMS = {"curl", "export", "ln", "torchrun"}


# --- code -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader of the pages has it: events, held-out events, titles and a saved model."""
    pytest.importorskip("torch")
    return make_folder(tmp_path_factory.mktemp("reader"))


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared folder, for one page to write into."""
    shutil.copytree(prepared, tmp_path / "reader", symlinks=True)
    return tmp_path / "reader"


def run(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


WITH_CODE = [page for page in OTHERS if any(block.kind == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=page_name)
def test_the_code_of_a_page_runs(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.kind == "python":
            compile(block.text, page_name(page), "exec")
    (folder / "page.py").write_text(code(page), encoding="utf-8")
    run(folder, "page.py")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_a_block_says_what_it_is_and_why_it_is_not_run(page: Path) -> None:
    assert [block.kind for block in blocks(page) if block.kind not in KINDS] == []
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- not run") == sum(block.reason is not None for block in blocks(page))
    assert "\n    hashgnn " not in text, "commands belong into a block"


# --- commands -------------------------------------------------------------------------------------------------


COMMANDS = [
    (page_name(page), command)
    for page in PAGES
    for block in blocks(page)
    if block.kind == SHELL
    for command in block.commands
]


def of_program(name: str) -> list[tuple[str, list[str]]]:
    """Return the pages and the arguments of every command of one program."""
    return [(page, [*rest]) for page, (program, *rest) in map(split_variables, COMMANDS) if program == name]


def split_variables(entry: tuple[str, list[str]]) -> tuple[str, list[str]]:
    page, command = entry
    while re.fullmatch(r"[A-Z_]+=.*", command[0]):
        command = command[1:]
    return page, command


def test_every_command_is_of_a_program_that_is_checked() -> None:
    assert len(COMMANDS) > 60
    checked = {"hashgnn", "make", "pip", "python", *OTHER_PROGRAMS}
    assert [entry for entry in COMMANDS if split_variables(entry)[1][0] not in checked] == []


@pytest.mark.parametrize(
    ("page", "arguments"),
    of_program("hashgnn"),
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_command_of_a_page_can_be_typed(page: str, arguments: list[str]) -> None:
    parse(arguments)


def test_a_command_under_torchrun_can_be_typed() -> None:
    commands = of_program("torchrun")
    assert commands
    for _, words in commands:
        assert words[words.index("-m") + 1] == "hashgnn"
        parse(words[words.index("-m") + 2 :])


@pytest.mark.parametrize("arguments", quick(OTHERS), ids=" ".join)
def test_a_quick_command_of_a_page_runs(arguments: list[str], folder: Path) -> None:
    run(folder, "-m", "hashgnn", *arguments)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert [(page, words) for page, words in of_program("make") if words[0] not in targets] == []


def test_extras_that_pip_installs_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    installs = of_program("pip")
    assert installs
    for page, (verb, target, *_) in installs:
        match = re.fullmatch(r"(?:\.|hashgnn)(?:\[([\w,]+)\])?", target)
        assert verb == "install", page
        assert match, (page, target)
        assert set((match[1] or "train").split(",")) <= set(extras), page


@cache
def help_of(script: str) -> str:
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


SCRIPTS = of_program("python")


@pytest.mark.parametrize(
    ("page", "arguments"), SCRIPTS, ids=lambda value: value[0] if isinstance(value, list) else value
)
def test_a_script_of_a_page_exists_and_has_its_options(page: str, arguments: list[str]) -> None:
    script, *rest = arguments
    assert (ROOT / script).is_file()
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    if options:
        assert options <= set(re.findall(r"--[a-z-]+", help_of(script)))


# --- links ----------------------------------------------------------------------------------------------------


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([^)#:\s]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links]
    assert set(PAGES) - reached == set()


def test_pages_and_scripts_that_the_source_names_exist() -> None:
    folders = ("src", "tests", "benchmarks", "native", "deploy")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".cpp", ".hpp"}
    ]
    named = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files
        for name in re.findall(
            r"\b(?:docs|benchmarks)/[\w/-]+\.(?:md|py|cpp|png)", path.read_text(encoding="utf-8")
        )
    }
    assert named
    assert sorted((path, name) for path, name in named if not (ROOT / name).is_file()) == []


# --- facts that pages repeat ----------------------------------------------------------------------------------


def test_the_levels_of_the_architecture_page_are_those_of_the_test() -> None:
    text = (ROOT / "docs/reference/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", text, re.MULTILINE)
    written = {int(level): set(re.findall(r"`(\w+)`", rooms)) for level, rooms in rows}
    source = {path.stem for path in (ROOT / "src/hashgnn").iterdir()}
    assert written == {level: set(rooms) & source for level, rooms in LEVELS.items()}


def test_the_page_of_settings_is_made_from_the_config() -> None:
    made = runpy.run_path(str(ROOT / "docs/reference/make_settings.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run docs/reference/make_settings.py"


def test_the_pictures_of_hashing_are_those_of_the_script() -> None:
    drawn = runpy.run_path(str(ROOT / "docs/images/hashing_pictures.py"))["pictures"]()
    for name, picture in drawn.items():
        kept = (ROOT / "docs/images" / name).read_text(encoding="utf-8")
        assert kept == picture, "run docs/images/hashing_pictures.py"


@cache
def sentences_of_the_source() -> tuple[str, ...]:
    """Return every string of the source, what is filled in being an ellipsis."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.add("".join(map(str, parts)))
    return tuple(found)


TROUBLE = ROOT / "docs/start/troubleshooting.md"
QUOTED = re.findall(r"^### `(.+)`$", TROUBLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_troubleshooting_page_quotes_errors() -> None:
    assert len(QUOTED) >= 15


@pytest.mark.parametrize("sentence", QUOTED)
def test_an_error_of_the_troubleshooting_page_is_one_of_the_library(sentence: str) -> None:
    assert any(sentence in text for text in sentences_of_the_source())


# --- English --------------------------------------------------------------------------------------------------


ODD = (
    r"\bbeside\b|\basked of\b|\btold\b|\balike\b|\bgiven back\b|\bnot kept\b|\btaken apart\b|\btrained apart\b"
    r"|\bwishes?\b|\bin our hands\b|\btimes as long\b"
)


STYLED = [page for page in PAGES if page.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", STYLED, ids=page_name)
def test_a_page_is_plain_english_in_short_lines(page: Path) -> None:
    text = prose(page)
    assert re.findall(rf"^.*(?:{ODD}).*$", text, re.MULTILINE | re.IGNORECASE) == []
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > 130] == []


def sentences(page: Path) -> list[int]:
    """Return the words of each sentence of a page; tables, headings and code do not count."""
    lines = [line for line in prose(page).splitlines() if not re.match(r"[|#]", line)]
    text = re.sub(r"\n\s*(?:[-*]|\d+\.) ", "\n\n", "\n".join(lines))
    text = re.sub(r"`[^`]*`", "code", re.sub(r"\]\([^)]*\)", "]", text))
    return [len(part.split()) for part in re.split(r"(?<=[.:;?!])\s+|\n\n", text) if len(part.split()) > 2]


@pytest.mark.parametrize("page", STYLED, ids=page_name)
def test_sentences_are_short(page: Path) -> None:
    lengths = sentences(page)
    if len(lengths) >= 5:
        assert statistics.median(lengths) <= 18
        assert sum(length > 25 for length in lengths) <= 0.12 * len(lengths) + 1
        assert max(lengths) <= 40


# Words that were names in the source, or stood in its docstrings, comments and messages, and are gone.
ODD_IN_SOURCE = rf"{ODD}|\basked\b|\blacks\b|\bheld against\b|\bmay get\b|\bapart\b|\bout of the question\b"
WORDS = {
    tokenize.NAME,
    tokenize.COMMENT,
    tokenize.STRING,
    getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING),
}
PACKAGE = ROOT / "src/hashgnn"
ROOMS = sorted([*PACKAGE.glob("*.py"), *(file.parent for file in PACKAGE.glob("*/__init__.py"))])


def odd_words(path: Path) -> list[str]:
    """Return the lines of a source file that hold a word of the old manner, in a name or in prose."""
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type in WORDS]
    texts = [(token.start[0], re.sub(r"[_\s]+", " ", token.string)) for token in tokens]
    return [
        f"{path.name}:{line}: {found[0]}"
        for line, text in texts
        for found in re.finditer(ODD_IN_SOURCE, text, re.IGNORECASE)
    ]


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.name)
def test_the_source_is_plain_english(room: Path) -> None:
    files = [room] if room.suffix else sorted(room.rglob("*.py"))
    assert [found for path in files for found in odd_words(path)] == []


def test_a_word_of_the_old_manner_is_found_in_a_name_and_in_prose(tmp_path: Path) -> None:
    for text in (
        "n_asked = 1",
        "# It lies beside the file.",
        '"""Return what\nrows may\nget."""',
        'f"{n} told"',
    ):
        path = tmp_path / "odd.py"
        path.write_text(text + "\n", encoding="utf-8")
        assert re.search(ODD_IN_SOURCE, "".join(odd_words(path)))


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def docstrings() -> dict[str, str]:
    """Return the prose of each docstring of the source, up to its first section, code and tables left out."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, DOCUMENTED) or (text := ast.get_docstring(node)) is None:
                continue
            parts = re.split(r"\n[A-Z]\w+\n-+\n", text)[0].split("\n\n")
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
            found[place] = "\n\n".join(part for part in parts if not re.search(r"==|──|^ ", part))
    return found


def test_a_docstring_begins_with_the_thing() -> None:
    assert [name for name, text in docstrings().items() if re.match(r"What\b", text)] == []


def test_sentences_of_docstrings_are_short() -> None:
    lengths = {}
    for name, text in docstrings().items():
        plain = re.sub(r"``[^`]*``|:\w+:`[^`]*`", "code", text)
        for sentence in re.split(r"(?<=[.:;?!])\s+|\n\n", plain):
            lengths[name, sentence] = len(sentence.split())
    assert {key: length for key, length in lengths.items() if length > 30} == {}
    assert sum(length > 25 for length in lengths.values()) <= 0.005 * len(lengths)
