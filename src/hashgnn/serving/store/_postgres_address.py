"""The address of a store in PostgreSQL, and its errors as sentences that hold no password."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from hashgnn.engines.address import EngineAddress
from hashgnn.engines.postgres_pool import said
from hashgnn.errors import DataError, ParameterError, StorageError

OPTIONS: Mapping[str, str] = {
    "store": "name of the schema that holds the tables",
    "timeout": "seconds that a statement may take",
}
_CONNECT_SECONDS = 5
_HIDDEN = "***"


class UnreachableError(StorageError):
    """The server of a store cannot be reached.

    Parameters
    ----------
    sentence : str
    reason : str
        Why, in words for the end of a sentence.
    """

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return UnreachableError, (str(self), self.reason)


class StoreAddress:
    """``postgresql://user@host/database?store=NAME``, with options of libpq.

    Attributes
    ----------
    schema : str
        Name of the schema of its tables.
    timeout : int
        Seconds that a statement may take.
    plain : EngineAddress
        Without options of ours.

    Parameters
    ----------
    url : str

    Raises
    ------
    ParameterError
        If it is no such address, or an option breaks its rule.
    """

    def __init__(self, url: str) -> None:
        given = EngineAddress.of(url)
        self._secrets = _secrets(url, given)
        self._shown, self._has_password = str(given), bool(self._secrets) or _HIDDEN in str(given)
        self.schema = given.name("store", "hashgnn")
        if self.schema.startswith("pg_"):
            raise ParameterError(
                f"store must not begin with pg_, which PostgreSQL keeps, got {self.schema!r}"
            )
        self.timeout = given.number("timeout", 10, minimum=1, maximum=3600)
        added = {
            "connect_timeout": str(_CONNECT_SECONDS),
            "application_name": "hashgnn",
            # A peer that is gone without a word is noticed, not waited for.
            "keepalives_idle": "10",
            "keepalives_interval": "5",
            "keepalives_count": "3",
            "tcp_user_timeout": str(self.timeout * 1000),
        }
        plain = given.without(OPTIONS)
        self.plain = EngineAddress(plain.scheme, plain.place, {**added, **plain.options})

    def __str__(self) -> str:
        """Return it without its password."""
        return self._shown

    def __repr__(self) -> str:
        return f"StoreAddress({self._shown!r})"

    def hidden(self, text: str) -> str:
        """Return a text without the password."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text

    def said(self, error: BaseException) -> str:
        """Return the first line of an error of the server, without the password."""
        return self.hidden(said(error))

    def check_options(self, psycopg: Any) -> None:
        """Raise :class:`ParameterError` for an address that libpq cannot read."""
        try:
            psycopg.conninfo.conninfo_to_dict(self.plain.url)
        except psycopg.Error as error:
            reason = self.said(error)
            if self._has_password:  # what is quoted may be a part of it
                reason = re.sub('"[^"]*("|$)', _HIDDEN, reason)
            raise ParameterError(
                f"interactions must be an address that PostgreSQL reads, got {self}; {reason}"
            ) from None

    @contextmanager
    def translated(self, psycopg: Any) -> Iterator[None]:
        """Raise an error of the server as one sentence."""
        try:
            yield
        except psycopg.Error as error:
            if isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
                raise DataError(
                    f"{self}: the store is damaged, {self.said(error)}; restore a copy of it"
                ) from None
            raise StorageError(
                f"{self}: could not be written or read, {self.reason_of(psycopg, error)}; nothing was changed"
            ) from error

    def reason_of(self, psycopg: Any, error: Exception) -> str:
        """Return why the server failed, in words for the end of a sentence."""
        errors = psycopg.errors
        if isinstance(error, errors.LockNotAvailable):
            return "another process holds it"
        if isinstance(error, errors.DiskFull):
            return "the disk is full"
        if isinstance(error, errors.QueryCanceled):
            return f"its server did not answer within {self.timeout} seconds"
        if isinstance(error, errors.ReadOnlySqlTransaction):
            return "its server takes no writes now"
        if isinstance(error, errors.InsufficientPrivilege):
            return f"its user may not do that, {self.said(error)}"
        if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName | errors.UndefinedColumn):
            return "its tables are gone"
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return f"its server is gone, {self.said(error)}"
        return self.said(error)


def _secrets(url: str, given: EngineAddress) -> list[str]:
    """Return every form in which the server may tell the password, the longest first."""
    found = [value for name, value in given.options.items() if "password" in name.lower()]
    user, _, _ = url.partition("://")[2].rpartition("@")
    password = user.partition(":")[2]
    # A sign that was not percent-encoded cuts a password short for libpq.
    found += [password, *password.replace("?", "/").replace("@", "/").split("/")]
    found += [unquote(secret) for secret in found]
    return sorted({secret for secret in found if len(secret) > 2}, key=len, reverse=True)
