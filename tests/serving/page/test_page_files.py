"""The page's files: served with what keeps other hosts out, and readable in light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from hashgnn.serving import ServiceSettings
from hashgnn.serving.http.app import PAGE

FILES = sorted(path.name for path in PAGE.iterdir())
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def test_the_page_is_served_with_a_strict_policy(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'",) * 3
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_page_is_served_as_what_it_is(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/{name}")
    assert answer.headers["content-type"].startswith(TYPES[name.rsplit(".", 1)[1]])
    assert answer.content == (PAGE / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_no_file_of_the_page_names_another_host(name: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", (PAGE / name).read_text()))
    assert addresses <= {"http://www.w3.org"}  # the name of SVG


def test_the_markup_holds_no_script_and_no_style() -> None:
    markup = (PAGE / "index.html").read_text()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", markup) == [""]
    assert not re.search(r"<style|\sstyle=|\son\w+=", markup)
    scripts = "".join(path.read_text() for path in PAGE.glob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", scripts)


def test_every_reference_of_the_page_exists() -> None:
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', (PAGE / "index.html").read_text()))
    for path in PAGE.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', path.read_text()))
    assert named - {"openapi.json", "metrics"} == set(FILES) - {"index.html"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_a_name_is_declared_once_in_a_file(name: str) -> None:
    text = (PAGE / name).read_text()
    declared = re.findall(
        r"^(?:export )?(?:async )?(?:const|let|class|function) (\w+)", text, flags=re.MULTILINE
    )
    for names in re.findall(r"^import \{([^}]*)\}", text, flags=re.MULTILINE):
        declared += [part.strip() for part in names.split(",")]
    assert sorted(declared) == sorted(set(declared))


def test_the_page_needs_no_key_but_what_it_asks_for_does(model_folder: Path, open_client: object) -> None:
    settings = ServiceSettings(model=model_folder, api_keys=("secret",), watch=0)
    for client in open_client(settings):  # type: ignore[operator]
        assert [client.get(path).status_code for path in ("/", "/app.js", "/style.css")] == [200] * 3
        assert client.get("/v1/model").status_code == 401


def schemes() -> dict[str, dict[str, str]]:
    """Return the colours of the page by scheme and name."""
    light, dark = re.findall(r":root \{([^}]*)\}", (PAGE / "style.css").read_text())[:2]
    colours = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text)) for text in (light, dark)]
    return {"light": colours[0], "dark": {**colours[0], **colours[1]}}


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"),
        ("ink", "sheet"),
        ("soft", "paper"),
        ("soft", "sheet"),
        ("soft", "far-wash"),
        ("soft", "accent-wash"),
        ("accent", "accent-wash"),
        ("accent", "sheet"),
        ("on-accent", "accent"),
        ("far", "far-wash"),
        ("far", "sheet"),
        ("wrong", "wrong-wash"),
    ],
)
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    colours = schemes()[scheme]
    darker, lighter = sorted((luminance(colours[text]), luminance(colours[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # level AA of WCAG 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_differing_bits_stand_out_from_the_others(scheme: str) -> None:
    colours = schemes()[scheme]
    assert luminance(colours["far-strong"]) != pytest.approx(luminance(colours["bit-on"]), abs=0.03)
    assert luminance(colours["far-pale"]) != pytest.approx(luminance(colours["bit-off"]), abs=0.02)
