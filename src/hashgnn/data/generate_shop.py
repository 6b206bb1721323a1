"""A made-up online shop: clicks, carts and purchases of users with hidden tastes, and a catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hashgnn._checks import check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.data.generate import generate_interactions
from hashgnn.errors import ParameterError

# The hidden taste of an item shows in its title, as the first word does in a real shop.
STYLES = (
    *("Alpine", "Botanical", "Classic", "Coastal", "Minimal", "Nordic"),
    *("Playful", "Retro", "Rustic", "Sporty", "Urban", "Vintage"),
)
_NOUNS = {
    "bags": ("Backpack", "Tote", "Weekender"),
    "books": ("Cookbook", "Novel", "Travel Guide"),
    "chairs": ("Armchair", "Bench", "Stool"),
    "jackets": ("Parka", "Raincoat", "Vest"),
    "lamps": ("Desk Lamp", "Floor Lamp", "Lantern"),
    "mugs": ("Mug", "Tea Cup", "Tumbler"),
    "shoes": ("Boots", "Sandals", "Trainers"),
    "textiles": ("Blanket", "Cushion", "Rug"),
    "toys": ("Board Game", "Kite", "Puzzle"),
    "watches": ("Chronograph", "Field Watch", "Wall Clock"),
}
CATEGORIES = tuple(_NOUNS)
_PRICES = (60, 18, 120, 95, 55, 14, 80, 40, 25, 150)  # a usual price of each category
_MATERIALS = (
    "Ash",
    "Canvas",
    "Copper",
    "Cork",
    "Cotton",
    "Felt",
    "Glass",
    "Leather",
    "Linen",
    "Oak",
    "Steel",
    "Wool",
)
_CARTS, _PURCHASES = 0.2, 0.08  # shares of all events
_NEW = 0.15  # of the items come during the year
_SOLD_OUT = 0.12
_SPREAD_OF_BUDGETS, _NEAR = 0.6, 0.3  # deviation of log budget; log distance at which a cart is e times rarer
_NOT_IN_STOCK = 0.02  # how likely a cart is then, next to otherwise
_START = np.datetime64("2025-01-01T00:00:00", "s").astype(np.int64)
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Shop:
    """A made-up shop.

    Attributes
    ----------
    events : pyarrow.Table
        ``user_id``, ``item_id``, ``event`` (``click``, ``cart`` or ``purchase``) and ``timestamp``, by time.
    items : pyarrow.Table
        ``item_id``, ``title``, ``category``, ``price``, ``stock`` (pieces), ``in_stock`` and ``added``, the day on
        which the item came into the catalogue.
    """

    events: pa.Table
    items: pa.Table


def generate_shop(
    n_users: int = 12_000, n_items: int = 3_000, n_events: int = 200_000, *, rng: RngLike = None
) -> Shop:
    """Make up the events and the catalogue of an online shop.

    Each item has one of twelve hidden tastes, and each user likes a few of them
    (:func:`~hashgnn.data.generate_interactions`). A taste prefers some categories, has its own level of prices and
    gives most of its items the first word of their titles. Every user clicks on two items or more. A fifth of the
    events are carts, which follow a click, and 8 % are purchases, which follow a cart. A user has a hidden budget too:
    what is in stock and priced near it is put into the cart more often.

    Parameters
    ----------
    n_users : int >= 1, default=12_000
    n_items : int >= 4, default=3_000
    n_events : int, default=200_000
        So many that the clicks are at least two a user, and at most half of all pairs.
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    Shop
        Two Arrow tables; ids are text, and times lie in the year 2025.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    See Also
    --------
    generate_interactions : The same tastes as plain interactions.

    Examples
    --------
    >>> shop = generate_shop(100, 80, 1000, rng=0)
    >>> shop.events.num_rows, shop.items.column_names[:4]
    (1000, ['item_id', 'title', 'category', 'price'])
    """
    n_users = check_int("n_users", n_users, minimum=1)
    n_items = check_int("n_items", n_items, minimum=4)
    n_events = check_int("n_events", n_events, minimum=1)
    n_carts, n_purchases = int(_CARTS * n_events), int(_PURCHASES * n_events)
    n_clicks = n_events - n_carts - n_purchases
    most = n_users * (n_items // 2)
    if not 2 * n_users <= n_clicks <= most:
        raise ParameterError(
            f"n_events must give from two clicks a user to half of all pairs, {2 * n_users} to {most}, "
            f"got {n_events} with {n_clicks} clicks"
        )
    generator = as_generator(rng)
    liked = generate_interactions(n_users, n_items, n_clicks, n_clusters=len(STYLES), rng=generator)
    taste = np.arange(n_items) % len(STYLES)  # as generate_interactions has them
    added = np.where(
        generator.random(n_items) < _NEW,
        _START + generator.integers(_YEAR * 3 // 4, size=n_items),
        _START - generator.integers(1, _YEAR, n_items),
    )
    # Positions say nothing about tastes: an item gets its id by chance.
    item_ids = np.array([f"p{number:04d}" for number in generator.permutation(n_items)])
    items = _items(taste, added, item_ids, generator)
    price, in_stock = items["price"].to_numpy(), items["in_stock"].to_numpy()
    budget = np.log(np.median(price)) + generator.normal(0, _SPREAD_OF_BUDGETS, n_users)
    # Where a pair was drawn twice, somebody clicks again.
    again = generator.integers(len(liked), size=n_clicks - len(liked))
    pair = np.concatenate([np.arange(len(liked)), again])
    user, item = liked.user_index[pair], liked.item_index[pair]
    near = -np.abs(np.log(price[item]) - budget[user]) / _NEAR + np.where(
        in_stock[item], 0, np.log(_NOT_IN_STOCK)
    )
    # Those with the largest keys are a weighted draw without replacement.
    carts = np.argsort(-(near + generator.gumbel(size=n_clicks)), kind="stable")[:n_carts]
    carts = generator.permutation(carts)
    events = _events(user, item, carts, n_purchases, added, generator)
    user_ids = np.array([f"u{number:05d}" for number in range(n_users)])
    named = {"user_id": user_ids[events[0]], "item_id": item_ids[events[1]], "event": events[2]}
    times = pa.array(events[3], pa.timestamp("s", "UTC"))
    return Shop(pa.table({**named, "timestamp": times}), items.take(np.argsort(item_ids)))


def _events(
    user: Array, item: Array, carts: Array, n_purchases: int, added: Array, generator: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Return user, item, kind and time of clicks, and of the carts and purchases that follow some, by time."""
    n_clicks, n_carts = len(user), len(carts)
    first = np.maximum(added[item], _START)
    clicked = first + (generator.random(n_clicks) * (_START + _YEAR - 7200 - first)).astype(np.int64)
    carted = clicked[carts] + generator.integers(20, 1800, n_carts)
    bought = carted[:n_purchases] + generator.integers(60, 3600, n_purchases)
    row = np.concatenate([np.arange(n_clicks), carts, carts[:n_purchases]])
    time = np.concatenate([clicked, carted, bought])
    kind = np.repeat(["click", "cart", "purchase"], [n_clicks, n_carts, n_purchases])
    order = np.lexsort((row, time))
    return user[row[order]], item[row[order]], kind[order], time[order]


def _items(taste: Array, added: Array, item_ids: Array, generator: np.random.Generator) -> pa.Table:
    """Return the catalogue, by position."""
    n_items = len(taste)
    shares = generator.dirichlet(np.full(len(CATEGORIES), 0.6), len(STYLES))
    level = np.exp(generator.normal(0, 0.35, len(STYLES)))
    category = np.array([generator.choice(len(CATEGORIES), p=shares[one]) for one in taste])
    usual = np.array(_PRICES)[category] * level[taste]
    price = np.maximum(1, np.round(usual * np.exp(generator.normal(0, 0.4, n_items)))) - 0.01
    stock = np.where(generator.random(n_items) < _SOLD_OUT, 0, 1 + generator.poisson(20, n_items))
    shown = np.where(generator.random(n_items) < 0.8, taste, generator.integers(len(STYLES), size=n_items))
    titles = [
        f"{STYLES[style]} {_MATERIALS[material]} {_NOUNS[CATEGORIES[kind]][noun]}"
        for style, material, kind, noun in zip(
            shown,
            generator.integers(len(_MATERIALS), size=n_items),
            category,
            generator.integers(3, size=n_items),
            strict=True,
        )
    ]
    return pa.table(
        {
            "item_id": item_ids,
            "title": titles,
            "category": np.array(CATEGORIES)[category],
            "price": price,
            "stock": stock,
            "in_stock": stock > 0,
            "added": pa.array(added, pa.timestamp("s", "UTC")).cast(pa.date32()),
        }
    )
