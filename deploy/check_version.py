"""Compare the version of the project with a tag, the changes and the citation, before a release is built.

python deploy/check_version.py v0.2.0
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def problems(root: Path, tag: str) -> list[str]:
    """Return what is not ready for a release at a tag, a sentence each."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"pyproject.toml has the version {version}, the tag must be v{version}, got {tag}")
    heading = re.search(r"^## (.+)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    if heading is None or not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", heading[1]):
        shown = None if heading is None else heading[1]
        found.append(f"CHANGELOG.md must begin with ## {version} (YYYY-MM-DD), got {shown}")
    cited = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    if cited is None or cited[1] != version:
        found.append(f"CITATION.cff must have the version {version}, got {cited and cited[1]}")
    return found


def main() -> int:
    """Print what is not ready; the exit code is 1 then."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = problems(ROOT, sys.argv[1])
    for sentence in found:
        print(sentence, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
