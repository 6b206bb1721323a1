"""Sphinx's settings. ``make docs`` runs ``docs/site/build.py``, which writes the sources that Sphinx reads."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from api import public_modules
from shell_lexer import ShellCommands

from hashgnn import __version__

project = "hashgnn"
author = "The hashgnn authors"
project_copyright = "the hashgnn authors"
release = version = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
root_doc = "index"
nitpicky = False
# A block with \copy of psql, or with an ellipsis, is coloured as far as the lexer gets.
suppress_warnings = ["misc.highlighting_failure"]

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]

autodoc_typehints = "none"  # the docstrings say types and shapes; signatures stay on one line
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "hashgnn"
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["hashgnn.css"]
html_js_files = ["hashgnn.js"]
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
html_theme_options: dict[str, Any] = {
    "logo": {"text": "hashgnn"},
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "use_edit_page_button": False,
}
html_sidebars = {"index": [], "changes": [], "documents": [], "contributing": [], "security": []}
html_context = {"default_mode": "auto"}


def _resolved(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Resolve a name that is written by another module than that of its home."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not target.startswith("hashgnn."):
        return None
    full = _HOMES.get(_object_at(target))
    owner, _, member = target.rpartition(".")
    if full is None and (home := _HOMES.get(_object_at(owner))) is not None:
        full = f"{home}.{member}"
    if full is None:
        return None
    domain = env.get_domain("py")
    document = node.get("refdoc", env.docname)
    return domain.resolve_xref(env, document, app.builder, "obj", full, node, contnode)


def _object_at(path: str) -> int:
    """Return the identity of what a dotted path names; 0 where it names nothing."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            value = inspect.getattr_static(value, part, None)
        return 0 if value is None else id(value)
    return 0


_HOMES = {
    id(getattr(importlib.import_module(module.name), name)): f"{module.name}.{name}"
    for module in public_modules()
    for name in module.own
}


def setup(app: Any) -> None:
    """Add the colours of commands, and names by any module that has them."""
    app.add_lexer("sh", ShellCommands)
    app.connect("missing-reference", _resolved)
