"""The data of the demo: MovieLens-100K, or generated data where there is no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashgnn.cli._demo.generated import generate
from hashgnn.cli._output import Output
from hashgnn.data import Interactions
from hashgnn.data.datasets import fetch
from hashgnn.errors import FetchError, StorageError

NAME = "movielens-100k"
GENERATED_PREFIX = "[generated data] "


@dataclass(frozen=True)
class Source:
    """Interactions with weights and timestamps, and the titles of the items.

    Attributes
    ----------
    name : str
    where_from : str
    interactions : Interactions
    titles : mapping of int to str
    is_generated : bool
    """

    name: str
    where_from: str
    interactions: Interactions
    titles: Mapping[int, str]
    is_generated: bool


def load_source(out: Output, *, offline: bool) -> Source:
    """Fetch MovieLens-100K; if that fails, say why and generate data. ``offline`` generates at once."""
    if not offline:
        try:
            loaded = fetch(NAME, progress=out.progress)
        except (FetchError, StorageError) as error:
            # Every line says that the data are generated, this one included.
            out.with_prefix(GENERATED_PREFIX).note(f"{error}; using generated data instead")
        else:
            titles = loaded.item_titles
            if loaded.items is not None:
                years = loaded.items["year"].to_pylist()
                titles = {
                    item: f"{title} ({year})" if year else title
                    for (item, title), year in zip(titles.items(), years, strict=True)
                }
            return Source("MovieLens-100K", loaded.source, loaded.interactions, titles, is_generated=False)
    table, titles = generate(rng=0)
    where = "generated: people and films that do not exist"
    return Source("generated data", where, Interactions.from_frame(table), titles, is_generated=True)


def as_implicit(interactions: Any) -> Any:
    """Return interactions of weight one: the model learns from the fact of a rating, not its value."""
    from dataclasses import replace

    return replace(interactions, weight=None)
