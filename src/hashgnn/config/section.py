"""``Section``: a group of settings with one error form, one way to change it, and its own description."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hashgnn._registry import Component, Registry, imported
from hashgnn.errors import ParameterError

Count = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=16384)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PartialShare = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_NOTHING = "none"  # TOML and the command line have no null


@dataclass(frozen=True)
class Setting:
    """One setting, described.

    Attributes
    ----------
    name : str
        Dotted, from the top: ``"encoder.heads"``.
    owner : str
        What it belongs to, ``"encoder 'gat'"`` for instance; empty where it always applies.
    meaning, type, rule : str
        Sentences and words for a person.
    default : object
        JSON value.
    """

    name: str
    owner: str
    meaning: str
    type: str
    rule: str
    default: Any


class Section(BaseModel):
    """Settings that belong together: typed, frozen, checked when built.

    A field may be a section itself, written as a table. A section of which there are several kinds has a
    ``registry`` and a field ``name`` that says which one it is; a bare name stands for such a section with its
    defaults.

    Raises
    ------
    ParameterError
        If a setting is unknown, belongs to another kind of section, or breaks its rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    registry: ClassVar[Registry[Component] | None] = None

    def __init__(self, /, **settings: Any) -> None:
        cls = type(self)
        values = {name: cls._read(name, value, cls._default(name)) for name, value in _nested(settings)}
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ParameterError(_sentence(error)) from None

    def replace(self, **settings: Any) -> Self:
        """Return a section with some settings replaced, checked anew.

        Parameters
        ----------
        **settings
            Dotted names reach into sections, and so do mappings, which leave the other settings of a
            section as they are. Where a ``name`` is another one than before, its section starts from that
            kind's defaults.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields}
        for name, value in _nested(settings):
            values[name] = self._read(name, value, values.get(name))
        return type(self)(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values, sections as mappings."""
        return self.model_dump(mode="json")

    def value(self, name: str) -> Any:
        """Return a setting by its dotted name, as a JSON value; a section chosen by name is its name.

        Raises
        ------
        ParameterError
            If there is no such setting here.
        """
        head, _, rest = name.partition(".")
        if head not in type(self).model_fields:
            raise self._unknown(head)
        value = getattr(self, head)
        if not isinstance(value, Section):
            return self.to_dict()[head]
        try:
            return value.value(rest) if rest else value.kind or value.to_dict()
        except ParameterError as error:
            raise ParameterError(f"{head}.{error}") from None

    def changes(self) -> dict[str, Any]:
        """Return as JSON values the settings that differ from their defaults; kinds are always named.

        A setting that comes into being later, at a default that changes nothing, leaves this as it is.
        """
        found: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section):
                inner = value.changes()
                found |= {name: inner} if inner else {}
            elif name == "name" or value != self._default(name):
                found[name] = self.model_dump(mode="json", include={name})[name]
        return found

    def options(self) -> dict[str, Any]:
        """Return the settings without the name, as what the section describes is built from them."""
        return self.model_dump(exclude={"name"})

    @classmethod
    def describe(cls, prefix: str = "", owner: str = "") -> Iterator[Setting]:
        """Yield a description of every setting, and of those of every kind that could be chosen."""
        schema = cls.model_json_schema()["properties"]
        for name, field in cls.model_fields.items():
            default = cls._default(name)
            if isinstance(default, Section) and default.registry is not None:
                kinds = ", ".join(default.registry)
                yield Setting(
                    prefix + name, owner, field.description or "", "name", f"one of {kinds}", default.kind
                )
                for kind, row in default.registry.items():
                    inner = f"{_words(default.registry)} {kind!r}"
                    yield from imported(row.settings).describe(f"{prefix}{name}.", inner)
            elif isinstance(default, Section):
                yield from default.describe(f"{prefix}{name}.", owner)
            elif name != "name":
                shown = default.tolist() if hasattr(default, "tolist") else default
                yield Setting(
                    prefix + name,
                    owner,
                    field.description or "",
                    _type_of(schema[name]),
                    _rule_of(schema[name]),
                    list(shown) if isinstance(shown, tuple) else shown,
                )

    @property
    def kind(self) -> str:
        """The ``name`` of a section that is chosen by name; empty for one of a single kind."""
        return str(getattr(self, "name", ""))

    @property
    def owner(self) -> str:
        """The section in words, ``"encoder 'gat'"`` for instance; empty for one of a single kind."""
        return "" if self.registry is None else f"{_words(self.registry)} {self.kind!r}"

    @classmethod
    def _default(cls, name: str) -> Any:
        field = cls.model_fields.get(name)
        return None if field is None else field.get_default(call_default_factory=True)

    @classmethod
    def _read(cls, name: str, value: Any, current: Any) -> Any:
        """Return the value of a field in its own type, a table merged into the section that is there."""
        field = cls.model_fields.get(name)
        if field is None:
            raise cls._unknown(name)
        if not isinstance(current, Section) or isinstance(value, Section):
            is_unset = value == _NOTHING and type(None) in get_args(field.annotation)
            return None if is_unset else value
        registry = type(current).registry
        if registry is not None and isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            form = "a table of settings" if registry is None else "a name or a table of settings"
            raise ParameterError(f"{name} must be {form}, got {value!r}")
        rest = dict(value)
        chosen: Section = current
        if registry is not None:
            kind = rest.pop("name", current.kind)
            settings = imported(registry[kind].settings)
            chosen = current if kind == current.kind else settings()
        try:
            return chosen.replace(**rest) if rest else chosen
        except ParameterError as error:
            raise ParameterError(f"{name}.{error}") from None

    @classmethod
    def _unknown(cls, name: str) -> ParameterError:
        """Return the error about a name that is no field of the section."""
        known = [field for field in cls.model_fields if field != "name"]
        where = ""
        if cls.registry is not None:
            kind = _words(cls.registry)
            where = f" of {kind} {cls._default('name')!r}"
            owners = [
                repr(other)
                for other, row in cls.registry.items()
                if name in imported(row.settings).model_fields
            ]
            if owners:
                return ParameterError(
                    f"{name} is a setting of {kind} {_listed(owners)}, not of {cls._default('name')!r}"
                )
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'none'}"
        return ParameterError(f"{name} is not a setting{where}; {hint}")


def _nested(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return settings with what follows the first dot of a name as a table."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        head, dot, rest = key.partition(".")
        new: Any = {rest: value} if dot else value
        if head in found:
            old = found[head]
            if isinstance(old, Section) or isinstance(new, Section):
                raise ParameterError(f"{head} must be given as an object or by its settings, got both")
            tables = [{"name": one} if isinstance(one, str) else one for one in (old, new)]
            if not all(isinstance(one, Mapping) for one in tables):
                raise ParameterError(f"{head} must be a table of settings, got {old!r}")
            twice = [name for name in tables[0] if name in tables[1]]
            if twice:
                raise ParameterError(f"{head}.{twice[0]} must be given once, got two values")
            new = {**tables[0], **tables[1]}
        found[head] = new
    return list(found.items())


def _words(registry: Registry[Any]) -> str:
    return registry.kind.replace("_", " ")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    if isinstance(cause := first.get("ctx", {}).get("error"), ParameterError):
        return str(cause)  # our own check already wrote the sentence
    name = ".".join(str(part) for part in first["loc"])
    rule = first["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return f"{name} {rule}, got {first['input']!r}"


_TYPES = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def _forms(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]


def _type_of(schema: Mapping[str, Any]) -> str:
    form = _forms(schema)[0]
    if form.get("type") == "array":
        return f"list of {_TYPES[form['items']['type']]}s"
    return "name" if "enum" in form else _TYPES[form["type"]]


def _rule_of(schema: Mapping[str, Any]) -> str:
    form = _forms(schema)[0]
    values = form["items"] if form.get("type") == "array" else form
    parts = [f"{sign} {values[bound]:g}" for bound, sign in _BOUNDS.items() if bound in values]
    rule = " and ".join(parts)
    if "enum" in form:
        rule = f"one of {', '.join(form['enum'])}"
    if "multipleOf" in form:
        rule = f"a multiple of {form['multipleOf']}, {rule}"
    if len(_forms(schema)) < len(schema.get("anyOf", [schema])):
        rule = f"{rule} or none" if rule else "or none"
    return rule
