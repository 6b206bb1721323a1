"""Try an installed hashgnn without torch: the kernels and, with a saved model, its lists and the command.

python deploy/check_wheel.py tests/state/format-2
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np

import hashgnn
from hashgnn import BinaryCodes, HashGNN, _native
from hashgnn.data import read_table
from hashgnn.index import HammingIndex


def check_search() -> None:
    """Compare the compiled search with distances that NumPy counts."""
    bits = np.random.default_rng(0).random((1000, 128)) < 0.5
    codes = BinaryCodes.from_signs(np.where(bits, 1, -1))
    found = HammingIndex(codes).search(codes[np.arange(10)], k=5)
    distances = (bits[:10, None] != bits[None]).sum(axis=2)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :5]
    assert np.array_equal(found.positions, expected), "the kernels and NumPy differ"


def check_model(saved: Path, folder: Path) -> None:
    """Load a model, save it anew, and write lists by the installed command."""
    HashGNN.load(saved, verify=True).save(folder / "model")
    model = HashGNN.load(folder / "model")
    user = str(model.user_ids[0])
    assert model.recommend(model.user_ids[:1], k=1).counts.tolist() == [1], "no list"
    command = ["recommend", str(folder / "model"), "--users", user, "-k", "1", "-o", str(folder / "list.csv")]
    subprocess.run([sys.executable, "-m", "hashgnn", *command], check=True)
    assert read_table(folder / "list.csv").num_rows == 1, "no file"


def main() -> None:
    """Run the checks, and print what was tried."""
    check_search()
    for saved in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            check_model(Path(saved).absolute(), Path(folder))
    assert hashgnn.__version__ == metadata.version("hashgnn"), "the version of another package"
    assert "torch" not in sys.modules, "torch was imported"
    print(f"hashgnn {hashgnn.__version__}, kernels {_native.simd()}, {Path(hashgnn.__file__).parent}")


if __name__ == "__main__":
    main()
