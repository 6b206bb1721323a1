"""Search spaces: the settings that vary, and their ranges."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hashgnn._checks import check_float, quote_some
from hashgnn.config import ModelConfig
from hashgnn.errors import ParameterError

#: The named search spaces.
SPACES = ("rates", "default", "paper")
_FIXED = ("n_bits", "validation.share", "validation.metric")  # given by the caller, never searched for


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included.

    Attributes
    ----------
    low, high : int or float
        Integers where both are written as such.
    log : bool
        Equal ratios are equally likely, instead of equal differences.
    """

    low: float
    high: float
    log: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether only integers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Any, name: str) -> Any:
        """Return a value drawn by an Optuna trial."""
        if self.is_integer:
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Return whether a value lies in the range."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check against the setting's own rule."""
        return self.low, self.high

    def to_dict(self) -> Any:
        """Return the form it has in a TOML file."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choice:
    """A few values without order.

    Attributes
    ----------
    values : tuple of str, bool, int or float
    """

    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        """Return a value drawn by an Optuna trial."""
        return trial.suggest_categorical(name, self.values)

    def holds(self, value: Any) -> bool:
        """Return whether a value is among them."""
        return value in self.values

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check against the setting's own rule."""
        return self.values

    def to_dict(self) -> Any:
        """Return the form it has in a TOML file."""
        return list(self.values)


#: A search space: what each varied setting may be.
Space = Mapping[str, Range | Choice]


def load_space(space: str | Path, base: ModelConfig) -> dict[str, Range | Choice]:
    """Read a search space and check it against the settings' own rules.

    Parameters
    ----------
    space : str or Path
        A name of :data:`SPACES`, or a TOML file with a line for each setting, by its dotted name or in tables:
        ``optimizer.learning_rate = { low = 0.01, high = 0.1, log = true }`` for numbers,
        ``relaxation = ["guided", "ste"]`` for a choice.
    base : ModelConfig
        The config that the settings are applied to.

    Raises
    ------
    ParameterError
        If the space is unknown or empty, a line has another form, a setting does not apply to the
        base, or a value breaks its setting's rule.
    """
    values, where = _read(space)
    sections = {name for setting in ModelConfig.describe() for name in _parents(setting.name)}
    entries = _flat(values, sections)
    found = {name: _parameter(f"{where}: {name}", name, entry) for name, entry in entries}
    if not found:
        raise ParameterError(f"{where}: a space must vary one setting or more, got none")
    for name, parameter in found.items():
        for value in parameter.ends():
            try:
                base.replace(**{name: value})
            except ParameterError as error:
                raise ParameterError(f"{where}: {error}") from None
    return found


def _parents(name: str) -> Iterator[str]:
    """Yield the sections that a dotted name lies in."""
    parts = name.split(".")
    yield from (".".join(parts[:depth]) for depth in range(1, len(parts)))


def _flat(values: Mapping[str, Any], sections: set[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of tables by their dotted names."""
    for key, entry in values.items():
        name = prefix + key
        if isinstance(entry, Mapping) and name in sections:
            yield from _flat(entry, sections, f"{name}.")
        else:
            yield name, entry


def _read(space: str | Path) -> tuple[dict[str, Any], str]:
    if space in SPACES:
        text = resources.files(__package__).joinpath("spaces", f"{space}.toml").read_text(encoding="utf-8")
        return tomllib.loads(text), f"space {space!r}"
    path = Path(space)
    if path.suffix != ".toml":
        raise ParameterError(f"space must be one of {quote_some(SPACES)} or a .toml file, got {str(space)!r}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), str(path)
    except OSError as error:
        raise ParameterError(f"{path}: the space cannot be read, {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: the space is not valid TOML, {error}") from None
    except RecursionError:
        raise ParameterError(f"{path}: the space is nested too deeply") from None


def _parameter(where: str, name: str, entry: Any) -> Range | Choice:
    if name in _FIXED:
        raise ParameterError(f"{where} is given, not searched for; a space may not vary {quote_some(_FIXED)}")
    if isinstance(entry, list):
        if len(entry) < 2 or not all(isinstance(value, str | bool | int | float) for value in entry):
            raise ParameterError(f"{where} must list two or more texts, numbers or booleans, got {entry!r}")
        return Choice(tuple(entry))
    if not isinstance(entry, dict) or not {"low", "high"} <= set(entry) <= {"low", "high", "log"}:
        raise ParameterError(
            f"{where} must be a list or {{ low = …, high = …, log = true or false }}, got {entry!r}"
        )
    low, high, log = entry["low"], entry["high"], entry.get("log", False)
    check_float(f"{where}.low", low)
    check_float(f"{where}.high", high, minimum=low, open_minimum=True)
    if not isinstance(log, bool):
        raise ParameterError(f"{where}.log must be true or false, got {log!r}")
    if log and low <= 0:
        raise ParameterError(f"{where}.low must be a finite number > 0 where log = true, got {low}")
    return Range(low, high, log)
