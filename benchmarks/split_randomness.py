"""Whether the test part of a data set is a random part of the interactions, by how items are shared out.

    HASHGNN_DATA=data python benchmarks/split_randomness.py gowalla ml-1m

Of an item with n interactions a random test part has a binomial share. The dispersion is the mean of squared deviations
from it over its variance, over items of 20 interactions and more. It is 1 for a random part. A part that comes later
has more, as the popularity of items moves. ``random`` is a part of the same size that is drawn from both together.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from hashgnn._types import Array
from hashgnn.benchmarking.quality.data_sets import load_data_set

_FEWEST = 20


def dispersion(counts: Array, held_out: Array) -> float:
    """Return how far held-out counts of items (n_items,) are from shares by chance of all counts (n_items,)."""
    share = held_out.sum() / counts.sum()
    known = counts >= _FEWEST
    n = counts[known]
    return float(np.mean((held_out[known] - share * n) ** 2 / (n * share * (1 - share))))


def main() -> None:
    """Print a line for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    for name in arguments.data:
        data = load_data_set(name)
        n_items = data.train.n_items
        fitted, held_out = (
            np.bincount(part.item_index, minlength=n_items) for part in (data.train, data.test)
        )
        items = np.repeat(np.arange(n_items), fitted + held_out)
        drawn = np.bincount(rng.permutation(items)[: held_out.sum()], minlength=n_items)
        counts = fitted + held_out
        row = {
            "data": name,
            "items": int((counts >= _FEWEST).sum()),
            "test": round(dispersion(counts, held_out), 2),
            "random": round(dispersion(counts, drawn), 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
