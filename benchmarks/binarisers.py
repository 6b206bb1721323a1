"""Post-hoc binarisers over one float model on MovieLens-1M, by the standard protocol.

    HASHGNN_DATA=… python benchmarks/binarisers.py --seeds 3

The float model is the float side of the ``default`` recipe trained alone (``code_weight=0``), 64 wide. Every
binariser is fitted on users and items together, as they are and in their cosine form, and searched by Hamming
distance; product quantisation has as many bytes and is searched by inner products with float queries.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hashgnn as hg
from hashgnn.codes.binarisers import ProductQuantizer, cosine_form, fit_binariser
from hashgnn.data import read_interactions

METRICS = ("recall@50", "recall@100", "ndcg@50", "ndcg@100")
BINARISERS: dict[str, dict[str, Any]] = {
    "lsh": {},
    "sign": {},
    "pca_sign": {},
    "itq": {},
    "spectral": {},
    "anchor_graph": {},
    "anchor_graph, two layers": {"n_layers": 2},
    "itq, from the origin": {"center": False},
    "pca_sign, from the origin": {"center": False},
}


@dataclass(frozen=True)
class Scored:
    """Scores of all pairs, as evaluation wants to see them."""

    scores: np.ndarray[Any, Any]

    search_ways = ("scores",)

    def score_block(self, user_index: Any, search: str, k: int, *, oversampling: int) -> Any:
        return self.scores[user_index].copy()

    def search_block(self, user_index: Any, search: str, k: int, *, oversampling: int) -> Any:
        raise AssertionError("nothing is timed")

    def bytes_per_item(self, search: str) -> float:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bits", type=int, nargs="*", default=[32, 64])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    folder = Path(os.environ["HASHGNN_DATA"]) / "ml-1m"
    train = read_interactions(folder / "split_bgch_train.parquet")
    test = read_interactions(
        folder / "split_bgch_test.parquet",
        user_ids=train.user_ids,
        item_ids=train.item_ids,
        on_unknown="drop",
    )
    started = time.perf_counter()
    model = hg.HashGNN(recipe="default", code_weight=0.0, item_bias=False, embedding_dim=64, n_bits=64)
    state = model.fit(train, rng=0, n_threads=options.threads, progress=False).state_
    users, items = state.user_embeddings, state.item_embeddings
    print(f"trained in {time.perf_counter() - started:.0f} s")

    def measure(scores: np.ndarray[Any, Any]) -> list[float]:
        report = hg.evaluate(
            Scored(scores), train, test, metrics=METRICS, n_bootstrap=0, n_timed=0, progress=False
        )
        return [report.metrics["scores"][metric] for metric in METRICS]

    print("| binariser | rows | bits | " + " | ".join(METRICS) + " |")
    print("|---|---|---|" + "---|" * len(METRICS))
    _print("none: the floats", "", 32 * 64, [measure(users @ items.T)])
    for n_bits in options.bits:
        found: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
        for seed in range(options.seeds):
            for form, (u, v) in {"as they are": (users, items), "cosine": cosine_form(users, items)}.items():
                both = np.concatenate([u, v])
                for name, settings in BINARISERS.items():
                    if name == "sign" and n_bits != both.shape[1]:
                        continue
                    kind = name.split(",")[0]
                    binariser = fit_binariser(kind, both, n_bits=n_bits, rng=seed, **settings)
                    distances = binariser.encode(u).distances(binariser.encode(v))
                    found[name, form].append(measure(-distances.astype(np.float32)))
            quantizer = ProductQuantizer.fit(items, n_bits=n_bits, rng=seed)
            found["product quantisation", "as they are"].append(
                measure(quantizer.scores(users, quantizer.encode(items)))
            )
        for (name, form), values in found.items():
            _print(name, form, n_bits, values)


def _print(name: str, form: str, n_bits: int, values: list[list[float]]) -> None:
    cells = []
    for column in np.array(values).T:
        spread = f" ± {column.std(ddof=1):.4f}" if len(column) > 1 else ""
        cells.append(f"{column.mean():.4f}{spread}")
    print(f"| {name} | {form} | {n_bits} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
