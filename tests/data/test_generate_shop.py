from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hashgnn.data import generate_shop
from hashgnn.data.generate_shop import CATEGORIES, STYLES
from hashgnn.errors import ParameterError


@pytest.fixture(scope="module")
def shop() -> tuple[pd.DataFrame, pd.DataFrame]:
    made = generate_shop(1500, 600, 30_000, rng=0)
    return made.events.to_pandas(), made.items.to_pandas()


def test_there_are_as_many_events_users_and_items_as_requested(shop) -> None:
    events, items = shop
    assert len(events) == 30_000
    assert events["user_id"].nunique() == 1500
    assert len(items) == items["item_id"].nunique() == 600
    assert set(events["item_id"]) <= set(items["item_id"])
    counts = events["event"].value_counts()
    assert counts.to_dict() == {"click": 21_600, "cart": 6_000, "purchase": 2_400}


def test_a_purchase_follows_a_cart_and_a_cart_follows_a_click(shop) -> None:
    events, _ = shop
    assert events["timestamp"].is_monotonic_increasing
    assert set(events["timestamp"].dt.year) == {2025}
    first = events.groupby(["user_id", "item_id", "event"])["timestamp"].min().unstack()
    for earlier, later in (("click", "cart"), ("cart", "purchase")):
        both = first.dropna(subset=[later])
        assert len(both) > 1000
        assert (both[earlier] < both[later]).all()


def test_nobody_clicks_on_an_item_before_it_is_there(shop) -> None:
    events, items = shop
    added = pd.to_datetime(items.set_index("item_id")["added"], utc=True)
    assert (events["timestamp"] >= events["item_id"].map(added)).all()
    assert 0.08 < (added.dt.year == 2025).mean() < 0.22


def test_users_have_tastes_that_titles_show(shop) -> None:
    events, items = shop
    style = items.set_index("item_id")["title"].str.split().str[0]
    assert set(style) == set(STYLES)
    shares = pd.crosstab(events["user_id"], events["item_id"].map(style), normalize="index").to_numpy()
    often = np.sort(shares, axis=1)[:, ::-1]
    assert often[:, 0].mean() > 0.4  # of twelve styles; without tastes the largest would be about a sixth


def test_the_catalogue_can_be_filtered(shop) -> None:
    _, items = shop
    assert set(items["category"]) == set(CATEGORIES)
    assert (items["in_stock"] == (items["stock"] > 0)).all()
    assert 0.05 < (~items["in_stock"]).mean() < 0.2
    assert items["price"].between(0.5, 2000).all()
    assert 0.1 < (items["in_stock"] & (items["price"] < 30)).mean() < 0.6


def test_what_is_put_into_the_cart_is_in_stock_and_near_a_budget(shop) -> None:
    events, items = shop
    known = events.merge(items, on="item_id")
    in_stock = known.groupby("event")["in_stock"].mean()
    assert in_stock["cart"] > 0.99 > in_stock["click"]
    known["price"] = np.log(known["price"])
    spread = known.groupby(["event", "user_id"])["price"].var().groupby("event").mean()
    assert spread["cart"] < 0.6 * spread["click"]


def test_one_seed_gives_one_shop_and_another_seed_another() -> None:
    one, same, other = (generate_shop(100, 80, 1000, rng=seed) for seed in (1, 1, 2))
    assert one.events.equals(same.events)
    assert one.items.equals(same.items)
    assert not one.events.equals(other.events)


def test_ids_say_nothing_about_tastes(shop) -> None:
    _, items = shop
    style = items.sort_values("item_id")["title"].str.split().str[0]
    assert (style.to_numpy()[12:] == style.to_numpy()[:-12]).mean() < 0.3


@pytest.mark.parametrize("n_events", [276, 4167])
def test_too_few_and_too_many_events_are_one_sentence(n_events: int) -> None:
    with pytest.raises(
        ParameterError, match="n_events must give from two clicks a user to half of all pairs, 200 to 3000, "
    ):
        generate_shop(100, 60, n_events)


@pytest.mark.parametrize("n_events", [277, 4166])
def test_the_smallest_and_the_largest_number_of_events(n_events: int) -> None:
    assert generate_shop(100, 60, n_events, rng=0).events.num_rows == n_events
