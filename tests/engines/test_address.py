"""URLs of engines: what is ours, what is the client's, and what no message shows."""

from __future__ import annotations

import pytest

from hashgnn.engines import EngineAddress
from hashgnn.errors import ParameterError


def test_a_url_comes_back_as_it_was() -> None:
    for url in (
        "postgresql://shop:a%20b@db:5432/main?table=items&options=-c%20geqo%3Doff&sslmode=require",
        "lancedb:///data/my%20shop",
        "milvus://host:19530",
    ):
        assert EngineAddress.of(url).url == url


def test_blanks_and_plus_signs_are_kept_apart() -> None:
    address = EngineAddress.of("postgresql://db/main?password=a+b&options=-c%20geqo%3Doff")
    assert address.options == {"password": "a+b", "options": "-c geqo=off"}
    assert address.url == "postgresql://db/main?password=a%2Bb&options=-c%20geqo%3Doff"


def test_no_message_shows_a_password() -> None:
    for url in (
        "postgresql://shop:s3cret@db/main",
        "postgresql://db/main?user=shop&password=s3cret",
        "milvus://shop:s3cret@host:19530",
        "milvus://host?token=s3cret",
    ):
        address = EngineAddress.of(url)
        assert "s3cret" not in f"{address} {address!r}"
        assert "s3cret" in address.url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("items", "engine must be a URL such as postgresql://host/db, got 'items'"),
        ("", "engine must be a URL"),
        ("postgresql://db/main?table=a&table=b", "must be given once"),
    ],
)
def test_what_is_no_url_is_refused(url: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        EngineAddress.of(url)


def test_options_have_rules() -> None:
    address = EngineAddress.of("milvus://host?lists=many&probes=-1&table=Items&index=fast")
    with pytest.raises(ParameterError, match="lists must be an integer, got 'many'"):
        address.number("lists", 0, minimum=0, maximum=9)
    with pytest.raises(ParameterError, match="probes must be an integer >= 0, got -1"):
        address.number("probes", 0, minimum=0, maximum=9)
    with pytest.raises(ParameterError, match="table must be at most 40 of the characters"):
        address.name("table", "items")
    with pytest.raises(ParameterError, match="index must be one of 'exact', got 'fast'"):
        address.choice("index", "exact", ("exact",))
    with pytest.raises(ParameterError, match="option of a milvus URL must be one of 'lists', got 'probes'"):
        address.check_options({"lists": ""})
