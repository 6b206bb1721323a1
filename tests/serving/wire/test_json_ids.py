"""Ids between JSON and a model: types stay distinct, unknown ids are found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hashgnn.data import IdMap
from hashgnn.errors import UnknownIdError
from hashgnn.serving.wire.json_ids import IdReader, IdWriter


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (["b", 'quoted "x"', "ü"], [b'"b"', b'"quoted \\"x\\""', '"ü"'.encode()]),
        ([7, -5, 2**40], [b"7", b"-5", b"1099511627776"]),
        ([("a", 1), ("b", 2)], [b'"[\\"a\\",1]"', b'"[\\"b\\",2]"']),
    ],
)
def test_ids_survive_the_way_through_json(ids: list, texts: list[bytes]) -> None:
    known = IdMap(ids)
    places = np.array([known.index_of([value])[0] for value in ids])
    written = IdWriter(known).texts(places)
    assert written == texts
    read = IdReader(known, "item").positions([json.loads(text) for text in written])
    assert read.tolist() == places.tolist()


def test_an_unknown_id_has_no_position() -> None:
    reader = IdReader(IdMap(["a", "b"]), "item")
    assert reader.positions(["b", "z", "a"]).tolist() == [1, -1, 0]
    assert reader.known(["b", "z", "a"]).tolist() == [1, 0]


def test_an_id_of_the_wrong_type_is_an_error_or_unknown() -> None:
    reader = IdReader(IdMap([1, 2]), "user")
    with pytest.raises(UnknownIdError, match="user ids of this model are integers, got '1'"):
        reader.positions([2, "1"])
    assert reader.positions([2, "1"], strict=False).tolist() == [1, -1]
