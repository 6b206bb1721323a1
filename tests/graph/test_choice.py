from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from graphs import build, random_graph

from hashgnn.data import Interactions, generate_interactions, split
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph, ChebyshevFilter, SpectralFilter, choose_filter, low_spectrum

FAMILIES = {"chebyshev": ChebyshevFilter, "spectral": SpectralFilter}


@pytest.fixture(scope="module")
def graph() -> BipartiteGraph:
    return BipartiteGraph(generate_interactions(300, 200, 6000, rng=0).csr)


def recall_at_20(graph: BipartiteGraph, family: str, rng: int = 0, **settings: float) -> np.ndarray:
    """Each user's recall@20 on the fifth that the choice holds out with this seed."""
    generator = np.random.default_rng(rng)
    kept, held = split.random(Interactions.from_csr(graph.user_item), 0.2, rng=generator)
    spectrum = low_spectrum(BipartiteGraph(kept.csr), 40, rng=generator)
    fitted = FAMILIES[family].fit(BipartiteGraph(kept.csr), spectrum=spectrum, **settings)
    values = []
    for user in np.flatnonzero(np.diff(held.csr.indptr)):
        found = fitted.top(20, kept.csr[[user]]).positions[0]
        values.append(np.isin(held.csr[user].indices, found).mean())
    return np.array(values)


def test_none_that_was_tried_is_clearly_better_than_the_choice(graph: BipartiteGraph) -> None:
    choice = choose_filter(graph, rank=40, rng=0)
    chosen = recall_at_20(graph, choice.family, **choice.settings)
    assert choice.recall == pytest.approx(chosen.mean())

    def is_clearly_better(other: np.ndarray) -> bool:
        gains = other - chosen
        return gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains))

    for alpha in (0.05, 0.2, 1.0, 3.0):
        for rank in (10, 40):
            assert not is_clearly_better(recall_at_20(graph, "chebyshev", rank=rank, alpha=alpha, beta=0.4))
    rank = choice.settings["rank"]
    assert not is_clearly_better(recall_at_20(graph, "spectral", rank=rank, alpha=0.2))


def test_the_chosen_filter_is_fitted_on_the_whole_graph(graph: BipartiteGraph) -> None:
    choice = choose_filter(graph, rank=40, rng=0)
    assert choice.filter.graph is graph
    again = FAMILIES[choice.family].fit(graph, rng=1, n_iterations=20, **choice.settings)
    # The last vectors of a low pass depend a little on the draw; what they make of scores does hardly.
    scores = [fitted.score(graph.user_item[:20]).ravel() for fitted in (choice.filter, again)]
    assert np.corrcoef(*scores)[0, 1] > 0.99
    same = choose_filter(graph, rank=40, rng=0)
    assert (same.family, same.settings, same.recall) == (choice.family, choice.settings, choice.recall)


def test_without_anything_to_hold_out_the_authors_settings_stand() -> None:
    choice = choose_filter(build(np.eye(6)), rank=4, rng=0)
    assert (choice.family, choice.settings["alpha"], choice.settings["beta"]) == ("chebyshev", 0.2, 0.4)
    assert math.isnan(choice.recall)


@pytest.mark.parametrize("kind", [SpectralFilter, ChebyshevFilter])
def test_a_known_spectrum_gives_the_filter_that_its_own_would(kind) -> None:
    graph = random_graph()
    spectrum = low_spectrum(graph, 12, rng=0, n_iterations=30)
    known = kind.fit(graph, rank=5, spectrum=spectrum).score(graph.user_item)
    own = kind.fit(graph, rank=5, rng=1, n_iterations=30).score(graph.user_item)
    np.testing.assert_allclose(known, own, atol=1e-3)
    with pytest.raises(ParameterError, match="rank must be at most 12, got 13"):
        kind.fit(graph, rank=13, spectrum=spectrum)


def test_bad_arguments_are_named() -> None:
    graph = BipartiteGraph(sp.csr_matrix(np.ones((3, 3))))
    with pytest.raises(ParameterError, match="n_judged must be an integer >= 1, got 0"):
        choose_filter(graph, n_judged=0)
