from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, InvertedFile, MultiIndexHashing, build_index, choice

CODES = BinaryCodes(np.random.default_rng(0).integers(0, 256, (3000, 8), np.uint8))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("auto", HammingIndex),
        ("exact", HammingIndex),
        ("multi-index", MultiIndexHashing),
        ("inverted-file", InvertedFile),
    ],
)
def test_each_kind_builds_its_index(kind: str, expected: type) -> None:
    assert type(build_index(CODES, kind, index_recall=0.9)) is expected


def test_auto_takes_the_inverted_file_for_many_codes_where_some_may_be_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "_SCAN_UP_TO", 1000)
    assert isinstance(build_index(CODES, index_recall=0.9), InvertedFile)
    assert isinstance(build_index(CODES), HammingIndex)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ParameterError, match="kind must be one of 'auto', 'exact'"):
        build_index(CODES, "lsh")
