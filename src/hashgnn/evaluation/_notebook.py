"""HTML for notebooks, in the notebook's own colours, light or dark."""

from __future__ import annotations

from typing import Any

from hashgnn.evaluation._html import Html, join, tag

# A notebook has styles of its own; these concern what is shown of the library alone.
_STYLE = Html(
    """
.hashgnn { max-width: 62rem; color: inherit; font-variant-numeric: tabular-nums; }
.hashgnn .verdict { font-size: 1.1em; border-left: 4px solid #1a6fb0; margin: .4em 0 1em; padding: .1em 0 .1em .8em; }
.hashgnn .summary { font-weight: 600; margin: .2em 0 .4em; }
.hashgnn .note { margin: .4em 0; font-size: .9em; }
.hashgnn .scroll { overflow-x: auto; margin: 0 0 1.2em; }
.hashgnn table { border-collapse: collapse; margin: 0; color: inherit; }
.hashgnn caption { text-align: left; caption-side: top; font-weight: 600; padding: .2em 0; color: inherit; }
.hashgnn th, .hashgnn td { text-align: right; vertical-align: top; padding: .25em .9em .25em 0; white-space: nowrap;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, .3); background: none; color: inherit; }
.hashgnn th:first-child { text-align: left; }
.hashgnn tbody th { font-weight: 400; }
.hashgnn .texts td, .hashgnn .texts th { text-align: left; }
.hashgnn .texts td { max-width: 22rem; white-space: normal; overflow-wrap: break-word; }
.hashgnn iframe { width: 100%; height: 40rem; border: 1px solid rgba(128, 128, 128, .4); }
"""
)


def notebook(*parts: Any) -> str:
    """Return parts as one element with the styles that they need."""
    return tag("div", tag("style", _STYLE), join(*parts), class_="hashgnn")
