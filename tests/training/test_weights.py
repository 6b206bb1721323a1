"""What the weights of interactions do in training: more weight moves the lists more, equal weights nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from tests.training.quick import quick, run_options

from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.nn.losses.targets import Targets
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.training import train, update
from hashgnn.training.objectives import build_objective

RUN = {"options": run_options(0)}
RECIPES = ("default", "paper", "authors")
N_OF_A_KIND = 20
MIXED = list(range(1000, 1010))  # users who like both kinds


def shop(heavy: int, weights: dict[str, float]) -> Interactions:
    """Users of two kinds, and some who view items of both; these buy what is of the kind ``heavy``."""
    rng = np.random.default_rng(0)
    rows = [
        (user, item, "view")
        for user in range(80)
        for item in range(2 * N_OF_A_KIND)
        if item // N_OF_A_KIND == user % 2 and rng.random() < 0.5
    ]
    for user in MIXED:
        for kind in (0, 1):
            items = kind * N_OF_A_KIND + rng.permutation(N_OF_A_KIND)[:5]
            rows += [(user, int(item), "purchase" if kind == heavy else "view") for item in items]
    users, items, events = zip(*rows, strict=True)
    return Interactions.from_arrays(list(users), list(items), event=list(events), event_weights=weights)


def share_of_kind_0(interactions: Interactions, recipe: str, **settings: object) -> float:
    """Return the share of kind 0 in the lists of those who like both."""
    state = train(interactions, quick(recipe, **settings), **RUN)
    lists = HashGNN.from_state(state).recommend(MIXED, 10, search="float").lists()
    return float(np.mean([item < N_OF_A_KIND for row in lists for item in row]))


def test_purchases_of_weight_5_move_the_lists_more_than_views() -> None:
    alike = {"view": 1, "purchase": 1}
    heavier = {"view": 1, "purchase": 5}
    of_0, of_1 = (share_of_kind_0(shop(kind, heavier), "default") for kind in (0, 1))
    as_views = share_of_kind_0(shop(0, alike), "default")
    assert of_1 + 0.2 < as_views < of_0 - 0.2
    assert share_of_kind_0(shop(1, alike), "default") == as_views  # the words alone do nothing


def test_what_is_old_moves_the_lists_less() -> None:
    known = shop(0, {"view": 1, "purchase": 1})
    users, items = known.user_ids.ids[known.user_index], known.item_ids.ids[known.item_index]
    of_one_kind = (items < N_OF_A_KIND) & (users >= 1000)

    def share(old: np.ndarray) -> float:
        times = np.where(old, 1_600_000_000, 1_700_000_000)
        dated = Interactions.from_arrays(users, items, timestamp=times, half_life=50_000_000)
        return share_of_kind_0(dated, "default")

    assert share(of_one_kind) + 0.2 < share(~of_one_kind & (users >= 1000))


def arrays_of(state: ModelState) -> list[np.ndarray]:
    return [
        state.users.codes.packed,
        state.items.codes.packed,
        state.users.embeddings,
        state.items.embeddings,
    ]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("weight", [1.0, 5.0, 0.1])
def test_equal_weights_train_the_same_codes_as_none(recipe: str, weight: float) -> None:
    weighed = shop(0, {"view": 1, "purchase": 1})
    pairs = (weighed.user_ids, weighed.item_ids, weighed.user_index, weighed.item_index)
    plain = train(Interactions(*pairs), quick(recipe), **RUN)
    equal = train(Interactions(*pairs, np.full(len(weighed), weight, np.float32)), quick(recipe), **RUN)
    for one, other in zip(arrays_of(plain), arrays_of(equal), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_weights_into_account(recipe: str) -> None:
    one, other = (train(shop(0, {"view": 1, "purchase": weight}), quick(recipe), **RUN) for weight in (1, 5))
    assert not np.array_equal(one.users.embeddings, other.users.embeddings)
    assert one.seen.indices.tolist() == other.seen.indices.tolist()


def test_an_epoch_of_edges_has_each_as_often_as_it_weighs() -> None:
    weights = sparse.csr_matrix(np.array([[1, 2, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]], np.float32))
    graph = BipartiteGraph(weights)
    config = quick("paper", objective={"negatives": "uniform"})
    objective = build_objective(
        graph, GraphView.from_scipy(weights), config, np.random.default_rng(0), progress=False
    )
    drawn = np.zeros((3, 4))
    rng = np.random.default_rng(1)
    for _ in range(400):
        for batch in objective.batches(rng):
            users = batch.distinct_users[batch.users].numpy()
            np.add.at(drawn, (users, batch.distinct_items[batch.items].numpy()), 1)
    np.testing.assert_allclose(drawn / 400, weights.toarray(), atol=0.08)
    assert (drawn[0, :2] == [400, 800]).all()  # whole weights are no matter of chance


def test_targets_are_in_proportion_to_weights_within_a_row() -> None:
    found = Targets.from_lists(
        torch.tensor([4, 2, 7]), torch.tensor([2, 0, 1]), torch.tensor([1.0, 3.0, 1e-30])
    )
    assert (found.rows.tolist(), found.weights.tolist()) == ([0, 0, 2], [0.25, 0.75, 1.0])


def test_update_goes_on_with_what_events_and_ages_weigh() -> None:
    now, day = 1_700_000_000, 86_400
    known = shop(0, {"view": 1, "purchase": 5})
    users, items = known.user_ids.ids[known.user_index], known.item_ids.ids[known.item_index]
    old = Interactions.from_arrays(
        users, items, event=["view"] * len(users), event_weights={"view": 2}, timestamp=[now] * len(users),
        half_life="1d",
    )  # fmt: skip
    state = train(old, quick("default"), **RUN)
    assert state.weighting == old.weighting
    new = Interactions.from_arrays(
        [users[0]], [items[0]], event=["view"], timestamp=[now + day], weighting=state.weighting
    )
    updated = update(state, new, **RUN)
    assert updated.weighting is not None
    assert updated.weighting.reference_time == (now + day) * 1e6
    assert sorted(set(updated.seen.data.tolist())) == [1.0, 3.0]  # a day older: half; and once more, new
    with pytest.raises(ParameterError, match="half_life must be 86400 seconds, as in the known interactions"):
        update(state, Interactions.from_arrays([1], [2]), **RUN)


def test_a_users_old_interactions_still_give_an_embedding() -> None:
    users, items = np.repeat(np.arange(40), 5), np.tile(np.arange(10), 20)
    times = np.where(users < 3, 1_000_000_000, 1_700_000_000)
    state = train(
        Interactions.from_arrays(users, items, timestamp=times, half_life="1h"), quick("default"), **RUN
    )
    lengths = np.linalg.norm(state.users.embeddings, axis=1)
    np.testing.assert_allclose(lengths, lengths[-1], rtol=1e-3)
