"""Try an installed hashgnn without torch: kernels, a saved model, lists and the command.

python deploy/check_wheel.py
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
from hashgnn.testing.states import random_state


def check_search() -> None:
    """Compare the compiled search with distances that NumPy counts."""
    bits = np.random.default_rng(0).random((1000, 128)) < 0.5
    codes = BinaryCodes.from_signs(np.where(bits, 1, -1))
    found = HammingIndex(codes).search(codes[np.arange(10)], k=5)
    distances = (bits[:10, None] != bits[None]).sum(axis=2)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :5]
    assert np.array_equal(found.positions, expected), "the kernels and NumPy differ"


def check_model(folder: Path) -> None:
    """Save a model, load it, and write lists by the installed command."""
    model = HashGNN.from_state(random_state())
    model.save(folder / "model")
    assert HashGNN.load(folder / "model").recommend(["u3"], k=5).counts.tolist() == [5]
    command = ["recommend", str(folder / "model"), "--users", "u3", "-k", "5", "-o", str(folder / "list.csv")]
    subprocess.run([sys.executable, "-m", "hashgnn", *command], check=True)
    assert read_table(folder / "list.csv").num_rows == 5


def main() -> None:
    """Run the checks, and print what was tried."""
    check_search()
    with tempfile.TemporaryDirectory() as folder:
        check_model(Path(folder))
    assert hashgnn.__version__ == metadata.version("hashgnn")
    assert "torch" not in sys.modules, "torch was imported"
    print(f"hashgnn {hashgnn.__version__}, kernels {_native.simd()}, {Path(hashgnn.__file__).parent}")


if __name__ == "__main__":
    main()
