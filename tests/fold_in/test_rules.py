"""Each rule against the torch encoder where it is exact, and against its own formula elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from hashgnn.fold_in import build_fold_in
from hashgnn.fold_in.graphsage import _largest
from hashgnn.nn import Encoder, GraphView, build_encoder
from hashgnn.testing.encoders import DIM, N_ITEMS, N_USERS, EncoderCase

HISTORY_FORMS = {
    "default": {},
    "average": {"degree_exponent": 1.0},
    "unit": {"normalization": "unit"},
    "two tables and a linear layer": {"input_table": True, "linear": True},
    "unit with two tables": {"normalization": "unit", "input_table": True},
}


def rule_of(encoder: Encoder, view: GraphView):
    return build_fold_in(*encoder.export_fold_in(view))


def sides(case: EncoderCase) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoder's embeddings of users and of items."""
    rows = case.encoder().encode_all(case.view()).numpy()
    return rows[:N_USERS], rows[N_USERS:]


@pytest.mark.parametrize("options", HISTORY_FORMS.values(), ids=HISTORY_FORMS)
@pytest.mark.parametrize("features", [True, False])
def test_history_of_a_trained_user_gives_its_embedding(options, features) -> None:
    case = EncoderCase("history", options, features=features)
    folded = rule_of(case.encoder(), case.view()).users(case.edges, case.feature_matrices[0])
    np.testing.assert_allclose(folded, sides(case)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", HISTORY_FORMS.values(), ids=HISTORY_FORMS)
def test_history_of_a_user_outside_the_graph_gives_what_training_would(options) -> None:
    """The encoder encodes a graph with the new users too; the rule has never seen them."""
    case = EncoderCase("history", options, features=False)
    new = sp.csr_matrix(np.random.default_rng(9).random((3, N_ITEMS)) * (np.arange(N_ITEMS) % 3 == 0))
    encoder = build_encoder(
        "history", n_users=N_USERS + 3, n_items=N_ITEMS, dim=DIM, rng=torch.Generator(), **options
    )
    encoder.load_state_dict(case.encoder().state_dict())
    larger = GraphView.from_scipy(sp.vstack([case.edges, new]), dtype=torch.float64)
    expected = encoder.double().encode_all(larger).numpy()[N_USERS : N_USERS + 3]
    folded = rule_of(case.encoder(), case.view()).users(new)
    np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_lightgcn_rule_is_the_encoder_with_a_fitted_id_embedding(n_layers) -> None:
    case = EncoderCase("lightgcn", {"n_layers": n_layers}, features=False)
    encoder, rule = case.encoder(), rule_of(case.encoder(), case.view())
    edges = {"user": case.edges.toarray(), "item": case.edges.toarray().T}
    for side, fold_in, whole in zip(edges, (rule.users, rule.items), sides(case), strict=True):
        own = getattr(encoder, f"{side}_input").table.detach().numpy()
        n_terms = n_layers + 1
        known = edges[side].sum(axis=1) > 0
        sums = (n_terms * whole - own)[known].astype(np.float64)  # d^-1/2 Σ_j w_j y_j
        gram = sums.T @ sums
        ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
        fitted = sums @ np.linalg.solve(gram + ridge, sums.T @ own[known])
        folded = fold_in(sp.csr_matrix(edges[side]))
        np.testing.assert_allclose(folded[known], (sums + fitted) / n_terms, rtol=1e-3, atol=1e-5)
        assert not folded[~known].any()


def test_lightgcn_rule_meets_ids_that_are_linear_in_their_neighbours() -> None:
    """A trained user's history then folds in to the user's own embedding, length and all."""
    case = EncoderCase("lightgcn", {"n_layers": 1}, features=False)
    encoder, view = case.encoder(), case.view()
    # With one layer a user's sum is that of the item ids, which are set first.
    sums = 2 * encoder.encode_all(view).numpy()[:N_USERS] - encoder.user_input.table.detach().numpy()
    with torch.no_grad():
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0]
        encoder.user_input.table.copy_(torch.from_numpy(0.7 * sums @ turn))
    expected = encoder.encode_all(view).numpy()[:N_USERS]
    folded = rule_of(encoder, view).users(case.edges)
    assert np.linalg.norm(folded - expected) / np.linalg.norm(expected) < 0.02


def test_lightgcn_features_of_a_new_node_are_added_to_its_first_layer() -> None:
    case = EncoderCase("lightgcn", {"n_layers": 3})
    rule, features = rule_of(case.encoder(), case.view()), case.feature_matrices[1]
    projected = features @ case.encoder().item_input.features.weight.detach().numpy()
    plain = rule.items(case.edges.T)
    np.testing.assert_allclose(
        rule.items(case.edges.T, features), plain + projected / 4, rtol=1e-4, atol=1e-5
    )


LAYERED = {
    "gat": ("gat", {"heads": 2}),
    "gcn": ("gcn", {}),
    "gcn of three layers": ("gcn", {"n_layers": 3}),
    "graphsage of the paper": ("graphsage", {"n_layers": 2}),
    "graphsage with deeper items": ("graphsage", {"n_layers": 1, "item_layers": 3}),
    "graphsage of the authors": (
        "graphsage",
        {"aggregator": "concat", "input_dim": 7, "n_layers": 2, "item_layers": 1},
    ),
    "graphsage, gcn": ("graphsage", {"aggregator": "gcn"}),
    "graphsage with pooling": ("graphsage", {"aggregator": "max", "n_layers": 2, "item_layers": 1}),
    "ngcf": ("ngcf", {"n_layers": 3}),
}
BOTH_SIDES = [(name, options, side) for name, options in LAYERED.values() for side in ("user", "item")]


# In pinsage, a new item's walks may come back to it, which the encoder leaves out: see below.
@pytest.mark.parametrize(
    ("name", "options", "side"),
    [*BOTH_SIDES, ("pinsage", {}, "user"), ("pinsage", {"n_neighbours": 2}, "user")],
)
def test_layered_rules_are_the_encoder_when_ids_of_the_side_are_equal(name, options, side) -> None:
    """A new node enters with the mean id embedding; where all are equal, that is its own."""
    case = EncoderCase(name, options)
    encoder, view = case.encoder(), case.view()
    with torch.no_grad():
        table = getattr(encoder, f"{side}_input").table
        table.copy_(table.mean(dim=0).expand_as(table))
    rule = rule_of(encoder, view)
    expected = encoder.encode_all(view).numpy()
    user_features, item_features = case.feature_matrices
    if side == "user":
        folded, expected = rule.users(case.edges, user_features), expected[:N_USERS]
    else:
        folded, expected = rule.items(case.edges.T, item_features), expected[N_USERS:]
    np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-5)


def test_mf_rule_finds_a_trained_user_of_low_rank_data() -> None:
    """Two tastes: folding in a user's history points where the factors of the data put the user."""
    rng = np.random.default_rng(0)
    taste_of_user, taste_of_item = np.arange(60) % 2, np.arange(40) % 2
    edges = (rng.random((60, 40)) < np.where(taste_of_user[:, None] == taste_of_item, 0.6, 0.05)) * 1.0
    u, s, vt = np.linalg.svd(edges)
    tables = u[:, :2] * np.sqrt(s[:2]), vt[:2].T * np.sqrt(s[:2])
    encoder = build_encoder(
        "mf",
        n_users=60,
        n_items=40,
        dim=2,
        rng=torch.Generator(),
        initial=(tables[0].astype(np.float32), tables[1].astype(np.float32)),
    )
    view = GraphView.from_scipy(sp.csr_matrix(edges))
    rule = rule_of(encoder, view)
    for folded, table in ((rule.users(sp.csr_matrix(edges)), tables[0]), (rule.items(edges.T), tables[1])):
        cosine = (folded * table).sum(axis=1)
        cosine /= np.linalg.norm(folded, axis=1) * np.linalg.norm(table, axis=1)
        assert cosine.min() > 0.99


def edges_with_an_empty_row_and_column(rng: np.random.Generator):
    dense = (rng.random((40, 60)) < 0.2) * 1.0
    dense[4], dense[:, 7] = 0, 0
    return sp.csr_matrix(dense)


@pytest.mark.parametrize(("name", "side"), [("history", "item"), ("mf", "item"), ("mf", "user")])
def test_ids_that_are_linear_in_their_neighbours_are_met(name, side) -> None:
    """Where a side's ids are ``d^-1/2 Σ_j y_j B``, the fitted map finds B, and with it the embeddings."""
    rng = np.random.default_rng(1)
    edges = edges_with_an_empty_row_and_column(rng)
    view = GraphView.from_scipy(edges)
    options = {"input_table": True} if name == "history" else {}
    # With a source table, the history encoder's users do not depend on the item ids that are set below.
    encoder = build_encoder(
        name, n_users=40, n_items=60, dim=4, rng=torch.Generator().manual_seed(0), **options
    )
    embeddings = encoder.encode_all(view).double().numpy()
    neighbours, matrix = (embeddings[:40], edges.T) if side == "item" else (embeddings[40:], edges)
    degrees = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1)
    target = (matrix @ neighbours) / np.sqrt(degrees)[:, None] @ rng.normal(size=(4, 4))
    table = getattr(encoder, f"{side}_input").table
    with torch.no_grad():
        table.copy_(torch.from_numpy(target))
    rule = rule_of(encoder, view)
    folded = rule.items(matrix) if side == "item" else rule.users(matrix)
    empty = 7 if side == "item" else 4
    known = np.arange(len(target)) != empty
    error = np.linalg.norm(folded[known] - target[known]) / np.linalg.norm(target[known])
    assert error < 0.02
    np.testing.assert_allclose(folded[empty], table.detach().mean(dim=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["history", "mf", "lightgcn"])
def test_item_without_audience_is_placed_by_its_features(name) -> None:
    case = EncoderCase(name)
    encoder, features = case.encoder(), case.feature_matrices[1]
    folded = rule_of(encoder, case.view()).items(sp.csr_matrix((N_ITEMS, N_USERS)), features)
    projected = features @ encoder.item_input.features.weight.detach().numpy()
    if name == "lightgcn":
        expected = projected / (encoder.n_layers + 1)
    else:
        expected = encoder.item_input.table.detach().numpy().mean(axis=0) + projected
    np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-5)


def test_a_new_item_of_pinsage_takes_in_what_its_users_hold() -> None:
    """The rule's only difference from the encoder is which items the neighbourhood has."""
    case = EncoderCase("pinsage", {"n_layers": 1}, features=False)
    p = {name: x.detach().numpy() for name, x in case.encoder().named_parameters()}
    edges = case.edges.toarray()
    shares = edges / np.maximum(edges.sum(axis=1, keepdims=True), 1e-300)
    audience = np.random.default_rng(3).random((4, N_USERS)) * (np.arange(N_USERS) % 2)
    used = audience * (edges.sum(axis=1) > 0)
    pooled = np.maximum(p["item_input.table"] @ p["pool_weights.0"] + p["pool_biases.0"], 0)
    gathered = (used / used.sum(axis=1, keepdims=True)) @ shares @ pooled
    own = np.tile(p["item_input.table"].mean(axis=0), (4, 1))
    mixed = np.maximum(np.concatenate([own, gathered], axis=1) @ p["weights.0"] + p["biases.0"], 0)
    z = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    expected = np.maximum(z @ p["hidden_weight"] + p["hidden_bias"], 0) @ p["output_weight"]
    folded = rule_of(case.encoder(), case.view()).items(sp.csr_matrix(audience))
    np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-5)


def test_largest_of_neighbours_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((50, 30)) < rng.random((50, 1)) * 0.6
    dense[[0, 7, 49]] = False
    edges, table = sp.csr_matrix(dense.astype(np.float32)), rng.normal(size=(30, 4)).astype(np.float32)
    expected = np.array([table[row].max(axis=0) if row.any() else np.zeros(4) for row in dense])
    np.testing.assert_array_equal(_largest(edges, table), expected)
    monkeypatch.setattr("hashgnn.fold_in.graphsage._BLOCK_ENTRIES", 40)
    np.testing.assert_array_equal(_largest(edges, table), expected)


SUMS = {
    **{f"history, {name}": ("history", options) for name, options in HISTORY_FORMS.items()},
    "lightgcn": ("lightgcn", {"n_layers": 2}),
    "mf": ("mf", {}),
}


@pytest.mark.parametrize(("name", "options"), SUMS.values(), ids=SUMS)
def test_parts_of_a_history_add_up_to_the_embedding(name, options) -> None:
    case = EncoderCase(name, options, features=False)
    rule, edges = rule_of(case.encoder(), case.view()), sp.csr_matrix(case.edges)
    parts = rule.user_parts(edges)
    owner = np.repeat(np.arange(N_USERS), np.diff(edges.indptr))
    sums = np.zeros((N_USERS, rule.dim))
    np.add.at(sums, owner, parts)
    known = np.diff(edges.indptr) > 0
    np.testing.assert_allclose(sums[known], rule.users(edges)[known], rtol=1e-4, atol=1e-6)
    assert rule.trained_users_fold_in == (name == "history")


def test_parts_of_one_gcn_layer_leave_the_node_s_own_row() -> None:
    case = EncoderCase("gcn", {"n_layers": 1}, features=False)
    rule, edges = rule_of(case.encoder(), case.view()), sp.csr_matrix(case.edges[:5])
    owner = np.repeat(np.arange(5), np.diff(edges.indptr))
    own = rule.users(edges).astype(float)
    np.subtract.at(own, owner, rule.user_parts(edges))
    mean = rule.arrays["user_mean"].astype(float) @ rule.arrays["weight_0"]
    expected = mean / (np.asarray(edges.sum(axis=1)) + 1)
    np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-5)


def test_parts_of_one_gat_layer_leave_a_share_of_the_node_s_own_row() -> None:
    case = EncoderCase("gat", {"n_layers": 1, "heads": 2}, features=False)
    rule, edges = rule_of(case.encoder(), case.view()), sp.csr_matrix(case.edges[:5])
    owner = np.repeat(np.arange(5), np.diff(edges.indptr))
    own = rule.users(edges).astype(float)
    np.subtract.at(own, owner, rule.user_parts(edges))
    row = rule.arrays["user_mean"].astype(float) @ rule.arrays["weight_0"]
    shares = (own / row).reshape(5, 2, -1)  # one a head: what attention leaves for the node itself
    np.testing.assert_allclose(shares, np.broadcast_to(shares[:, :, :1], shares.shape), rtol=1e-2, atol=1e-4)
    assert ((shares > -1e-4) & (shares <= 1.0001)).all()


NO_SUMS = [("gcn", {}), ("gat", {"heads": 2}), ("graphsage", {"n_layers": 1}), ("ngcf", {}), ("pinsage", {})]


@pytest.mark.parametrize(("name", "options"), NO_SUMS)
def test_a_rule_with_activations_has_no_parts(name, options) -> None:
    case = EncoderCase(name, options, features=False)
    assert rule_of(case.encoder(), case.view()).user_parts(case.edges) is None
