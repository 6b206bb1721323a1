"""The folder of somebody who reads the pages: events, held-out events, titles and a saved model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.data import Interactions, generate_interactions, split
from hashgnn.recommender import HashGNN


def make_folder(folder: Path) -> Path:
    """Write the files that the commands and the code of the pages name; a model is trained for them."""
    made = generate_interactions(80, 60, 1500, rng=0)
    users = [f"u{user}" for user in made.user_ids.ids[made.user_index]]
    items = [f"i{item}" for item in made.item_ids.ids[made.item_index]]
    everything = Interactions.from_arrays(users, items, timestamp=made.timestamp)
    train, held_out = split.random(everything, 0.2, rng=0)
    for name, part in (("events", everything), ("train", train), ("held_out", held_out)):
        _write_events(folder / f"{name}.parquet", part)
    shutil.copy(folder / "held_out.parquet", folder / "test.parquet")
    as_csv = [f"{user},{item}" for user, item in zip(users, items, strict=True)]
    (folder / "events.csv").write_text("\n".join(["customer,product", *as_csv]), encoding="utf-8")
    titles = [f"Film {item}" for item in everything.item_ids.ids]
    years = np.arange(len(titles)) % 60 + 1960
    table = {
        "item_id": everything.item_ids.ids,
        "title": titles,
        "year": years,
        "genre": [t[-1] for t in titles],
    }
    pq.write_table(pa.table(table), folder / "titles.parquet")
    kinds = np.array(["view", "view", "cart", "purchase"], object)[np.arange(len(users)) % 4]
    log = {"user_id": users, "item_id": items, "event": kinds, "timestamp": everything.timestamp}
    pq.write_table(pa.table(log), folder / "log.parquet")
    (folder / "histories").mkdir()
    lists = pa.table({"user_id": [1, 2], "history": [items[:3], [*items[3:5], "unknown"]]})
    pq.write_table(lists, folder / "histories/histories.parquet")
    settings = {"optimizer": {"epochs": 1}, "teacher": {"rank": 8, "k": 10}}
    model = HashGNN(n_bits=32, embedding_dim=16, **settings)
    model.fit(train, device="cpu", n_threads=1, rng=0, progress=False)
    for saved in ("artifacts/v1", "models/v1"):
        model.save(folder / saved)
    (folder / "models/current").symlink_to("v1")
    return folder


def _write_events(path: Path, interactions: Interactions) -> None:
    columns = {
        "user_id": interactions.user_ids.ids[interactions.user_index],
        "item_id": interactions.item_ids.ids[interactions.item_index],
        "timestamp": interactions.timestamp,
    }
    pq.write_table(pa.table(columns), path)
