from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError
from hashgnn.index import HammingIndex, InvertedFile, MultiIndexHashing, build_index, load_index
from hashgnn.testing.index_cases import edit_header

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


def test_auto_takes_the_inverted_file_for_many_codes_where_some_may_be_missed() -> None:
    assert isinstance(build_index(CODES, index_recall=0.9, scan_limit=2999), InvertedFile)
    assert isinstance(build_index(CODES, index_recall=0.9, scan_limit=3000), HammingIndex)
    assert isinstance(build_index(CODES, index_recall=0.9), HammingIndex)
    assert isinstance(build_index(CODES, scan_limit=0), HammingIndex)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ParameterError, match="kind must be one of 'auto', 'exact'"):
        build_index(CODES, "lsh")


def test_a_tuned_inverted_file_opens_as_it_was_tuned(tmp_path: Path) -> None:
    index = build_index(CODES, "inverted-file", index_recall=0.95, n_lists=64)
    assert isinstance(index, InvertedFile)
    index.save(tmp_path / "index")
    opened = load_index(tmp_path / "index")
    assert isinstance(opened, InvertedFile)
    assert (opened.n_probe, opened.n_lists, opened.nbytes) == (index.n_probe, 64, index.nbytes)
    assert opened.n_probe > 1


@pytest.mark.parametrize(
    ("old", "new", "error", "sentence"),
    [
        ('"kind": "hamming"', '"kind": "cuckoo"', ArtifactError, "an index of the kind 'cuckoo', this library"),
        ('"kind": "hamming"', '"kind": ["hamming"]', ArtifactError, "this library knows 'hamming', 'multi-index'"),
        ('"kind": "hamming"', '"kind": "inverted-file"', ArtifactDamagedError, "in its header n_lists is missing"),
        ('"n_codes": 3000', '"n_codes": 4000', ArtifactDamagedError, "do not fit 4000 codes of 64 bits"),
        ('"n_codes": 3000', '"n_codes": -1', ArtifactDamagedError, "n_codes must be greater than or equal to 0, got -1"),
        ('"n_codes": 3000', '"n_codes": 1e400', ArtifactDamagedError, "its numbers must be finite, got inf"),
        ('"n_bits": 64', '"n_bits": 0', ArtifactDamagedError, "n_bits must be greater than or equal to 8, got 0"),
        ('"n_bits": 64', '"n_bits": "wide"', ArtifactDamagedError, "n_bits must be a valid integer, got 'wide'"),
        ('"n_codes": 3000', '"n_codes": 4398046511104', ArtifactDamagedError, "n_codes must be less than 2147483648"),
        ('"top": null', '"top": 1e300', ArtifactDamagedError, "top must be less than or equal to 1048576"),
        ('"top": null', '"top": 3.0', ArtifactDamagedError, "penalties exactly if it has a top bias"),
        ('"query_bits": 4', '"query_bits": 40', ArtifactDamagedError, "query_bits must be at most 10, got 40"),
        ('"query_bits": 4', '"query": 4', ArtifactDamagedError, "do not fit one another, 'query_bits'"),
        ('"offset": 4096', '"offset": -4096', ArtifactDamagedError, "words.offset must be greater than or equal to 0"),
        ('"offset": 4096', '"offset": 4097', ArtifactDamagedError, "words.offset must be a multiple of 4096, got 4097"),
        ('"bytes": 24064', '"bytes": 24063', ArtifactDamagedError, "the section words lies outside"),
        ('"words": {', '"../words": {', ArtifactDamagedError, "an unknown section, '../words'"),
    ],
)  # fmt: skip
def test_a_header_that_says_what_is_not_so_is_refused(
    old: str, new: str, error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "index"
    HammingIndex(CODES).save(path)
    edit_header(path, old, new)
    with pytest.raises(error, match=sentence):
        load_index(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"n_lists": 8', '"n_lists": 9', "do not fit 9 lists"),
        (
            '"n_lists": 8',
            '"n_lists": 4398046511104',
            "n_lists must be less than 2147483648, got 4398046511104",
        ),
        ('"n_codes": 3000', '"n_codes": 2000', "do not fit 2000 codes"),
        ('"n_codes": 3000', '"n_codes": 2999', "positions must lie within the codes"),
        ('"n_probe": 2', '"n_probe": 0', "n_probe must be an integer >= 1, got 0"),
        ('"lists.words"', '"list.words"', "do not fit one another, 'words'"),
        ('"lists.positions"', '"lists.penalty"', "do not fit one another, 'positions'"),
        ('"extra.first_blocks"', '"extra.words"', "do not fit one another"),
    ],
)
def test_lists_that_do_not_fit_are_refused(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "index"
    InvertedFile(CODES, n_lists=8, n_probe=2).save(path)
    edit_header(path, old, new)
    with pytest.raises(ArtifactDamagedError, match=sentence):
        load_index(path)


_PRIVATE = """
import re, sys
from pathlib import Path
import numpy as np
from hashgnn.codes import BinaryCodes
from hashgnn.index import HammingIndex, load_index

def private():
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"Private_Dirty: *([0-9]+) kB", text).group(1)) << 10

queries = BinaryCodes(np.zeros((2, 16), np.uint8))
HammingIndex(queries).search(queries, 2)
before = private()
index = load_index(sys.argv[1])
for n_threads in (1, 2):
    index.search(queries, 100, n_threads=n_threads)
index.codes([3, 400_000])
print(private() - before, index.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="it reads Linux's own count")
@pytest.mark.parametrize("kind", ["exact", "inverted-file"])
def test_an_opened_index_is_searched_without_a_copy_of_its_codes(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = BinaryCodes(rng.integers(0, 256, (500_000, 16), np.uint8))
    bias = ItemBias(rng.integers(0, 9, 500_000).astype(np.uint8), 0.0)
    built = (
        HammingIndex(codes, bias) if kind == "exact" else InvertedFile(codes, bias, n_lists=16, n_probe=16)
    )
    built.save(tmp_path / "index")
    done = subprocess.run(
        [sys.executable, "-c", _PRIVATE, str(tmp_path / "index")], capture_output=True, text=True, check=True
    )
    private, nbytes = map(int, done.stdout.split())
    assert nbytes > 8_000_000
    assert private < 5_000_000, f"{private} bytes of memory of its own"
