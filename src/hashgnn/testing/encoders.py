"""The contract of encoders, which each registered one must pass.

Run every check of ``ENCODER_CHECKS`` over every encoder::

    @pytest.mark.parametrize("name", sorted(ENCODERS))
    @pytest.mark.parametrize("check", ENCODER_CHECKS)
    def test_encoder_contract(check, name):
        check(EncoderCase(name))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from hashgnn.errors import ParameterError
from hashgnn.fold_in import build_fold_in
from hashgnn.nn import Encoder, GraphView, build_encoder

# Sides, width and feature counts all differ, so that a swapped side cannot go unseen, and a parameter that
# has one row a node is known by its length.
N_USERS, N_ITEMS, DIM = 13, 17, 8
N_USER_FEATURES, N_ITEM_FEATURES = 3, 4
ISOLATED_USER, ISOLATED_ITEM = 5, 9


@dataclass(frozen=True)
class EncoderCase:
    """An encoder's name and options, and the small graph that it is tried on.

    Parameters
    ----------
    name : str
        A registered encoder.
    options : dict, optional
        Passed to ``build_encoder``.
    features : bool, default=True
        Whether both sides have features, one sparse and one dense.
    seed : int, default=0
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    features: bool = True
    seed: int = 0

    @cached_property
    def edges(self) -> Any:
        """Weights (N_USERS, N_ITEMS), CSR, with an isolated user and an isolated item."""
        rng = np.random.default_rng(self.seed)
        dense = (rng.random((N_USERS, N_ITEMS)) < 0.35) * rng.uniform(0.5, 2.0, (N_USERS, N_ITEMS))
        dense[ISOLATED_USER], dense[:, ISOLATED_ITEM] = 0, 0
        return sp.csr_matrix(dense)

    @cached_property
    def feature_matrices(self) -> tuple[Any, Any]:
        """A sparse matrix for users and a dense one for items, or two ``None``."""
        if not self.features:
            return None, None
        rng = np.random.default_rng(self.seed + 1)
        users = sp.csr_matrix((rng.random((N_USERS, N_USER_FEATURES)) < 0.5).astype(np.float64))
        return users, rng.normal(size=(N_ITEMS, N_ITEM_FEATURES))

    def view(self) -> GraphView:
        """Return the graph as float64 tensors."""
        users, items = self.feature_matrices
        return GraphView.from_scipy(self.edges, user_features=users, item_features=items, dtype=torch.float64)

    def encoder(self) -> Encoder:
        """Return the encoder, float64, the same at each call, with parameters of order 1."""
        encoder = build_encoder(
            self.name,
            n_users=N_USERS,
            n_items=N_ITEMS,
            dim=DIM,
            rng=torch.Generator().manual_seed(self.seed),
            n_user_features=N_USER_FEATURES if self.features else 0,
            n_item_features=N_ITEM_FEATURES if self.features else 0,
            **self.options,
        ).double()
        generator = torch.Generator().manual_seed(self.seed + 2)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        return encoder.eval()


def check_shape_and_determinism(case: EncoderCase) -> None:
    """Embeddings have one row per requested node, and a repeated call gives the same."""
    encoder, view = case.encoder(), case.view()
    nodes = torch.tensor([N_USERS + 3, 2, 0, N_USERS + 3, N_USERS + N_ITEMS - 1])
    first = encoder(view, nodes)
    assert first.shape == (5, DIM)
    assert torch.equal(first, encoder(view, nodes))
    assert torch.equal(first[0], first[3])


def check_batch_equals_single(case: EncoderCase) -> None:
    """A node's embedding does not depend on the other nodes of the call."""
    encoder, view = case.encoder(), case.view()
    nodes = torch.arange(view.n_nodes).flip(0)
    batch = encoder(view, nodes)
    single = torch.cat([encoder(view, nodes[i : i + 1]) for i in range(len(nodes))])
    torch.testing.assert_close(batch, single, rtol=1e-12, atol=1e-12)
    assert len(torch.unique(batch.detach(), dim=0)) > view.n_nodes // 2


def check_encode_all(case: EncoderCase) -> None:
    """``encode_all`` is ``forward`` over all nodes, whatever the block, and leaves the mode as it was."""
    encoder, view = case.encoder(), case.view()
    expected = encoder(view, torch.arange(view.n_nodes)).detach()
    encoder.train()
    for block in (5, view.n_nodes):
        result = encoder.encode_all(view, block=block)
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
        assert not result.requires_grad
    assert encoder.training


def check_relabelling(case: EncoderCase) -> None:
    """Renumbering users and items renumbers their embeddings and changes nothing else."""
    rng = np.random.default_rng(case.seed + 3)
    users, items = rng.permutation(N_USERS), rng.permutation(N_ITEMS)
    encoder, view = case.encoder(), case.view()
    user_features, item_features = case.feature_matrices
    renumbered_view = GraphView.from_scipy(
        case.edges[users][:, items],
        user_features=None if user_features is None else user_features[users],
        item_features=None if item_features is None else item_features[items],
        dtype=torch.float64,
    )
    renumbered = case.encoder()
    with torch.no_grad():
        for parameter in renumbered.parameters():
            if parameter.shape[0] == N_USERS:
                parameter.copy_(parameter[torch.from_numpy(users)])
            elif parameter.shape[0] == N_ITEMS:
                parameter.copy_(parameter[torch.from_numpy(items)])
    order = torch.from_numpy(np.concatenate([users, N_USERS + items]))
    torch.testing.assert_close(
        renumbered.encode_all(renumbered_view), encoder.encode_all(view)[order], rtol=1e-10, atol=1e-10
    )


def check_edge_order(case: EncoderCase) -> None:
    """The order in which edges are stored does not matter."""
    coo = case.edges.tocoo()
    order = np.random.default_rng(case.seed + 4).permutation(coo.nnz)
    order = order[np.argsort(coo.row[order], kind="stable")]
    shuffled = sp.csr_matrix(case.edges.shape)
    shuffled.data, shuffled.indices, shuffled.indptr = coo.data[order], coo.col[order], case.edges.indptr
    users, items = case.feature_matrices
    view = GraphView.from_scipy(shuffled, user_features=users, item_features=items, dtype=torch.float64)
    expected = case.encoder().encode_all(case.view())
    torch.testing.assert_close(case.encoder().encode_all(view), expected, rtol=1e-12, atol=1e-12)


def check_isolated_nodes(case: EncoderCase) -> None:
    """Nodes without edges get finite embeddings and gradients, also when no node has an edge."""
    encoder = case.encoder()
    users, items = case.feature_matrices
    empty = GraphView.from_scipy(
        sp.csr_matrix((N_USERS, N_ITEMS)), user_features=users, item_features=items, dtype=torch.float64
    )
    for view in (case.view(), empty):
        encoder.zero_grad()
        result = encoder(view, torch.tensor([ISOLATED_USER, N_USERS + ISOLATED_ITEM, 0]))
        result.square().sum().backward()
        assert torch.isfinite(result).all()
        for parameter in encoder.parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def check_gradients(case: EncoderCase) -> None:
    """Every parameter gets a gradient, and it is the slope that finite differences see."""
    encoder, view = case.encoder(), case.view()
    nodes = torch.arange(view.n_nodes)
    weights = torch.randn(
        view.n_nodes, DIM, generator=torch.Generator().manual_seed(case.seed), dtype=torch.float64
    )

    def value() -> torch.Tensor:
        total: torch.Tensor = (encoder(view, nodes) * weights).sum()
        return total

    value().backward()  # type: ignore[no-untyped-call]
    step = 1e-6
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert bool((parameter.grad != 0).any()), f"{name} gets a gradient of zeros"
        direction = torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(case.seed), dtype=torch.float64
        )
        with torch.no_grad():
            parameter.add_(direction, alpha=step)
            above = value()
            parameter.add_(direction, alpha=-2 * step)
            below = value()
            parameter.add_(direction, alpha=step)
        slope = (above - below) / (2 * step)
        torch.testing.assert_close(slope, (parameter.grad * direction).sum(), rtol=1e-5, atol=1e-6)


def check_seeds(case: EncoderCase) -> None:
    """Two builds from one seed are equal, two seeds are not."""

    def parameters(seed: int) -> torch.Tensor:
        encoder = build_encoder(
            case.name,
            n_users=N_USERS,
            n_items=N_ITEMS,
            dim=DIM,
            rng=torch.Generator().manual_seed(seed),
            **case.options,
        )
        return torch.cat([parameter.detach().ravel() for parameter in encoder.parameters()])

    assert torch.equal(parameters(1), parameters(1))
    assert not torch.equal(parameters(1), parameters(2))


def check_view_sizes(case: EncoderCase) -> None:
    """A view of another graph is refused with a sentence."""
    other = GraphView.from_scipy(sp.csr_matrix((N_USERS + 1, N_ITEMS)))
    for call in (lambda: case.encoder().encode_all(other), lambda: case.encoder()(other, torch.tensor([0]))):
        try:
            call()
        except ParameterError as error:
            message = str(error)
        else:
            message = "no error"
        assert message.startswith(f"view must have {N_USERS} users and {N_ITEMS} items"), message


def check_fold_in(case: EncoderCase) -> None:
    """The exported rule folds in users and items, finite, batch equal to single, empty rows included."""
    kind, arrays, params = case.encoder().export_fold_in(case.view())
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in arrays.values())
    rule = build_fold_in(kind, arrays, params)
    assert (rule.n_users, rule.n_items, rule.dim) == (N_USERS, N_ITEMS, DIM)
    users, items = case.feature_matrices
    for fold, edges, features in ((rule.users, case.edges, users), (rule.items, case.edges.T.tocsr(), items)):
        batch = fold(edges, features)
        single = np.concatenate(
            [fold(edges[i], None if features is None else features[i : i + 1]) for i in range(edges.shape[0])]
        )
        assert batch.shape == (edges.shape[0], DIM)
        assert batch.dtype == np.float32
        assert np.isfinite(batch).all()
        np.testing.assert_allclose(batch, single, rtol=1e-4, atol=1e-5)
        assert len(np.unique(batch, axis=0)) > edges.shape[0] // 2


ENCODER_CHECKS: tuple[Callable[[EncoderCase], None], ...] = (
    check_shape_and_determinism,
    check_batch_equals_single,
    check_encode_all,
    check_relabelling,
    check_edge_order,
    check_isolated_nodes,
    check_gradients,
    check_seeds,
    check_view_sizes,
    check_fold_in,
)
