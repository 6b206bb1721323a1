"""Write a saved model of generated tables, as large as one likes, to measure a service with.

    python benchmarks/generated_model.py models/million --items 1000000 --users 100000 --bits 128

Items lie around a few hundred centres, so that codes are as uneven as learned ones; users are the sum of the
items they have seen, which are drawn with a long tail. Ids are whole numbers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.config import ModelConfig
from hashgnn.data import IdMap
from hashgnn.fold_in import HashProjection, build_fold_in
from hashgnn.state import ModelState, Side, save_state

CENTRES, SPREAD = 300, 0.7
FIRST_ITEM, FIRST_USER = 10_000_000, 1


def generated_state(
    n_items: int, n_users: int, *, n_bits: int = 128, dim: int = 64, n_seen: int = 40, rng: int = 0
) -> ModelState:
    """Return a consistent state of generated tables."""
    generator = np.random.default_rng(rng)
    centres = generator.standard_normal((CENTRES, dim), np.float32)
    table = generator.standard_normal((n_items, dim), np.float32)
    table *= np.float32(SPREAD)
    table += centres[generator.integers(0, CENTRES, n_items)]
    seen = _seen(generator, n_users, n_items, n_seen)
    weight = generator.standard_normal((dim, n_bits), np.float32) / np.float32(dim**0.5)
    projection = HashProjection({"shared_weight": weight, "shared_bias": np.zeros(n_bits, np.float32)})
    rule = build_fold_in(
        "history",
        {
            "item_table": table,
            "user_table": generator.standard_normal((n_users, dim), np.float32),
            "item_mean": table.mean(axis=0),
        },
        {"normalization": "degree", "degree_exponent": 0.5, "map_exponent": 0.5},
    )
    users = rule.users(seen)
    return ModelState(
        config=ModelConfig(
            n_bits=n_bits, item_bias=True, encoder="history", embedding_dim=dim, float_embedding="encoder"
        ),
        users=Side(
            ids=IdMap(np.arange(FIRST_USER, FIRST_USER + n_users)),
            codes=BinaryCodes.from_signs(projection.users(users)),
            embeddings=users,
        ),
        items=Side(
            ids=IdMap(np.arange(FIRST_ITEM, FIRST_ITEM + n_items)),
            codes=BinaryCodes.from_signs(projection.items(table)),
            embeddings=table,
            bias=ItemBias.from_values(generator.gamma(1.0, 3.0, n_items)),
        ),
        seen=seen,
        fold_in=rule,
        projection=projection,
        data_statistics={"n_interactions": int(seen.nnz), "generated": True},
    )


def _seen(generator: np.random.Generator, n_users: int, n_items: int, n_seen: int) -> sparse.csr_matrix:
    """Return what users have seen: items drawn by a long tail, ascending, each once."""
    drawn = (n_items * generator.random((n_users, n_seen)) ** 3).astype(np.int32)
    drawn.sort(axis=1)
    first = np.ones(drawn.shape, bool)
    first[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
    indptr = np.concatenate(([0], np.cumsum(first.sum(axis=1))))
    indices = drawn[first]
    ones = np.ones(len(indices), np.float32)
    return sparse.csr_matrix((ones, indices, indptr), shape=(n_users, n_items))


def main() -> None:
    """Write a model and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.perf_counter()
    state = generated_state(args.items, args.users, n_bits=args.bits, dim=args.dim, rng=args.seed)
    save_state(state, args.folder, overwrite=True)
    size = sum(file.stat().st_size for file in args.folder.iterdir())
    print(
        f"{args.folder}: {state.n_items:,} items, {size / 1e6:,.0f} MB, {time.perf_counter() - started:.1f} s"
    )


if __name__ == "__main__":
    main()
