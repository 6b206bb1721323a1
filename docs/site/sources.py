"""The sources of the site: the Markdown of the repository, with links that lead to pages of the site."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOORS = ("start", "tutorials", "guide", "reference", "measured")
# Pages that lie elsewhere in the site than in the repository.
_MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "docs/index.md": "documents.md",
}
_LINK = re.compile(r"(?<!\\)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_SOURCE = re.compile(r'(<img src=")([^"]+)(")')
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def place_of(path: str) -> str | None:
    """Return where a file of the repository lies in the site, or ``None`` where it is no part of it."""
    if path in _MOVED:
        return _MOVED[path]
    folder, _, rest = path.partition("/")
    if folder == "docs" and path.endswith((".md", ".png", ".svg")):
        return rest
    return None


def _target(link: str, page: str) -> str | None:
    """Return a link of a page of the repository as one of the site, or ``None`` where it leads out of it."""
    if re.match(r"[a-z]+:|#", link):
        return link
    path, _, anchor = link.partition("#")
    place = place_of(os.path.normpath(os.path.join(os.path.dirname(page), path)))
    own = place_of(page)
    if place is None or own is None:
        return None
    relative = os.path.relpath(place, os.path.dirname(own) or ".")
    return f"{relative}#{anchor}" if anchor else relative


def with_links(text: str, page: str) -> str:
    """Return the Markdown of a page of the repository with the links of the site.

    What leads to a file that is no page, such as a script, becomes text.
    """

    def link(match: re.Match[str]) -> str:
        label = with_links(match[1], page) if "](" in match[1] else match[1]
        target = _target(match[2], page)
        return label if target is None else f"[{label}]({target})"

    def source(match: re.Match[str]) -> str:
        return f"{match[1]}{_target(match[2], page)}{match[3]}"

    parts = _FENCED.split(text)
    for place in range(0, len(parts), 2):  # between blocks of code
        parts[place] = _SOURCE.sub(source, _LINK.sub(link, parts[place]))
    return "".join(parts)


def _toctree(pages: list[str]) -> str:
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def doors(index: str) -> dict[str, tuple[str, str, list[str]]]:
    """Return the title, the table and the pages of each door that ``docs/index.md`` has."""
    found = {}
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, rest = section.partition("\n")
        name = title.partition(":")[0].lower()
        pages = re.findall(rf"\]\({name}/([\w-]+)\.md\)", rest)
        found[name] = (title, re.sub(rf"\]\({name}/", "](", rest).strip(), pages)
    return found


def write_sources(target: Path) -> None:
    """Write the Markdown and the pictures of the site into a new folder."""
    shutil.rmtree(target, ignore_errors=True)
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    found = doors(index)
    pages = [
        *_MOVED,
        *(f"docs/{door}/{page.name}" for door in DOORS for page in (ROOT / "docs" / door).glob("*.md")),
    ]
    for page in pages:
        place = target / str(place_of(page))
        place.parent.mkdir(parents=True, exist_ok=True)
        text = with_links((ROOT / page).read_text(encoding="utf-8"), page)
        if page == "README.md":
            below = [f"{door}/index" for door in DOORS]
            text += _toctree(
                [
                    *below,
                    "changes",
                    "Contributing <contributing>",
                    "Security <security>",
                    "All pages <documents>",
                ]
            )
        place.write_text(text, encoding="utf-8")
    for door in DOORS:
        title, table, names = found[door]
        extra = ["api/index"] if door == "reference" else []
        text = f"# {title.partition(':')[0]}\n\n{table}\n{_toctree([*names, *extra])}"
        if extra:
            text = text.replace(
                _toctree([*names, *extra]), "\nThe [API](api/index.rst) is made from the docstrings.\n"
            )
            text += _toctree([*names, *extra])
        (target / door / "index.md").write_text(text, encoding="utf-8")
    (target / "images").mkdir()
    for picture in [*(ROOT / "docs/images").glob("*.png"), *(ROOT / "docs/images").glob("*.svg")]:
        shutil.copy(picture, target / "images")
