"""A path that no file system holds is one sentence at every door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashgnn import HashGNN
from hashgnn.codes import BinaryCodes
from hashgnn.data import read_interactions, read_table
from hashgnn.errors import HashGNNError
from hashgnn.index import HammingIndex, load_index

CODES = BinaryCodes(np.zeros((3, 4), np.uint8), 32)
DOORS: dict[str, Callable[[str | Path], object]] = {
    "load a model": HashGNN.load,
    "load an index": load_index,
    "save an index": lambda path: HammingIndex(CODES).save(path),
    "load codes": BinaryCodes.load,
    "save codes": CODES.save,
    "read interactions": read_interactions,
    "read a table": read_table,
}
NAMES = {
    "a long name": "x" * 5000,
    "a deep path": "a/" * 3000,
    "NUL": "x\0y",
    "a surrogate": "\ud800x",
    "empty": "",
    "a user that is not there": "~nobody_is_called_so/x",
    "a device": "/dev/null/x",
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_that_cannot_be_is_one_sentence(door: str, name: str, kind: type[str] | type[Path]) -> None:
    if name == "empty" and kind is Path:
        pytest.skip("an empty Path is the folder that one is in")
    with pytest.raises(HashGNNError) as caught:
        DOORS[door](kind(NAMES[name]))
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400


def test_names_that_fill_the_file_system_are_taken(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".codes")
    CODES.save(path)
    assert len(BinaryCodes.load(path)) == 3
