"""HTML from parts: whatever is not already HTML is escaped."""

from __future__ import annotations

from html import escape
from typing import Any


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: Any, **attributes: str) -> Html:
    """Return an element. A child that is no :class:`Html` is escaped; ``class_`` stands for ``class``,
    ``data_label`` for ``data-label``.

    Examples
    --------
    >>> tag("p", "a < b, ", tag("b", "so"), class_="note")
    '<p class="note">a &lt; b, <b>so</b></p>'
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{shown}>{join(*children)}</{name}>")


def join(*children: Any) -> Html:
    """Return parts one after the other, escaped where they are no HTML."""
    return Html("".join(child if isinstance(child, Html) else escape(str(child)) for child in children))


def table(head: list[Any], rows: list[list[Any]], *, caption: Any = "", class_: str = "") -> Html:
    """Return a table whose rows begin with a heading, in a box that scrolls where the page is narrow."""
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    parts = [tag("caption", caption)] if caption else []
    if head:
        parts.append(tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))))
    return tag("div", tag("table", *parts, tag("tbody", *body), class_=class_), class_="scroll", tabindex="0")
