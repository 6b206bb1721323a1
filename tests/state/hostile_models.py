"""Mutants of saved models and indexes, with right checksums, and what must hold of each.

A mutant loads and answers finite scores, or raises a ``HashGNNError`` of one line. Neither takes more than
``MEMORY`` bytes or ``SECONDS`` of processor time. Run as a script it tries so many mutants in this process:

    python tests/state/hostile_models.py FOLDER 1000000 --first 0

A mutant is made from its number alone, so ``FOLDER 1 --first NUMBER`` tries a failed one again.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import random
import resource
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import HashGNNError
from hashgnn.index import (
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    MultiIndexHashing,
    RowQuantiser,
    load_index,
)
from hashgnn.recommender import HashGNN
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

MEMORY = 256 << 20
SECONDS = 2.0
INDEX = "item_index.hgx"

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 255, 2**15, 2**31 - 1, 2**31, 2**42, 2**53, 2**62, 2**63 - 1, 2**63, 2**64,
    -(2**31), -(2**63), 10**30, 0.0, -0.5, 0.5, 1e-300, 1e30, 3e38, 1e300, float("nan"), float("inf"), float("-inf"),
    "", "0", "x", "\ud800", "é", "../x", "int8", "float16", "hamming", "multi-index", "hierarchical", "inverted-file",
    "9" * 5000, [], {}, [[]], [0, 1], [None], {"": {}}, {"name": []}, {"name": "gat"}, {"bytes": 2**60},
)  # fmt: skip
_BYTES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f",
          b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", b"\xff" * 8, b"\x00" * 8, b"\x00\x00\x00\x00\x00\x04\x00\x00")  # fmt: skip


# The files that mutants are made from.


def write_seeds(folder: Path) -> None:
    """Write models of both formats and an index of each kind."""
    save_state(random_state(6, 9, n_bits=16, dim=3), folder / "model-0")
    state = random_state(list(range(5)), [7, 3, 9, 1], n_bits=8, dim=2, item_bias=False)
    save_state(state, folder / "model-1")
    save_state(random_state([("a", 1), ("b", 2)], [b"x", 2.5, None], n_bits=8, dim=8, float_embedding="relaxed"),
               folder / "model-2")  # fmt: skip
    shutil.copytree(Path(__file__).parent / "format-1", folder / "model-3")
    shutil.copytree(Path(__file__).parent / "format-2", folder / "model-4")
    rng = np.random.default_rng(0)
    codes = BinaryCodes(rng.integers(0, 256, (50, 4), np.uint8))
    bias = ItemBias(rng.integers(0, 9, 50).astype(np.uint8), 2.0)
    rows = rng.normal(size=(50, 5)).astype(np.float32)
    scan, lists = HammingIndex(codes, bias), InvertedFile(codes, bias, n_lists=4, n_probe=2)
    lists.add(codes[:3], bias[:3])
    scan.remove([3])
    indexes = (
        scan,
        MultiIndexHashing(codes),
        lists,
        HierarchicalIndex(scan, rows, dtype="int8"),
        HierarchicalIndex(InvertedFile(codes, n_lists=4), rows),
        HierarchicalIndex(scan, rows, dtype=None, rows=RowQuantiser.fit(rows, bits=4)),
    )
    for number, index in enumerate(indexes):
        index.save(folder / f"index-{number}.hgx")


# Changes of bytes and of values.


def mutate_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Overwrite, insert, repeat or cut some bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(len(data) + 1)
        way = rng.random()
        if way < 0.6:
            new = rng.choice(_BYTES) if rng.random() < 0.7 else rng.randbytes(rng.choice((1, 4)))
            data[at : at + len(new)] = new
        elif way < 0.75 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif way < 0.85:
            del data[at : at + rng.choice((1, 4, 8, len(data)))]
        elif way < 0.95:
            data[at:at] = data[at : at + rng.choice((1, 8, 64))]
        else:
            data[at:at] = bytes(rng.choice((1, 8, 4096)))
    return bytes(data)


def mutate_json(rng: random.Random, value: Any) -> Any:
    """Change, remove, add or rename some entries."""
    whole = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(whole))
        if not places:
            return whole
        owner, key = rng.choice(places)
        way = rng.random()
        if way < 0.55:
            owner[key] = copy.deepcopy(rng.choice(_VALUES))
        elif way < 0.7:
            owner[key] = _near(rng, owner[key])
        elif way < 0.8:
            del owner[key]
        elif way < 0.9 and isinstance(owner, dict):
            owner[rng.choice(("", "extra", "a.b", "name", "__metadata__", "self"))] = copy.deepcopy(
                rng.choice(_VALUES)
            )
        elif way < 0.93 and not isinstance(owner[key], dict | list):
            deep: Any = owner[key]
            for _ in range(rng.choice((10, 40, 150))):
                deep = [deep] if rng.random() < 0.5 else {"a": deep}
            owner[key] = deep
        else:
            other, place = rng.choice(places)
            owner[key] = copy.deepcopy(other[place])
    return whole


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(part)


def _near(rng: random.Random, value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 10**9, float(value), str(value)))
    return rng.choice(
        (str(value), [value], {"a": value}, value * 2 if isinstance(value, str | list) else None)
    )


def _text(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


# Files with right checksums.


def write_manifest(folder: Path, manifest: Any) -> None:
    """Write a manifest with the checksum that it must have."""
    if isinstance(manifest, dict):
        manifest.pop("checksum", None)
        text = json.dumps({**manifest, "checksum": "0" * 64}, indent=2)
        text = text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest())
    else:
        text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text)


def sign_file(folder: Path, name: str) -> None:
    """Make the manifest say what a file holds now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    raw = (folder / name).read_bytes()
    manifest["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    write_manifest(folder, manifest)


def mutate_safetensors(rng: random.Random, raw: bytes) -> bytes:
    """Change the header of a safetensors file, or the bytes after it."""
    length = int.from_bytes(raw[:8], "little")
    header, body = raw[8 : 8 + length], raw[8 + length :]
    way = rng.random()
    if way < 0.6:
        header = _text(mutate_json(rng, json.loads(header)))
    elif way < 0.9 and body:
        body = mutate_bytes(rng, body)
    else:
        return mutate_bytes(rng, raw)
    return len(header).to_bytes(8, "little") + header + body


def mutate_index(rng: random.Random, raw: bytes) -> bytes:
    """Change the header of an index file, or its sections."""
    length = int.from_bytes(raw[8:16], "little")
    header, body = raw[48 : 48 + length], raw[4096:]
    way = rng.random()
    if way < 0.7:
        header = _text(mutate_json(rng, json.loads(header)))
    elif way < 0.95:
        body = mutate_bytes(rng, body)
    else:
        return mutate_bytes(rng, raw)
    prefix = raw[:8] + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header
    return prefix + bytes(max(0, 4096 - len(prefix))) + body


def mutate_file(rng: random.Random, name: str, raw: bytes) -> bytes:
    """Change a file of a model by its kind."""
    if name.endswith(".safetensors"):
        return mutate_safetensors(rng, raw)
    if name.endswith(".hgx"):
        return mutate_index(rng, raw)
    if name.endswith(".json") and rng.random() < 0.8:
        return _text(mutate_json(rng, json.loads(raw)))
    return mutate_bytes(rng, raw)


# What must hold.


def answer_model(folder: Path, rng: random.Random) -> None:
    """Load a model and take answers of every search way."""
    model = HashGNN.load(folder, mmap=rng.random() < 0.8, verify=rng.random() < 0.2)
    state = model.state_
    if not state.n_users or not state.n_items:
        return
    users, items = (side.ids.at(np.zeros(1, np.int64)).tolist() for side in (state.users, state.items))
    for way in model.search_ways:
        try:
            found = model.recommend(users, k=1, search=way, filter_seen=False)
            scores = found.scores[:, : int(found.counts[0])]
            assert np.isfinite(scores).all(), f"{way} gave {scores}"
        except HashGNNError as error:
            _check_sentence(str(error))
    model.similar_items(items, k=min(2, state.n_items))
    folded = model.fold_in_users([items])
    assert np.isfinite(folded.embeddings).all(), "fold-in gave no finite embedding"
    json.dumps(
        [dict(state.metrics), dict(state.training), dict(state.data_statistics)], allow_nan=False
    ).encode()


def answer_index(path: Path, rng: random.Random) -> None:
    """Open an index and search it."""
    index = load_index(path, verify=rng.random() < 0.2)
    if not len(index):
        return
    queries: Any = BinaryCodes(np.zeros((1, index.n_bits // 8), np.uint8), index.n_bits)
    if isinstance(index, HierarchicalIndex):
        queries = EmbeddedCodes(queries, np.ones((1, index.snapshot().width), np.float32))
    found = index.search(queries, min(3, len(index)))
    assert np.isfinite(found.scores[found.valid]).all(), f"{found.scores}"
    index.codes([0])
    index.item_bias()


class Mutants:
    """The mutants of a folder of seeds, each made from its number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            write_seeds(folder)
        self.models = sorted(folder.glob("model-*"))
        self.indexes = {path: path.read_bytes() for path in sorted(folder.glob("index-*.hgx"))}
        self.files = {path: {f.name: f.read_bytes() for f in sorted(path.iterdir())} for path in self.models}

    def try_one(self, number: int) -> bool:
        """Make a mutant and check it; return whether it loaded."""
        rng = random.Random(number)
        if rng.random() < 0.3:
            mutant = self.folder / "mutant.hgx"
            mutant.write_bytes(mutate_index(rng, rng.choice(list(self.indexes.values()))))
            return _holds(answer_index, mutant, rng)
        model = rng.choice(self.models)
        files, changed = self.files[model], list[str]()
        try:
            if rng.random() < 0.45:
                raw = files["manifest.json"]
                if rng.random() < 0.9:
                    write_manifest(model, mutate_json(rng, json.loads(raw)))
                else:
                    (model / "manifest.json").write_bytes(mutate_bytes(rng, raw))
            else:
                changed = [rng.choice([name for name in files if name != "manifest.json"])]
                (model / changed[0]).write_bytes(mutate_file(rng, changed[0], files[changed[0]]))
                sign_file(model, changed[0])
            return _holds(answer_model, model, rng)
        finally:
            for name in (*changed, "manifest.json"):
                (model / name).unlink()  # a map of the mutant keeps its own file
                (model / name).write_bytes(files[name])


def _check_sentence(said: str) -> None:
    assert "\n" not in said, f"more than a line: {said}"
    assert len(said) < 2000, f"more than a sentence: {said}"
    said.encode()


def _holds(answer: Callable[[Path, random.Random], None], path: Path, rng: random.Random) -> bool:
    started = time.process_time()
    try:
        answer(path, rng)
    except HashGNNError as error:
        _check_sentence(str(error))
        return False
    finally:
        seconds = time.process_time() - started
        assert seconds < SECONDS, f"it took {seconds:.1f} s"
    return True


def limit_memory() -> None:
    """Let this process take ``MEMORY`` bytes more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main() -> None:
    """Try so many mutants; stop at the first that breaks a rule, with its number."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where seeds are written; a mutant replaces a file there")
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    mutants = Mutants(options.folder)
    for model in mutants.models:
        answer_model(model, random.Random(0))
    for path in mutants.indexes:
        answer_index(path, random.Random(0))
    limit_memory()
    loaded, started = 0, time.perf_counter()
    for number in range(options.first, options.first + options.count):
        signal.alarm(30)  # kills the process where a call into native code never comes back
        try:
            loaded += mutants.try_one(number)
        except BaseException as error:
            raise SystemExit(f"mutant {number}: {type(error).__name__}: {error}") from error
    seconds = time.perf_counter() - started
    print(f"{options.count} mutants in {seconds:.1f} s: {loaded} loaded, the others were refused")


if __name__ == "__main__":
    main()
