"""A file of named API keys, which may change while the service runs.

A line is ``NAME: KEY`` with ``rate=N`` (requests a second, or ``N/min``, ``N/h``) and ``burst=N`` where wanted. In the
place of the key may stand ``sha256:`` and the 64 hexadecimal digits of its SHA-256. A line that begins with ``#`` is
a comment. Several keys may have one name, as while one replaces another; they share its rate.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from hashgnn._files import open_regular
from hashgnn.errors import ParameterError
from hashgnn.serving.http.api_keys import ApiKey, ApiKeys
from hashgnn.serving.wire.logs import log

_MAX_BYTES = 1 << 20
_MAX_KEYS = 1000  # each is compared at every request
_MAX_RATE = 1e6
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.@-]{1,64})\s*:\s*(?P<key>[!-~]{1,512})(?P<options>(?:\s+\S+)*)\s*")
_HASHED = re.compile(r"sha256:(?P<digits>[0-9a-fA-F]{64})")
_OPTION = re.compile(r"(?P<name>rate|burst)=(?P<number>[0-9.eE+]{1,20})(?:/(?P<unit>s|min|h))?")
_SECONDS = {None: 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}


def read_key_file(path: Path) -> list[ApiKey]:
    """Return the keys of a file.

    Raises
    ------
    ParameterError
        If the file cannot be read, holds no key, or a line breaks a rule. The sentence shows no key.
    """
    return parse_keys(path, _content(path))


def parse_keys(path: Path, raw: bytes) -> list[ApiKey]:
    """Return the keys of the content of a file; see :func:`read_key_file`."""
    if len(raw) > _MAX_BYTES:
        raise ParameterError(f"{path}: must have at most {_MAX_BYTES} bytes")
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ParameterError(f"{path}: must be text in UTF-8") from None
    keys: list[ApiKey] = []
    limits: dict[str, tuple[float | None, float]] = {}
    names: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key = _parse_line(f"{path}: line {number}", line.strip())
        if limits.setdefault(key.name, (key.rate, key.burst)) != (key.rate, key.burst):
            raise ParameterError(f"{path}: line {number} gives {key.name} another rate than a line before")
        if key.digest in names:
            raise ParameterError(
                f"{path}: line {number} repeats a key, of {names[key.digest]} and of {key.name}"
            )
        names[key.digest] = key.name
        keys.append(key)
    if not keys:
        raise ParameterError(f"{path}: must hold a key, a line such as NAME: KEY")
    if len(keys) > _MAX_KEYS:
        raise ParameterError(f"{path}: must hold at most {_MAX_KEYS} keys, got {len(keys)}")
    return keys


class WatchedKeys:
    """The keys of a service: some that stay, and those of a file as it is now.

    A change is taken when the file has been the same at two looks, so that no half-written file counts. A file that
    is broken or gone changes nothing, and a line of the log says so.

    Parameters
    ----------
    fixed : iterable of str
        Secrets without names.
    path : Path, optional
    on_change : callable
        Called with whether a changed file was accepted.

    Raises
    ------
    ParameterError
        If the file cannot be used at the start.
    """

    def __init__(
        self,
        fixed: Iterable[str],
        path: Path | None,
        on_change: Callable[[bool], None] = lambda accepted: None,
    ) -> None:
        self._fixed, self._path, self._on_change = [ApiKey.of(secret) for secret in fixed], path, on_change
        content = b"" if path is None else _content(path)
        self._seen: bytes | str = content  # at the last look; a sentence where it could not be read
        self._used: bytes | str = content  # what was accepted or refused last
        self.current = ApiKeys(self._fixed if path is None else [*self._fixed, *parse_keys(path, content)])

    @property
    def watches(self) -> bool:
        """Whether there is a file to look at."""
        return self._path is not None

    def look(self) -> None:
        """Look at the file, and take its keys if it has changed and holds still."""
        if self._path is None:
            return
        before = self._seen
        try:
            self._seen = _content(self._path)
        except ParameterError as error:
            self._seen = str(error)
        if self._seen != before or self._seen == self._used:
            return
        self._used = self._seen
        try:
            if isinstance(self._used, str):
                raise ParameterError(self._used)
            keys = parse_keys(self._path, self._used)
        except ParameterError as error:
            self._on_change(False)
            log(logging.WARNING, "keys", accepted=False, detail=f"{error}; the keys before stay")
            return
        self.current = ApiKeys([*self._fixed, *keys])
        self._on_change(True)
        names = {key.name for key in keys}
        log(logging.INFO, "keys", accepted=True, detail=f"{len(keys)} keys of {len(names)} names")


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read, {error.strerror or error}") from None


def _parse_line(where: str, line: str) -> ApiKey:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ParameterError(f"{where} must be NAME: KEY, then rate=N and burst=N where wanted")
    hashed = _HASHED.fullmatch(found["key"])
    if hashed is None and found["key"].startswith("sha256:"):
        raise ParameterError(f"{where} must have 64 hexadecimal digits after sha256:")
    digest = (
        bytes.fromhex(hashed["digits"])
        if hashed is not None
        else hashlib.sha256(found["key"].encode()).digest()
    )
    numbers: dict[str, float] = {}
    for text in found["options"].split():
        option = _OPTION.fullmatch(text)
        if option is None or option["name"] in numbers or (option["unit"] and option["name"] == "burst"):
            raise ParameterError(f"{where} may have rate=N, N/min or N/h, and burst=N, after its key")
        numbers[option["name"]] = _number(where, option["name"], option["number"]) / _SECONDS[option["unit"]]
    rate = numbers.get("rate")
    if rate is None and "burst" in numbers:
        raise ParameterError(f"{where} has a burst without a rate")
    burst = numbers.get("burst", 1.0 if rate is None else math.ceil(rate))
    return ApiKey(found["name"], digest, rate, float(burst))


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    least = 1.0 if name == "burst" else 1e-6
    if not least <= value <= _MAX_RATE:
        raise ParameterError(f"{where} must have a {name} between {least:g} and {_MAX_RATE:g}")
    return value
