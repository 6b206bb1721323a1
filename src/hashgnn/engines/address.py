"""``EngineAddress``: the URL of an engine, and its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

from hashgnn._checks import check_choice, check_int
from hashgnn.errors import ParameterError

_URL = re.compile(r"([a-z][a-z0-9+]*)://(.*)", re.IGNORECASE | re.DOTALL)
_PASSWORD_OPTION = re.compile(r"((?:password|token)=)[^&]*", re.IGNORECASE)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class EngineAddress:
    """The URL of an engine: ``scheme://place?option=value``.

    Attributes
    ----------
    scheme : str
        In small letters.
    place : str
        What stands between ``://`` and ``?``.
    options : mapping of str to str
        What stands behind ``?``.

    Examples
    --------
    >>> address = EngineAddress.of("postgresql://shop:secret@db/main?table=items")
    >>> address.scheme, address.options, str(address)
    ('postgresql', {'table': 'items'}, 'postgresql://shop:***@db/main?table=items')
    """

    scheme: str
    place: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str) -> EngineAddress:
        """Read a URL.

        Raises
        ------
        ParameterError
            If it is none, or repeats an option.
        """
        text: object = url  # what a caller without types may pass
        match = _URL.fullmatch(text) if isinstance(text, str) and "\0" not in text else None
        if match is None:
            raise ParameterError(f"engine must be a URL such as postgresql://host/db, got {url!r:.80}")
        place, _, query = match[2].partition("?")
        # A plus sign is one, as libpq reads it.
        parts = [part.partition("=") for part in query.split("&") if part]
        pairs = [(unquote(name), unquote(value)) for name, _, value in parts]
        options = dict(pairs)
        if len(options) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ParameterError(f"each option of a URL must be given once, got {twice!r:.40} more often")
        return cls(match[1].lower(), place, options)

    def __str__(self) -> str:
        """Return the URL without its password, also where signs in that were not percent-encoded."""
        scheme, _, rest = self.url.partition("://")
        if "@" not in self.place and ":" in self.place:  # a question mark may have cut a password
            plain = "&".join(f"{name}={value}" for name, value in self.options.items())
            rest = f"{self.place}?{plain}" if "@" in plain else rest
        user, mark, host = rest.rpartition("@")
        name, colon, password = user.partition(":")
        if mark and colon and password:
            rest = f"{name}:***@{host}"
        return _PASSWORD_OPTION.sub(r"\1***", f"{scheme}://{rest}")

    def __repr__(self) -> str:
        return f"EngineAddress({str(self)!r})"

    @property
    def url(self) -> str:
        """The URL, password included."""
        query = urlencode(self.options, quote_via=quote)
        return f"{self.scheme}://{self.place}{'?' if query else ''}{query}"

    def without(self, names: Mapping[str, object]) -> EngineAddress:
        """Return the address without some options."""
        kept = {name: value for name, value in self.options.items() if name not in names}
        return EngineAddress(self.scheme, self.place, kept)

    def check_options(self, known: Mapping[str, object]) -> None:
        """Raise :class:`ParameterError` for an option that the engine does not have."""
        for name in self.options:
            check_choice(f"option of a {self.scheme} URL", name, known)

    def name(self, option: str, default: str) -> str:
        """Return an option that is the name of a table or collection."""
        value = self.options.get(option, default)
        if not _NAME.fullmatch(value):
            raise ParameterError(
                f"{option} must be at most 40 of the characters a-z, 0-9 and _, and begin with no digit, got {value!r}"
            )
        return value

    def choice(self, option: str, default: str, choices: tuple[str, ...]) -> str:
        """Return an option that is one of some words."""
        return check_choice(option, self.options.get(option, default), choices)

    def number(self, option: str, default: int, *, minimum: int, maximum: int) -> int:
        """Return an option that is a whole number."""
        text = self.options.get(option, str(default))
        value: object = int(text) if re.fullmatch(r"-?[0-9]{1,12}", text) else text
        return check_int(option, value, minimum=minimum, maximum=maximum)
