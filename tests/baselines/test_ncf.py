from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.baselines.blocks import N_ITEMS, N_USERS, communities, held_out

import hashgnn as hg
import hashgnn.baselines.pairs as pairs
from hashgnn.baselines import PairBaseline, fit_baseline
from hashgnn.baselines.ncf import NCFObjective, NCFSettings, NeuMF, tower_widths
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView

QUICK = {"epochs": 30, "batch_size": 32, "learning_rate": 0.02, "validate_every": 10, "n_threads": 1}


def network() -> NeuMF:
    model = NeuMF(N_USERS, N_ITEMS, 16, torch.Generator().manual_seed(0))
    with torch.no_grad():  # values at which every part of the score matters
        model.factors.mul_(100)
        model.embeddings.mul_(100)
        for bias in model.biases:
            bias.normal_(generator=torch.Generator().manual_seed(1))
    return model


def test_a_score_is_the_product_of_factors_and_the_tower_over_both_embeddings() -> None:
    """Equation 12 of the paper, worked pair by pair."""
    model = network()
    factors, embeddings = (table.detach().double() for table in (model.factors, model.embeddings))
    users, items = torch.tensor([0, 5, 23]), torch.tensor([2, 0, 15]) + N_USERS
    for u, i, score in zip(users, items, model(users, items), strict=True):
        hidden = torch.cat([embeddings[u], embeddings[i]])
        for weights, bias in zip(model.weights, model.biases, strict=True):
            hidden = torch.relu(hidden @ weights.double() + bias.double())
        both = torch.cat([factors[u] * factors[i], hidden])
        torch.testing.assert_close(score.double(), both @ model.output.double()[:, 0], rtol=1e-4, atol=1e-5)


def test_scores_of_all_items_are_those_of_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_BLOCK_FLOATS", 300)  # several blocks of users
    model = network()
    fitted = PairBaseline(communities(), model.network())
    users = torch.arange(N_USERS).repeat_interleave(N_ITEMS)
    items = torch.arange(N_ITEMS).repeat(N_USERS) + N_USERS
    expected = model(users, items).detach().reshape(N_USERS, N_ITEMS) - model.offset.item()
    np.testing.assert_allclose(fitted.score(np.arange(N_USERS)), expected.numpy(), rtol=1e-4, atol=1e-5)
    order = np.array([7, 0, 7])
    np.testing.assert_allclose(fitted.score(order), expected.numpy()[order], rtol=1e-4, atol=1e-5)
    assert fitted.bytes_per_item("float") == 4 * (2 + 8)
    assert not fitted.has_embeddings


def test_the_loss_is_the_log_loss_of_observed_and_sampled_pairs() -> None:
    train = communities()
    graph, view = BipartiteGraph.from_interactions(train), GraphView.from_scipy(train.csr)
    model, settings = network(), NCFSettings(n_negatives=2)
    users, items = torch.tensor([0, 20]), torch.tensor([1, 9]) + N_USERS
    sampled = torch.tensor([8, 12, 0, 5]) + N_USERS
    loss = NCFObjective(graph, view, settings).edge_loss(model, (users, items, sampled), torch.Generator())
    near = torch.sigmoid(model(users, items).double())
    far = torch.sigmoid(model(torch.tensor([0, 0, 20, 20]), sampled).double())
    expected = -(near.log().sum() + (1 - far).log().sum()) / 6
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)


def test_it_learns_more_than_popularity() -> None:
    train, users = communities(), np.arange(N_USERS)
    test = sp.csr_matrix((np.ones(N_USERS), (users, held_out(users))), shape=(N_USERS, N_ITEMS))
    models = (
        fit_baseline("ncf", train, dim=32, rng=0, progress=False, **QUICK),
        fit_baseline("popularity", train),
    )
    ours, popular = (
        hg.evaluate(model, train.csr, test, metrics=["recall@2"], n_timed=2, rng=0).metrics["float"][
            "recall@2"
        ]
        for model in models
    )
    assert ours > popular + 0.4


def test_the_tower_of_64_is_that_of_the_authors() -> None:
    assert tower_widths(64) == [64, 32, 16, 8]
    model = NeuMF(3, 4, 64, torch.Generator().manual_seed(0))
    assert [tuple(weights.shape) for weights in model.weights] == [(64, 32), (32, 16), (16, 8)]
    assert (model.factors.shape, model.output.shape) == ((7, 8), (16, 1))
    assert NeuMF(3, 4, 1, torch.Generator()).network().score_block(
        np.array([2]), "float", 1, oversampling=1
    ).shape == (1, 4)


def test_settings_out_of_range_raise() -> None:
    with pytest.raises(ParameterError, match="n_negatives must be an integer >= 1, got 0"):
        fit_baseline("ncf", communities(), n_negatives=0)
    with pytest.raises(ParameterError, match="regularisation must be a finite number >= 0, got -1"):
        fit_baseline("ncf", communities(), regularisation=-1)
