"""Figures as SVG for a page in light or dark: their colours are the page's."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from hashgnn._extras import require
from hashgnn.evaluation._html import Html

# Stand-ins that matplotlib writes into the figure, and the page's colours that replace them.
_COLOURS = {"ink": "#010101", "faint": "#020202", "first": "#030303", "second": "#040404", "paper": "#050505"}
INK, FAINT, FIRST, SECOND, PAPER = _COLOURS.values()

_WIDTH, _HEIGHT = 4.7, 3.0  # inches; small, so that text stays readable on a phone


class Drawing:
    """A figure being drawn.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    html : Html
        The figure as an ``svg`` element, once the drawing is done.
    tips : list of str
        Texts of :meth:`tip`.
    """

    def __init__(self, figure: Any) -> None:
        self.figure = figure
        self.html = Html("")
        self.tips: list[str] = []

    def tip(self, artist: Any, text: str) -> None:
        """Let a part of the figure say something where the pointer is on it."""
        artist.set_gid(f"tip-{len(self.tips)}")
        self.tips.append(text)


@contextmanager
def drawing(name: str, label: str) -> Iterator[Drawing]:
    """Yield a drawing; when the block ends it is an SVG element.

    Parameters
    ----------
    name : str
        Tells its ids from those of other figures on the page.
    label : str
        Text alternative, for readers who cannot see it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="plots", purpose="a report with plots")
    figures = require("matplotlib.figure", extra="plots", purpose="a report with plots")
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "axes.labelsize": 9,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
    }
    with matplotlib.rc_context(settings):
        sheet = Drawing(figures.Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained"))
        yield sheet
        sheet.html = _as_html(sheet.figure, label, sheet.tips)


def _as_html(figure: Any, label: str, tips: list[str]) -> Html:
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    body = svg[svg.index("</defs>") + len("</defs>") :].strip()  # before it come a prolog and a style
    for name, stand_in in _COLOURS.items():
        body = body.replace(stand_in, f"var(--{name})")
    for number, text in enumerate(tips):
        group = f'<g class="tip"><title>{escape(text)}</title>'.replace("\\", r"\\")
        body = re.sub(rf'<g id="tip-{number}"[^>]*>', group, body)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # the same in every figure, and ids must be unique on a page
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    return Html(f'<svg {box[0]} role="img" aria-label="{escape(label)}">{body}')
