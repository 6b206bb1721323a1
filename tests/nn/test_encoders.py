"""Each encoder against a dense NumPy computation of its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.nn import ENCODERS, build_encoder
from hashgnn.testing.encoders import DIM, N_ITEMS, N_USERS, EncoderCase


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense(case: EncoderCase) -> np.ndarray:
    return case.edges.toarray()


def parameters(encoder) -> dict[str, np.ndarray]:
    return {name: x.detach().numpy() for name, x in encoder.named_parameters()}


def first_layer(case: EncoderCase, p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    user_features, item_features = case.feature_matrices
    users = p["user_input.table"] + user_features.toarray() @ p["user_input.features.weight"]
    return users, p["item_input.table"] + item_features @ p["item_input.features.weight"]


def assert_encodes(case: EncoderCase, users: np.ndarray, items: np.ndarray) -> None:
    result = case.encoder().encode_all(case.view()).numpy()
    np.testing.assert_allclose(result, np.concatenate([users, items]), rtol=1e-10, atol=1e-10)


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, 0.2 * x)


def test_mf_is_the_first_layer() -> None:
    case = EncoderCase("mf")
    assert_encodes(case, *first_layer(case, parameters(case.encoder())))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("extra", [False, True])
def test_history_is_the_normalised_sum_of_items(exponent, extra) -> None:
    case = EncoderCase("history", {"degree_exponent": exponent, "input_table": extra, "linear": extra})
    p, edges = parameters(case.encoder()), dense(case)
    user_features, item_features = case.feature_matrices
    item_part = item_features @ p["item_input.features.weight"]
    source = p["source" if extra else "item_input.table"] + item_part
    degrees = np.maximum(edges.sum(axis=1, keepdims=True), 1e-300)
    users = degrees**-exponent * (edges @ source) @ (p["linear"] if extra else np.eye(DIM))
    users += user_features.toarray() @ p["user_features.weight"]
    assert_encodes(case, users, p["item_input.table"] + item_part)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_lightgcn_is_the_mean_of_powers_of_the_adjacency(n_layers) -> None:
    case = EncoderCase("lightgcn", {"n_layers": n_layers})
    edges = dense(case)
    adjacency = np.block([[np.zeros((N_USERS, N_USERS)), edges], [edges.T, np.zeros((N_ITEMS, N_ITEMS))]])
    degrees = adjacency.sum(axis=1)
    root = np.where(degrees > 0, 1 / np.sqrt(np.where(degrees > 0, degrees, 1)), 0)
    normalised = root[:, None] * adjacency * root
    x = np.concatenate(first_layer(case, parameters(case.encoder())))
    total = sum(np.linalg.matrix_power(normalised, k) @ x for k in range(n_layers + 1)) / (n_layers + 1)
    assert_encodes(case, total[:N_USERS], total[N_USERS:])


def sage_reference(case, aggregate, n_layers, item_layers):
    """Return user and item layers by loops over nodes."""
    p, edges = parameters(case.encoder()), dense(case) > 0
    users, items = first_layer(case, p)
    if "dense_weights.user" in p:
        users = leaky(users @ p["dense_weights.user"] + p["dense_biases.user"])
        items = leaky(items @ p["dense_weights.item"] + p["dense_biases.item"])
    layers = [(users, items)]
    for k in range(max(n_layers, item_layers)):
        users, items = layers[-1]
        weight = p[f"weights.{k}"]
        next_users = [leaky(aggregate(users[u], items[edges[u]]) @ weight) for u in range(N_USERS)]
        next_items = [leaky(aggregate(items[i], users[edges[:, i]]) @ weight) for i in range(N_ITEMS)]
        layers.append((np.array(next_users), np.array(next_items)))
    return layers[n_layers][0], layers[item_layers][1]


def paper_mean(own: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    return np.concatenate([own[None], neighbours]).mean(axis=0)


def authors_concat(own: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    return np.concatenate([own, neighbours.mean(axis=0) if len(neighbours) else np.zeros_like(own)])


@pytest.mark.parametrize(("n_layers", "item_layers"), [(1, 1), (2, 2), (2, 1), (1, 3)])
def test_graphsage_mean_is_the_equation_of_the_paper(n_layers, item_layers) -> None:
    case = EncoderCase("graphsage", {"n_layers": n_layers, "item_layers": item_layers})
    assert_encodes(case, *sage_reference(case, paper_mean, n_layers, item_layers))


def test_graphsage_concat_is_the_form_of_the_authors() -> None:
    options = {"aggregator": "concat", "input_dim": 7, "n_layers": 2, "item_layers": 1}
    case = EncoderCase("graphsage", options)
    assert_encodes(case, *sage_reference(case, authors_concat, 2, 1))


def pooled_max(p: dict[str, np.ndarray], k: int):
    def aggregate(own: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
        pooled = leaky(neighbours @ p[f"pool_weights.{k}"] + p[f"pool_biases.{k}"])
        return np.concatenate([own, pooled.max(axis=0) if len(pooled) else np.zeros_like(own)])

    return aggregate


def test_graphsage_max_pools_what_neighbours_pass_through_a_layer() -> None:
    case = EncoderCase("graphsage", {"aggregator": "max", "n_layers": 1})
    aggregate = pooled_max(parameters(case.encoder()), 0)
    assert_encodes(case, *sage_reference(case, aggregate, 1, 1))


def test_graphsage_gcn_is_the_mean_over_node_and_neighbours() -> None:
    case = EncoderCase("graphsage", {"aggregator": "gcn"})
    assert_encodes(case, *sage_reference(case, paper_mean, 2, 2))


def whole_graph(case: EncoderCase) -> np.ndarray:
    """Return the adjacency (n_nodes, n_nodes) of weights."""
    edges = dense(case)
    return np.block([[np.zeros((N_USERS, N_USERS)), edges], [edges.T, np.zeros((N_ITEMS, N_ITEMS))]])


@pytest.mark.parametrize("n_layers", [1, 3])
def test_gcn_is_the_equation_of_kipf_and_welling(n_layers) -> None:
    case = EncoderCase("gcn", {"n_layers": n_layers})
    p = parameters(case.encoder())
    loops = whole_graph(case) + np.eye(N_USERS + N_ITEMS)
    degrees = loops.sum(axis=1)
    normalised = loops / np.sqrt(np.outer(degrees, degrees))
    x = np.concatenate(first_layer(case, p))
    for k in range(n_layers):
        x = normalised @ x @ p[f"weights.{k}"]
        if k < n_layers - 1:
            x = np.maximum(x, 0)
    assert_encodes(case, x[:N_USERS], x[N_USERS:])


@pytest.mark.parametrize(("n_layers", "widths"), [(1, [4, 4]), (2, [4, 2, 2]), (4, [4, 1, 1, 1, 1])])
def test_ngcf_is_equation_7_with_layers_side_by_side(n_layers, widths) -> None:
    case = EncoderCase("ngcf", {"n_layers": n_layers})
    p, adjacency = parameters(case.encoder()), whole_graph(case)
    degrees = adjacency.sum(axis=1)
    x = np.concatenate(first_layer(case, p))
    layers = [x]
    for k in range(n_layers):
        following = np.zeros((len(x), widths[k + 1]))
        for i in range(len(x)):
            message = x[i] @ p[f"sum_weights.{k}"]
            for j in np.flatnonzero(adjacency[i]):
                share = adjacency[i, j] / np.sqrt(degrees[i] * degrees[j])
                message = message + share * (
                    x[j] @ p[f"sum_weights.{k}"] + (x[j] * x[i]) @ p[f"product_weights.{k}"]
                )
            following[i] = leaky(message)
        x = following
        layers.append(x)
    assert [layer.shape[1] for layer in layers] == widths
    rows = np.concatenate(layers, axis=1)
    assert_encodes(case, rows[:N_USERS], rows[N_USERS:])


@pytest.mark.parametrize(("n_layers", "heads"), [(1, 1), (2, 4)])
def test_gat_attends_to_neighbours_and_itself(n_layers, heads) -> None:
    case = EncoderCase("gat", {"n_layers": n_layers, "heads": heads})
    p = parameters(case.encoder())
    reachable = (whole_graph(case) + np.eye(N_USERS + N_ITEMS)) > 0
    x = np.concatenate(first_layer(case, p))
    for k in range(n_layers):
        rows = (x @ p[f"weights.{k}"]).reshape(len(x), heads, DIM // heads)
        own, other = p[f"own_attention.{k}"], p[f"other_attention.{k}"]
        following = np.zeros_like(rows)
        for i in range(len(x)):
            near = np.flatnonzero(reachable[i])
            for head in range(heads):
                scores = leaky(rows[i, head] @ own[head] + rows[near, head] @ other[head])
                shares = np.exp(scores) / np.exp(scores).sum()
                following[i, head] = shares @ rows[near, head]
        x = following.reshape(len(x), DIM)
        if k < n_layers - 1:
            x = np.where(x > 0, x, np.exp(x) - 1)
    assert_encodes(case, x[:N_USERS], x[N_USERS:])


def unit_rows(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def transition(weights: np.ndarray) -> np.ndarray:
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)


@pytest.mark.parametrize(("n_layers", "n_neighbours"), [(1, 3), (2, 50)])
def test_pinsage_pools_what_walks_visit_most(n_layers, n_neighbours) -> None:
    case = EncoderCase("pinsage", {"n_layers": n_layers, "n_neighbours": n_neighbours})
    p, edges = parameters(case.encoder()), dense(case)
    visits = transition(edges.T) @ transition(edges)
    np.fill_diagonal(visits, 0)
    for row in visits:
        row[np.argsort(-row)[n_neighbours:]] = 0
    near = transition(visits)
    # A user's walk stops at an item with probability 1/2 and goes on to its neighbourhood otherwise.
    reached = transition(transition(edges) @ (np.eye(N_ITEMS) + near / 2))
    users, items = first_layer(case, p)
    for k in range(n_layers):
        pooled = np.maximum(items @ p[f"pool_weights.{k}"] + p[f"pool_biases.{k}"], 0)

        def layer(own, share, k=k, pooled=pooled):
            mixed = np.concatenate([own, share @ pooled], axis=1) @ p[f"weights.{k}"] + p[f"biases.{k}"]
            return unit_rows(np.maximum(mixed, 0))

        users, items = layer(users, reached), layer(items, near)

    def finished(z):
        return np.maximum(z @ p["hidden_weight"] + p["hidden_bias"], 0) @ p["output_weight"]

    assert_encodes(case, finished(users), finished(items))


def test_pinsage_neighbourhoods_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    case = EncoderCase("pinsage", {"n_neighbours": 4})
    expected = case.encoder().encode_all(case.view())
    monkeypatch.setattr("hashgnn.nn.encoders._importance._BLOCK_ENTRIES", 20)
    torch.testing.assert_close(case.encoder().encode_all(case.view()), expected, rtol=0, atol=0)


def test_pinsage_computes_the_walks_anew_for_another_graph() -> None:
    case, other = EncoderCase("pinsage", {"n_neighbours": 3}), EncoderCase("pinsage", seed=7)
    encoder = case.encoder()
    first = encoder.encode_all(case.view())
    second = encoder.encode_all(other.view())
    assert not torch.allclose(first, second)
    torch.testing.assert_close(encoder.encode_all(case.view()), first, rtol=0, atol=0)
    fresh = case.encoder()
    torch.testing.assert_close(fresh.encode_all(other.view()), second, rtol=0, atol=0)


def neighbours_of(edges: np.ndarray, nodes: np.ndarray, width: int, keep: int | None = None) -> np.ndarray:
    """Return neighbours of nodes padded with -1; at most ``keep`` of each."""
    rows = np.full((len(nodes), width), -1)
    for row, node in zip(rows, nodes, strict=True):
        if node >= 0:
            found = (
                np.flatnonzero(edges[node]) + N_USERS
                if node < N_USERS
                else np.flatnonzero(edges[:, node - N_USERS])
            )
            found = found[:keep]
            row[: len(found)] = found
    return rows


def sampled_view(case, nodes, n_hops, keep=None):
    edges, hops, parents = dense(case), [], np.asarray(nodes)
    for _ in range(n_hops):
        hops.append(neighbours_of(edges, parents, N_USERS + N_ITEMS, keep))
        parents = hops[-1].ravel()
    return case.view().with_sampled(tuple(torch.from_numpy(hop) for hop in hops))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("graphsage", {"aggregator": "mean", "input_dim": 7}),
        ("graphsage", {"aggregator": "gcn"}),
        ("graphsage", {"aggregator": "concat", "input_dim": 7}),
        ("graphsage", {"aggregator": "max"}),
        ("gat", {"heads": 2}),
    ],
)
def test_sample_of_the_whole_neighbourhood_equals_the_full_graph(name, options) -> None:
    case = EncoderCase(name, {"n_layers": 2, **options})
    nodes = torch.tensor([3, N_USERS + 2, 5, 0, N_USERS + 9])
    encoder = case.encoder()
    torch.testing.assert_close(
        encoder(sampled_view(case, nodes, 2), nodes), encoder(case.view(), nodes), rtol=1e-10, atol=1e-10
    )


def test_sample_of_some_neighbours_is_the_graph_of_those_edges() -> None:
    """With one hop, keeping two neighbours of each node is the full graph that has only those edges."""
    case = EncoderCase("graphsage", {"n_layers": 1}, features=False)
    nodes = torch.arange(N_USERS)
    encoder = case.encoder()
    sampled = encoder(sampled_view(case, nodes, 1, keep=2), nodes)
    p, edges = parameters(encoder), dense(case)
    kept = np.zeros_like(edges)
    for u in range(N_USERS):
        kept[u, np.flatnonzero(edges[u])[:2]] = 1
    x = p["user_input.table"] + kept @ p["item_input.table"]
    expected = leaky(x / (1 + kept.sum(axis=1, keepdims=True)) @ p["weights.0"])
    np.testing.assert_allclose(sampled.detach().numpy(), expected, rtol=1e-10)
    assert not torch.allclose(sampled, encoder(case.view(), nodes))


def test_sample_that_does_not_fit_the_nodes_raises() -> None:
    case = EncoderCase("graphsage", {"n_layers": 2, "item_layers": 1})
    users = torch.tensor([0, 1])
    with pytest.raises(ParameterError, match=r"view.sampled must have 2 hops for users, got 1"):
        case.encoder()(sampled_view(case, users, 1), users)
    with pytest.raises(ParameterError, match=r"view.sampled must have 1 hops for items, got 2"):
        case.encoder()(sampled_view(case, users + N_USERS, 2), users + N_USERS)
    with pytest.raises(ParameterError, match=r"view.sampled must have 2 hops for nodes, got 1"):
        EncoderCase("gat").encoder()(sampled_view(case, users, 1), users)
    with pytest.raises(ParameterError, match=r"view.sampled hop 0 must have 3 rows, got shape \(2, 30\)"):
        case.encoder()(sampled_view(case, users, 2), torch.tensor([0, 1, 2]))


def test_history_dropout_normalises_what_is_left() -> None:
    """Whatever was dropped, a user's embedding is the fold-in of some part of its history."""
    case = EncoderCase("history", {"history_dropout": 0.5}, features=False)
    encoder, view = case.encoder().train(), case.view()
    edges, table = dense(case), parameters(case.encoder())["item_input.table"]
    user = int(np.argmin(np.where((edges > 0).sum(axis=1) >= 3, (edges > 0).sum(axis=1), 99)))
    items = np.flatnonzero(edges[user])
    subsets = []
    for bits in range(2 ** len(items)):
        chosen = items[[bool(bits >> i & 1) for i in range(len(items))]]
        weights = edges[user, chosen]
        subsets.append(weights @ table[chosen] / np.sqrt(max(weights.sum(), 1e-300)))
    seen = set()
    for seed in range(60):
        row = encoder(view, torch.tensor([user]), generator=generator(seed)).detach().numpy()[0]
        distances = np.abs(np.array(subsets) - row).max(axis=1)
        assert distances.min() < 1e-12
        seen.add(int(distances.argmin()))
    assert len(seen) > 4
    assert torch.equal(
        encoder(view, torch.tensor([user]), generator=generator(1)),
        encoder(view, torch.tensor([user]), generator=generator(1)),
    )


def test_history_dropout_keeps_the_share_it_should_and_is_off_in_eval() -> None:
    n_items = 2000
    import scipy.sparse as sp

    from hashgnn.nn import GraphView

    view = GraphView.from_scipy(sp.csr_matrix(np.ones((2, n_items))))
    encoder = build_encoder(
        "history",
        n_users=2,
        n_items=n_items,
        dim=1,
        rng=generator(),
        initial=(np.zeros((2, 1), np.float32), np.ones((n_items, 1), np.float32)),
        history_dropout=0.25,
        degree_exponent=0.0,
    )
    kept = encoder(view, torch.tensor([0, 1]), generator=generator(3)).detach()
    assert (kept - 1500).abs().max() < 100
    assert kept[0] != kept[1]
    assert encoder.eval()(view, torch.tensor([0])).item() == n_items
    with pytest.raises(ParameterError, match="generator must be given where history_dropout > 0, got None"):
        encoder.train()(view, torch.tensor([0]))


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_warm_start_is_where_the_tables_begin(name) -> None:
    options = {"input_table": True} if name == "history" else {}
    tables = np.full((N_USERS, DIM), 2.0, np.float32), np.full((N_ITEMS, DIM), 3.0, np.float32)
    encoder = build_encoder(
        name, n_users=N_USERS, n_items=N_ITEMS, dim=DIM, rng=generator(), initial=tables, **options
    )
    p = parameters(encoder)
    starts = {"user_input.table": 2.0, "item_input.table": 3.0, "source": 3.0}
    assert {key: set(p[key].ravel()) for key in starts if key in p} == {
        key: {value} for key, value in starts.items() if key in p
    }


def test_features_missing_in_the_view_raise() -> None:
    bare = EncoderCase("mf", features=False).view()
    for name in ENCODERS:
        with pytest.raises(ParameterError, match=r"_features must have shape \(1[37], [34]\), got none"):
            EncoderCase(name).encoder().encode_all(bare)


def test_unknown_names_and_options_raise() -> None:
    sizes = {"n_users": 2, "n_items": 2, "dim": 2, "rng": generator()}
    with pytest.raises(
        ParameterError, match="encoder must be one of .*'mf', .*, got 'gcn2'; did you mean 'gcn'?"
    ):
        build_encoder("gcn2", **sizes)
    with pytest.raises(TypeError, match="n_heads"):
        build_encoder("mf", **sizes, n_heads=2)
    with pytest.raises(ParameterError, match="aggregator must be one of 'mean', 'gcn', .*, got 'lstm'"):
        build_encoder("graphsage", **sizes, aggregator="lstm")
    with pytest.raises(ParameterError, match="heads must divide embedding_dim=2, got 3"):
        build_encoder("gat", **sizes, heads=3)
    with pytest.raises(
        ParameterError, match="embedding_dim must be larger than n_layers=2 for ngcf, .* got 2"
    ):
        build_encoder("ngcf", **sizes)
    with pytest.raises(ParameterError, match="n_neighbours must be an integer >= 1, got 0"):
        build_encoder("pinsage", **sizes, n_neighbours=0)
    with pytest.raises(ParameterError, match=r"initial user table must have shape \(2, 2\), got \(3, 2\)"):
        build_encoder("mf", **sizes, initial=(np.zeros((3, 2)), np.zeros((2, 2))))
    with pytest.raises(ParameterError, match="history_dropout must be a finite number >= 0 and < 1, got 1"):
        build_encoder("history", **sizes, history_dropout=1)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_loss_of_a_fixed_batch_falls(name) -> None:
    from hashgnn.nn import bpr

    case = EncoderCase(name)
    encoder, view = case.encoder(), case.view()
    users, items = (torch.from_numpy(x) for x in np.nonzero(dense(case)))
    others = torch.randint(N_ITEMS, (len(items), 4), generator=generator())
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        x = encoder(view, torch.arange(view.n_nodes))
        user = x[users]
        loss = bpr((user * x[N_USERS + items]).sum(1), torch.einsum("ed,end->en", user, x[N_USERS + others]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
