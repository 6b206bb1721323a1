"""The texts of options, read as what they stand for: settings, lists, sizes, weights and threads."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

from hashgnn.errors import ParameterError


def chosen_settings(texts: list[str] | None, **options: tuple[str, Any]) -> dict[str, Any]:
    """Return the settings of ``--set KEY=VALUE`` and of options of their own.

    Parameters
    ----------
    texts : list of str or None
    **options
        By the name of the option: the setting, and its value or None.

    Raises
    ------
    ParameterError
        If a setting is given twice.
    """
    from hashgnn.config import parse_setting

    chosen: dict[str, Any] = {}
    for key, value in map(parse_setting, texts or []):
        if key in chosen:
            raise ParameterError(f"--set {key} is given twice, {chosen[key]!r} and {value!r}; give it once")
        chosen[key] = value
    for option, (key, value) in options.items():
        if value is None:
            continue
        if key in chosen:
            raise ParameterError(f"--{option} and --set {key} are the same setting; give one of them")
        chosen[key] = value
    return chosen


def comma_list(name: str, text: str) -> list[str]:
    """Split ``a,b,c``; an entry that holds a comma is written in double quotes.

    Examples
    --------
    >>> comma_list("--users", 'u1, u2,"a,b"')
    ['u1', 'u2', 'a,b']
    """
    import csv

    entries = [entry.strip() for entry in next(csv.reader([text], skipinitialspace=True), [])]
    if not entries or not all(entries):
        raise ParameterError(f"{name} must be a list like a,b,c without empty entries, got {text!r}")
    return entries


def integer_list(name: str, text: str) -> list[int]:
    """Split ``1,2,3`` into integers that are not negative.

    Examples
    --------
    >>> integer_list("--bits", "32,64")
    [32, 64]
    """
    entries = comma_list(name, text)
    for entry in entries:
        if not entry.isdigit():
            raise ParameterError(f"{name} must be integers >= 0 like 32,64, got {entry!r}")
    return [int(entry) for entry in entries]


def weights_of_events(name: str, text: str) -> dict[str, float]:
    """Split ``view=1,purchase=5`` into weights by type.

    Examples
    --------
    >>> weights_of_events("--event-weights", "view=1,purchase=5")
    {'view': 1.0, 'purchase': 5.0}
    """
    found: dict[str, float] = {}
    for entry in comma_list(name, text):
        event, sign, weight = (part.strip() for part in entry.rpartition("="))
        try:
            number = float(weight)
        except ValueError:
            number = math.nan
        if not sign or not event or not math.isfinite(number):
            raise ParameterError(f"{name} must be types and weights like view=1,purchase=5, got {entry!r}")
        if event in found:
            raise ParameterError(f"{name} names {event!r} twice; name each type once")
        found[event] = number
    return found


def byte_size(name: str, text: str) -> int:
    """Return a size in bytes; kB, MB, GB, TB are powers of 1000, KiB to TiB of 1024.

    Examples
    --------
    >>> byte_size("--max-decompressed", "20GB")
    20000000000
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgt])(i?)b|b)?\s*", text, re.IGNORECASE)
    if match is None:
        raise ParameterError(f"{name} must be a size like 500MB, 20GB or 1000000, got {text!r}")
    number, prefix, binary = match.groups()
    power = " kmgt".index((prefix or " ").lower())
    return int(float(number) * (1024 if binary else 1000) ** power)


def id_lines(path: Path) -> list[str]:
    """Read a text file with one id per line; empty lines are left out."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ParameterError(f"{path}: must be a text file in UTF-8 with one id per line") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read, {error.strerror}") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise ParameterError(f"{path}: holds no id")
    return ids


def limit_threads(count: int) -> None:
    """Set the threads of BLAS and OpenMP; call it before they are loaded, as they read these only once."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(count)
    os.environ["VECLIB_MAXIMUM_THREADS"] = str(count)


def checked_seed(value: int) -> int:
    if value < 0:
        raise ParameterError(f"--seed must be an integer >= 0, got {value}")
    return value


def checked_threads(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ParameterError(f"--threads must be an integer >= 1, got {value}")
    return value
