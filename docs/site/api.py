"""The pages of the API reference: one for each public module, each public name on one of them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import GenericAlias, ModuleType
from typing import Any

import hashgnn

# The command line has pages of its own; the other one starts it.
_LEFT_OUT = {"cli", "__main__"}
_SOURCE = Path(str(hashgnn.__file__)).parent


@dataclass(frozen=True)
class PublicModule:
    """A public module.

    Attributes
    ----------
    name : str
    own : tuple of str
        The names that have their home here.
    elsewhere : mapping of str to str
        The names that can be imported here too, and the full name at their home.
    """

    name: str
    own: tuple[str, ...]
    elsewhere: dict[str, str] = field(default_factory=dict)


def public_names(module: ModuleType) -> list[str]:
    """Return ``__all__``; of the contract suites, which have none, what they define."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    if not module.__name__.startswith("hashgnn.testing."):
        return []
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _modules() -> Iterator[ModuleType]:
    yield hashgnn
    for found in pkgutil.walk_packages(hashgnn.__path__, "hashgnn."):
        parts = found.name.split(".")[1:]
        if not _LEFT_OUT & set(parts) and not any(part.startswith("_") for part in parts):
            yield importlib.import_module(found.name)


def _home(name: str, value: Any, exporting: list[str]) -> str:
    """Return the module where a name is documented: the outermost one below ``hashgnn`` that holds its source."""
    source = getattr(value, "__module__", None)
    if not isinstance(source, str):  # an object of a builtin class, such as a tuple
        source = ""
    rooms = [module for module in exporting if module != "hashgnn"] or exporting
    within = [module for module in rooms if f"{source}.".startswith(f"{module}.")]
    return min(within or rooms, key=lambda module: (module.count("."), module))


@cache
def public_modules() -> tuple[PublicModule, ...]:
    """Return the public modules, by name."""
    exporting: dict[tuple[str, int], list[str]] = {}
    values = {}
    names: dict[str, list[str]] = {}
    for module in _modules():
        names[module.__name__] = public_names(module)
        for name in names[module.__name__]:
            value = getattr(module, name)
            key = (name, id(value))
            values[key] = value
            exporting.setdefault(key, []).append(module.__name__)
    homes = {
        (module, name): _home(name, values[name, number], modules)
        for (name, number), modules in exporting.items()
        for module in modules
    }
    found = []
    for module_name, listed in sorted(names.items()):
        listed = [
            name
            for name in listed
            if not inspect.ismodule(getattr(importlib.import_module(module_name), name))
        ]
        own = tuple(name for name in listed if homes[module_name, name] == module_name)
        elsewhere = {
            name: f"{homes[module_name, name]}.{name}"
            for name in listed
            if homes[module_name, name] != module_name
        }
        if own or elsewhere:
            found.append(PublicModule(module_name, own, elsewhere))
    return tuple(found)


def _value(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _is_class(value: Any) -> bool:
    return inspect.isclass(value) and not isinstance(value, GenericAlias)


@cache
def _comments() -> dict[str, dict[str, str]]:
    """Return the comment ``#:`` above each constant, by module and name."""
    found = {}
    for path in sorted(_SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(_SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        lines = re.findall(r"^((?:#: [^\n]*\n)+)(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if lines:
            found[module] = {name: comment.replace("#: ", "").strip() for comment, name in lines}
    return found


def _about_constant(module: str, name: str) -> str:
    """Return the comment of a constant, which may stand in a file of its room or in a shared one."""
    if name == "__version__":
        return "The version of the library that is installed."
    within = [
        found[name]
        for place, found in _comments().items()
        if name in found and f"{place}.".startswith(f"{module}.")
    ]
    shared = [found[name] for found in _comments().values() if name in found]
    if not (found := within or shared):
        raise ValueError(f"{module}.{name} needs a comment above it that begins with #:")
    return found[0]


def _summary(module: str, name: str) -> str:
    """Return the first sentence about a name."""
    value = _value(module, name)
    if not (_is_class(value) or inspect.isroutine(value)):
        return _about_constant(module, name)
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", first)[0]


def _directive(module: str, name: str) -> str:
    value = _value(module, name)
    if _is_class(value):
        inherited = "   :inherited-members:\n" if name == "HashGNN" else ""
        bases = "" if value.__bases__ == (object,) else "   :show-inheritance:\n"
        return f".. autoclass:: {name}\n   :members:\n{inherited}{bases}"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}\n"
    return f".. py:data:: {name}\n\n   {_about_constant(module, name)}\n"


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = [".. list-table::", "   :widths: 30 70", ""]
    for name, about in rows:
        lines += [f"   * - {name}", f"     - {about}"]
    return [*lines, ""]


def page_of(module: PublicModule) -> str:
    """Return the page of a module, as reStructuredText."""
    title = module.name.replace(".", ".\u200b")  # a long name breaks behind a dot
    lines = [title, "=" * len(title), "", f".. automodule:: {module.name}", "   :no-members:", ""]
    lines += [f".. currentmodule:: {module.name}", ""]
    if module.own:
        lines += _table((f":py:obj:`{name}`", _summary(module.name, name)) for name in module.own)
    if module.elsewhere:
        lines += ["Names of other modules that can be imported here too:", ""]
        lines += [
            f"- :py:obj:`{name} <{full}>` of :py:mod:`{full.rpartition('.')[0]}`"
            for name, full in module.elsewhere.items()
        ]
        lines += [""]
    lines += [_directive(module.name, name) for name in module.own]
    return "\n".join(lines)


def write_pages(folder: Path) -> None:
    """Write the pages and their index into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = public_modules()
    for module in modules:
        (folder / f"{module.name}.rst").write_text(page_of(module), encoding="utf-8")
    rows = []
    for module in modules:
        doc = inspect.getdoc(importlib.import_module(module.name)) or ""
        rows.append((f":py:mod:`{module.name}`", " ".join(doc.split("\n\n")[0].split())))
    toctree = [".. toctree::", "   :hidden:", "", *(f"   {module.name}" for module in modules), ""]
    index = ["API", "===", "", INTRODUCTION, *_table(rows), *toctree]
    (folder / "index.rst").write_text("\n".join(index), encoding="utf-8")


INTRODUCTION = """Every public name, once, made from its docstring. A name that can be imported from several modules is
described where it lives; the others link to it. Most programs need :py:mod:`hashgnn` alone.
"""
