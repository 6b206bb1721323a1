"""How many items of a ridge's lists stay the same when only the strongest weights of each item are kept.

    HASHGNN_DATA=data python benchmarks/ridge_lists.py gowalla amazon-cds

Of each user's list of 50 unseen items, by the weights as they are and by so many of each item. ``generated:1e6`` takes
a million generated interactions.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from hashgnn.benchmarking.quality.data_sets import load_data_set
from hashgnn.data import Interactions, generate_interactions
from hashgnn.graph import BipartiteGraph, ItemRidge


def interactions_of(name: str) -> Interactions:
    """Return the training part of a data set, or generated interactions."""
    kind, _, size = name.partition(":")
    if kind != "generated":
        return load_data_set(name).train
    count = int(float(size))
    return generate_interactions(count // 14, count // 70, count, rng=0)


def main() -> None:
    """Measure each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--kept", default="50,200,500,1000", help="weights of an item")
    parser.add_argument("--k", type=int, default=50, help="length of a list")
    arguments = parser.parse_args()
    for name in arguments.data:
        graph = BipartiteGraph.from_interactions(interactions_of(name))
        fitted = ItemRidge.fit(graph, rng=0)
        started = time.process_time()
        whole = fitted.top(arguments.k).positions
        row = {"data": name, "items": graph.n_items, "seconds": round(time.process_time() - started, 1)}
        print(json.dumps(row), flush=True)
        for kept in (int(text) for text in arguments.kept.split(",")):
            started = time.process_time()
            found = fitted.top(arguments.k, kept=kept).positions
            seconds = time.process_time() - started
            shares = [
                np.isin(one[one >= 0], other).mean()
                for one, other in zip(whole, found, strict=True)
                if one[0] >= 0
            ]
            same = round(float(np.mean(shares)), 4)
            print(
                json.dumps({"data": name, "kept": kept, "seconds": round(seconds, 1), "same": same}),
                flush=True,
            )


if __name__ == "__main__":
    main()
