"""Build the site: python docs/site/build.py [FOLDER] (needs the dependency group docs).

It writes the sources into FOLDER-sources and the pages into FOLDER, by default build/site. Warnings are errors.
No network is needed, and the pages need none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from api import write_pages
from sources import ROOT, write_sources
from sphinx.cmd.build import build_main


def build(folder: Path) -> int:
    """Build the site into a folder, and return the exit code of Sphinx."""
    sources = folder.with_name(f"{folder.name}-sources")
    write_sources(sources)
    write_pages(sources / "reference/api")
    options = ["-W", "--keep-going", "-q", "-E", "-b", "html", "-c", str(Path(__file__).parent)]
    return build_main(
        [*options, "-d", str(folder.with_name(f"{folder.name}-doctrees")), str(sources), str(folder)]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / "build/site", help="default: build/site"
    )
    chosen = parser.parse_args().folder
    code = build(chosen.resolve())
    if code == 0:
        print(f"{chosen}/index.html")
    sys.exit(code)
