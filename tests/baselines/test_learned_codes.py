"""Learned codes of other papers: their gradients, their losses, what they export and what they learn."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.baselines.blocks import N_ITEMS, N_USERS, communities, held_out

import hashgnn as hg
from hashgnn.baselines import CodedBaseline, fit_baseline
from hashgnn.baselines.bgch import BGCH, BGCHObjective, BGCHSettings, dispersed, fourier_slope
from hashgnn.baselines.bigear import BiGeaR, BiGeaRSettings, CodeObjective, gaussian_slope
from hashgnn.baselines.coded import layer_widths
from hashgnn.baselines.hs_gcn import HSGCN, HSGCNObjective, HSGCNSettings, voted
from hashgnn.baselines.layer_codes import scaled_sign
from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.runs import Callback

SCALED = ("bgch", "bigear")
METHODS = (*SCALED, "hs-gcn")
QUICK = {"epochs": 20, "batch_size": 32, "learning_rate": 0.03, "validate_every": 10, "n_threads": 1}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("n_terms", "frequency"), [(1, 1.0), (4, 1.0), (8, 1.0), (3, 0.5)])
def test_the_fourier_slope_is_the_cut_sum_of_cosines(n_terms: int, frequency: float) -> None:
    x = torch.cat(
        [torch.linspace(-7, 7, 4001, dtype=torch.float64), torch.tensor([0.0, math.pi, -2 * math.pi])]
    )
    terms = [torch.cos((2 * k + 1) * frequency * x) for k in range(n_terms)]
    expected = (4 * frequency / math.pi * torch.stack(terms).sum(dim=0)).clamp(-1, 1)
    torch.testing.assert_close(
        fourier_slope(x, n_terms=n_terms, frequency=frequency), expected, rtol=1e-6, atol=2e-4
    )


def test_the_fourier_slope_is_the_derivative_of_the_series() -> None:
    x = torch.linspace(0.35, 1.2, 7, dtype=torch.float64, requires_grad=True)
    series = sum(4 / math.pi * torch.sin((2 * k + 1) * 0.5 * x) / (2 * k + 1) for k in range(3))
    (derivative,) = torch.autograd.grad(series.sum(), x)
    inside = derivative.abs() < 1
    assert inside.any()
    slope = fourier_slope(x.detach(), n_terms=3, frequency=0.5)
    torch.testing.assert_close(slope[inside], derivative[inside])


def test_the_gaussian_slope_is_its_formula_between_its_bounds() -> None:
    x = torch.linspace(-9, 9, 101, dtype=torch.float64)
    bell = 3 / math.sqrt(math.pi) * torch.exp(-((3 * x) ** 2))
    torch.testing.assert_close(gaussian_slope(x, steepness=3), bell.clamp(1e-8, 1.0))
    assert gaussian_slope(torch.zeros(1), steepness=3).item() == 1
    assert gaussian_slope(torch.full((1,), 9.0), steepness=3).item() == pytest.approx(1e-8)


def test_a_scaled_sign_has_the_mean_size_of_its_row_and_the_gradient_of_its_slope() -> None:
    x = torch.tensor([[1.0, -3.0, 0.0, 2.0], [-0.5, 0.5, 0.5, 0.5]], requires_grad=True)
    result = scaled_sign(x, lambda entries: entries.abs() + 1)
    assert result.tolist() == [[1.5, -1.5, 1.5, 1.5], [-0.5, 0.5, 0.5, 0.5]]
    weights = torch.arange(8.0).reshape(2, 4)
    (result * weights).sum().backward()
    torch.testing.assert_close(x.grad, weights * (x.detach().abs() + 1))


def test_dispersion_weakens_the_leading_direction_and_no_other() -> None:
    left, _ = torch.linalg.qr(torch.randn(60, 5, generator=generator(), dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator(1), dtype=torch.float64))
    sizes = torch.tensor([30.0, 2.0, 1.5, 1.0, 0.5], dtype=torch.float64)
    table = (left * sizes) @ right.T
    found = torch.linalg.svdvals(dispersed(table.float(), 0.1, 3, 2, generator()))
    expected = sizes * torch.tensor([0.9, 1, 1, 1, 1])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-3)


def test_a_code_has_a_part_for_the_tables_and_each_layer() -> None:
    assert layer_widths(768, 3) == (256, 256, 256)
    assert layer_widths(32, 3) == (11, 11, 10)
    with pytest.raises(ParameterError, match="dim must be at least 9 bits"):
        layer_widths(8, 9)
    model = fit_baseline("bgch", communities(), dim=16, rng=0, n_layers=1, progress=False, **QUICK)
    assert model.widths == (8, 8)


@pytest.mark.parametrize("name", SCALED)
def test_scores_are_products_of_scaled_signs(name: str) -> None:
    model = fit_baseline(name, communities(), dim=16, rng=0, progress=False, **QUICK)
    assert isinstance(model, CodedBaseline)
    assert model.widths == (6, 5, 5)
    expected = np.zeros((N_USERS, N_ITEMS))
    users, items = model.user_codes.signs().astype(float), model.item_codes.signs().astype(float)
    ends = np.cumsum((0, *model.widths))
    for part, (start, end) in enumerate(pairwise(ends)):
        inner = users[:, start:end] @ items[:, start:end].T
        expected += inner * np.outer(model.user_scales[:, part], model.item_scales[:, part])
    np.testing.assert_allclose(model.score(np.arange(N_USERS)), expected, rtol=1e-4, atol=1e-6)
    plain = model.score_block(np.arange(N_USERS), "hamming", 5, oversampling=1)
    assert np.array_equal(plain, 16 - 2 * model.user_codes.distances(model.item_codes))
    assert (model.bytes_per_item("scaled"), model.bytes_per_item("hamming")) == (14, 2)
    assert (model.item_scales > 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_codes_learn_more_than_popularity(name: str) -> None:
    train, users = communities(), np.arange(N_USERS)
    test = sp.csr_matrix((np.ones(N_USERS), (users, held_out(users))), shape=(N_USERS, N_ITEMS))
    found = {}
    for one in (name, "popularity"):
        settings = QUICK if one == name else {}
        model = fit_baseline(one, train, dim=16, rng=0, progress=False, **settings)
        report = hg.evaluate(model, train.csr, test, metrics=["recall@2"], n_timed=2, rng=0)
        found[one] = report.metrics[model.search_ways[0]]["recall@2"]
    assert found[name] > found["popularity"] + 0.4


def test_the_parts_of_the_loss_of_bgch_are_those_of_the_paper() -> None:
    train = communities()
    graph, view = BipartiteGraph.from_interactions(train), GraphView.from_scipy(train.csr)
    settings = BGCHSettings(
        regularisation=0.01, projection="trained", dispersion=0.0, reconstruction_weight=0.5
    )
    model = BGCH(graph, 24, settings, generator())
    users, items, sampled = torch.tensor([0, 3]), torch.tensor([1, 2]), torch.tensor([9, 15])
    edges = (users, items + N_USERS, sampled + N_USERS)
    loss = BGCHObjective(graph, view, settings).edge_loss(model, edges, generator(1))
    x = torch.cat([model.users, model.items]).double()
    adjacency = view.adjacency.to_dense().double()
    codes = []
    for _ in range(3):
        z = x @ model.projection.double()
        codes.append(torch.where(z >= 0, 1.0, -1.0) * z.abs().mean(dim=1, keepdim=True))
        x = adjacency @ x
    h, e = torch.cat(codes, dim=1), torch.cat([model.users, model.items]).double()
    expected = torch.zeros((), dtype=torch.float64)
    for u, i, j in zip(*edges, strict=True):
        expected -= torch.log(torch.sigmoid(h[u] @ h[i] - h[u] @ h[j])) / 2
        expected -= (
            0.5 * (torch.log(torch.sigmoid(e[u] @ e[i])) + torch.log(1 - torch.sigmoid(e[u] @ e[j]))) / 4
        )
    squares = h.square().sum() + e.square().sum() + model.projection.double().square().sum()
    torch.testing.assert_close(loss.double(), expected + 0.01 * squares / 4, rtol=1e-4, atol=1e-6)


def test_a_fixed_projection_stays_as_it_was_drawn() -> None:
    graph = BipartiteGraph.from_interactions(communities())
    for kind in ("fixed", "trained"):
        model = BGCH(graph, 24, BGCHSettings(projection=kind), generator())
        assert model.projection.requires_grad == (kind == "trained")
        assert model.projection.abs().max() <= 1 / math.sqrt(8)


def test_the_loss_of_bigear_has_the_lists_of_each_layer() -> None:
    train = communities()
    graph, view = BipartiteGraph.from_interactions(train), GraphView.from_scipy(train.csr)
    settings = BiGeaRSettings(regularisation=0.02, list_users=0, list_decay=0.3)
    model = BiGeaR(graph, 24, settings, generator())
    lists = model.lists(view, 4)
    layers = model.layers(view)
    for layer, listed in zip(layers, lists, strict=True):
        scores = layer[:N_USERS] @ layer[N_USERS:].T
        assert torch.equal(scores.gather(1, listed), scores.sort(dim=1, descending=True).values[:, :4])
    edges = (torch.tensor([5, 20]), torch.tensor([1, 9]) + N_USERS, torch.tensor([10, 3]) + N_USERS)
    loss = CodeObjective(graph, view, settings, lists).edge_loss(model, edges, generator())
    codes = [layer.detach().double() for layer in model.codes(view)]
    h, e = torch.cat(codes, dim=1), torch.cat([model.users, model.items]).detach().double()
    expected = torch.zeros((), dtype=torch.float64)
    for u, i, j in zip(*edges, strict=True):
        expected += torch.log1p(torch.exp(h[u] @ h[j] - h[u] @ h[i])) / 2
        expected += 0.02 * (e[u].square().sum() + e[i].square().sum() + e[j].square().sum()) / 4
    for layer, listed in zip(codes, lists, strict=True):
        for u in edges[0]:
            for rank, item in enumerate(listed[u], start=1):
                weight = math.exp(-0.3 * rank)
                expected += weight * torch.log1p(torch.exp(-layer[u] @ layer[N_USERS + item])) / (3 * 2 * 4)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)
    assert model.weights == pytest.approx((1 / 3, 2 / 3, 1))


def test_a_bit_that_its_neighbours_outvote_turns_around() -> None:
    """One user with two items: three own votes, and one of each neighbour."""
    view = GraphView.from_scipy(sp.csr_matrix(np.ones((1, 4))))
    codes = torch.tensor([[1.0, 1, -1], [-1, -1, 1], [-1, 1, 1], [-1, 1, 1], [-1, 1, 1]])
    # The user: 3 - 4 < 0 turns; 3 + 2 stays; -3 + 4 > 0 turns. An item: -3 + 1, 3 + 1, 3 - 1 stay, of the first too.
    expected = torch.tensor([[-1.0, 1, 1], [-1, -1, 1], [-1, 1, 1], [-1, 1, 1], [-1, 1, 1]])
    torch.testing.assert_close(voted(codes, view), expected, rtol=0, atol=1e-5)
    half = 0.25 * codes
    sums = torch.cat([half[1:].sum(dim=0, keepdim=True), half[:1].expand(4, -1)]) + 3 * half
    agreement = sums.clamp(-1, 1) * half
    torch.testing.assert_close(voted(half, view), half * torch.where(agreement < 0, 1 + 2 * agreement, 1.0))


def test_the_loss_of_hs_gcn_has_its_three_parts() -> None:
    train = communities()
    graph, view = BipartiteGraph.from_interactions(train), GraphView.from_scipy(train.csr)
    settings = HSGCNSettings(dropout=0.0, n_negatives=2)
    model = HSGCN(graph, 8, settings, generator())
    users, items = torch.tensor([5, 20]), torch.tensor([1, 9]) + N_USERS
    sampled = torch.tensor([10, 12, 3, 0]) + N_USERS
    loss = HSGCNObjective(graph, view, settings).edge_loss(model, (users, items, sampled), generator())
    relaxed = torch.tanh(model.table.detach())
    codes, first = model.passed(relaxed, view).double(), torch.where(relaxed >= 0, 1.0, -1.0).double()
    expected = torch.zeros((), dtype=torch.float64)
    for place, item in enumerate(sampled):
        u, i = users[place // 2], items[place // 2]
        near, far = torch.sigmoid(codes[u] @ codes[i]), torch.sigmoid(codes[u] @ codes[item])
        expected -= (near.log() + (1 - far).log()) / 8
        expected += 0.1 * torch.relu(far - near + 0.2) / 4
        gap = torch.sigmoid(first[u] @ first[item]) - torch.sigmoid(first[u] @ first[i])
        expected += 0.5 * torch.relu(gap + 0.2) / 4
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)


class Stop(Callback):
    """Press Ctrl-C after an epoch of the codes."""

    def on_epoch_end(self, run: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_fit_resumes_to_the_codes_of_a_whole_one(name: str, tmp_path: Path) -> None:
    quick = {**QUICK, "epochs": 4, "validate_every": 2, "dim": 16, "rng": 3, "progress": False}
    whole = fit_baseline(name, communities(), **quick)
    with pytest.raises(KeyboardInterrupt):
        fit_baseline(name, communities(), checkpoint_dir=tmp_path, callbacks=[Stop()], **quick)
    resumed = fit_baseline(name, communities(), checkpoint_dir=tmp_path, resume=True, **quick)
    assert resumed.item_codes == whole.item_codes
    if name in SCALED:
        assert np.array_equal(resumed.user_scales, whole.user_scales)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("bgch", {"projection": "learned"}, "projection must be one of 'fixed', 'trained', got 'learned'"),
        ("bgch", {"n_terms": 0}, "n_terms must be an integer >= 1, got 0"),
        ("bgch", {"epoch": 3}, "epoch is not a setting of a trained baseline; did you mean 'epochs'"),
        ("bigear", {"steepness": 0}, "steepness must be a finite number > 0, got 0"),
        ("bigear", {"n_listed": 0}, "n_listed must be an integer >= 1, got 0"),
        ("hs-gcn", {"dropout": 1}, "dropout must be a finite number >= 0 and < 1, got 1"),
        ("bigear", {"dim": 12}, "dim must be a positive multiple of 8, got 12"),
    ],
)
def test_settings_out_of_range_raise(name: str, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        fit_baseline(name, communities(), rng=0, **settings)


def test_codes_that_do_not_fit_together_raise() -> None:
    train: Interactions = communities()
    users, items = (BinaryCodes.from_signs(np.ones((n, 16))) for n in (N_USERS, N_ITEMS))
    scales = np.ones((N_USERS, 2)), np.ones((N_ITEMS, 2))
    CodedBaseline(train, users, items, *scales, [9, 7])
    with pytest.raises(ParameterError, match=r"user_codes must have shape \(24, 15\), got \(24, 16\)"):
        CodedBaseline(train, users, items, *scales, [8, 7])
    with pytest.raises(ParameterError, match=r"item_codes must have shape \(16, 16\), got \(24, 16\)"):
        CodedBaseline(train, users, users, *scales, [9, 7])
    with pytest.raises(ParameterError, match="user_scales and item_scales must be given together"):
        CodedBaseline(train, users, items, scales[0])
    assert CodedBaseline(train, users, items).search_ways == ("hamming",)
    with pytest.raises(ParameterError, match=r"item_scales must have shape \(16, 2\)"):
        CodedBaseline(train, users, items, scales[0], np.ones((N_ITEMS, 3)), [9, 7])
