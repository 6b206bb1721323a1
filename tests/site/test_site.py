"""The site: built without a warning, complete, and sufficient to itself."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.pages import PAGES, ROOT, SHELL, TUTORIALS, blocks, page_name

import hashgnn

for package in ("sphinx", "myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_copybutton"):
    pytest.importorskip(package, reason=f"{package} is not installed, of the dependency group docs")
pytest.importorskip("torch")

sys.path.insert(0, str(ROOT / "docs/site"))
from api import public_names  # noqa: E402
from shell_lexer import ShellCommands  # noqa: E402
from sources import place_of, with_links  # noqa: E402

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PATIENCE = 120_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, as ``make docs`` makes them; a warning is an error."""
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "docs/site/build.py", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """The links, the anchors and what is loaded of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in (
            "index",
            "search",
            "next",
            "prev",
            "author",
            "genindex",
        ):
            self.loaded.append(found["href"])
        if "src" in found:
            self.loaded.append(found["src"])


@cache
def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def html(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def test_every_page_of_the_repository_is_a_page_of_the_site(site: Path) -> None:
    places = {page_name(page): place_of(page_name(page)) for page in PAGES}
    assert None not in places.values(), places
    missing = [
        name for name, place in places.items() if not (site / str(place)).with_suffix(".html").is_file()
    ]
    assert missing == []


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    broken = []
    for path in html(site):
        for link in read(path).links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (
                anchor and target.suffix == ".html" and anchor not in read(target).anchors
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = {link for path in html(site) for link in read(path).loaded}
    assert loaded
    assert [
        link for link in loaded if urlsplit(link).scheme not in ("", "data") or link.startswith("//")
    ] == []
    for path in site.rglob("*.css"):
        fetched = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", path.read_text(encoding="utf-8"))
        assert [link for link in fetched if re.match(r"https?:|//", link)] == [], path


# --- the API --------------------------------------------------------------------------------------------------


def public_modules() -> Iterator[ModuleType]:
    yield hashgnn
    for found in pkgutil.walk_packages(hashgnn.__path__, "hashgnn."):
        if not re.search(r"\.(?:_|cli\b)", found.name):
            yield importlib.import_module(found.name)


@pytest.fixture(scope="module")
def described(site: Path) -> set[str]:
    """The full names that the API reference describes, methods and attributes left out."""
    found: list[str] = []
    for path in (site / "reference/api").glob("*.html"):
        found += re.findall(
            r'^<dt class="sig sig-object py" id="([\w.]+)">', path.read_text(encoding="utf-8"), re.MULTILINE
        )
    assert len(found) == len(set(found))
    modules = {module.__name__ for module in public_modules()}
    return {name for name in found if name.rpartition(".")[0] in modules}


def test_every_public_name_is_described_once(described: set[str]) -> None:
    at = {
        name: getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
        for name in described
    }
    wrong = {}
    for module in public_modules():
        for name in public_names(module):
            value = getattr(module, name)
            if isinstance(value, ModuleType):
                continue
            places = [full for full, other in at.items() if other is value and full.endswith(f".{name}")]
            if len(places) != 1:
                wrong[f"{module.__name__}.{name}"] = places
    assert wrong == {}
    assert len(described) > 250


def test_a_name_is_on_the_page_of_each_module_that_has_it(site: Path) -> None:
    missing = []
    for module in public_modules():
        names = [name for name in public_names(module) if not isinstance(getattr(module, name), ModuleType)]
        if names:
            text = (site / f"reference/api/{module.__name__}.html").read_text(encoding="utf-8")
            missing += [f"{module.__name__}.{name}" for name in names if name not in text]
    assert missing == []


def test_what_a_docstring_refers_to_is_a_link(site: Path) -> None:
    """A name of the library in a docstring that leads nowhere stays plain code."""
    plain = re.compile(r'<code class="xref py [^"]*"><span class="pre">(hashgnn\.[\w.]+)')
    linked = re.compile(r'<a class="reference internal"[^>]*><code class="xref py')
    texts = [path.read_text(encoding="utf-8") for path in (site / "reference/api").glob("*.html")]
    assert sum(len(linked.findall(text)) for text in texts) > 300
    assert sorted({name for text in texts for name in plain.findall(re.sub(linked, "", text))}) == []


# --- commands and links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_keep_every_character_and_get_colours(page: Path) -> None:
    from pygments.token import Error, Text, Whitespace

    for block in blocks(page):
        if block.kind == SHELL:
            tokens = list(ShellCommands(stripnl=False, ensurenl=False).get_tokens(block.text))
            assert "".join(text for _, text in tokens) == block.text
            assert Error not in [kind for kind, _ in tokens]
            assert {kind for kind, _ in tokens} - {Text, Whitespace}


def test_a_command_of_the_library_is_coloured_by_its_parts(site: Path) -> None:
    text = (site / "tutorials/shop.html").read_text(encoding="utf-8")
    for token, word in (
        ("nb", "hashgnn"),
        ("k", "fit"),
        ("na", "--half-life"),
        ("nb", "curl"),
        ("k", "generate-shop"),
    ):
        assert f'<span class="{token}">{word}</span>' in text, word


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("README.md", "[a](docs/guide/data.md#ids)", "[a](guide/data.md#ids)"),
        ("docs/guide/data.md", "[a](../../CHANGELOG.md)", "[a](../changes.md)"),
        ("docs/guide/data.md", "[a](search.md)", "[a](search.md)"),
        ("docs/guide/data.md", "[a](#ids)", "[a](#ids)"),
        ("CONTRIBUTING.md", "[a](docs/index.md)", "[a](documents.md)"),
        ("CONTRIBUTING.md", "[a `b`](native/check.sh)", "a `b`"),
        ("README.md", "[a](https://arxiv.org)", "[a](https://arxiv.org)"),
        ("README.md", "![a [b]](docs/images/report.png)", "![a [b]](images/report.png)"),
        ("README.md", "```sh\n[a](docs/index.md)\n```", "```sh\n[a](docs/index.md)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(page: str, link: str, expected: str) -> None:
    assert with_links(link, page) == expected


def test_thirty_questions_have_an_answer() -> None:
    text = (ROOT / "docs/guide/how-do-i.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+\?) \| (\[.+\]\(.+\).*) \|$", text, re.MULTILINE)
    assert len(rows) >= 30
    assert len({question for question, _ in rows}) == len(rows)


# --- in a browser ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        yield found
        found.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_fetches_files_only_and_a_page_fits_its_window(
    site: Path, browser: Any, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    names = ["index", "guide/evaluation", "reference/api/hashgnn.recommender", "reference/settings"]
    for name in [*names, *(f"tutorials/{tutorial.stem}" for tutorial in TUTORIALS)]:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        cut = page.evaluate(
            "[...document.querySelectorAll('h1, h2, dt.sig, p')].filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)"
            ".map(e => e.textContent)"
        )
        assert cut == [], name
    page.close()
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_what_can_be_pressed_has_a_name_and_is_reached_by_keyboard(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto((site / "reference/api/hashgnn.index.html").as_uri())
    nameless = page.evaluate(
        "[...document.querySelectorAll('a[href], button, summary')].filter(e => e.offsetParent && "
        "!e.textContent.trim() && !e.ariaLabel && !e.title && !e.querySelector('[aria-label], [title], img[alt]'))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main-content"
    page.close()


def test_the_search_finds_a_page_without_a_server(site: Path, browser: Any) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto((site / "search.html").as_uri() + "?q=oversampling")
    page.wait_for_selector("#search-results li")
    assert page.locator("#search-results li").count() >= 3
    page.close()
