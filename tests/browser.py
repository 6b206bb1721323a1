"""Debian's Chromium for the tests of pages, and axe-core, which finds what keeps people out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
PATIENCE = 60_000  # ms that anything may take on a machine that does other things too
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path; on Debian: apt-get install chromium"
)


@contextmanager
def launched() -> Iterator[Any]:
    """Yield a browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=_FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


def violations(page: Any) -> list[str]:
    """Return what axe-core finds against the levels A and AA of WCAG, one line an element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    options = {"runOnly": list(_RULES), "resultTypes": ["violations"]}
    found = axe.Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def widest(page: Any) -> int:
    """Return by how many pixels a page is wider than its window; 0 where it fits."""
    return int(page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)"))
