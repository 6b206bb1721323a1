"""Every loss against its formula in NumPy, float64, and its gradient against finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.nn import (
    SoftmaxWorkspace,
    Targets,
    TopK,
    bilateral_full_softmax,
    bilateral_softmax,
    bit_balance,
    bpr,
    combined,
    decorrelation,
    full_softmax,
    psl,
    ranking_hinge,
    reconstruction_loss,
    sampled_softmax,
)

N_EDGES, N_NEGATIVES = 7, 3


def sigma(s):
    return 1 / (1 + np.exp(-s))


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(0, 2, N_EDGES), rng.normal(0, 2, (N_EDGES, N_NEGATIVES))
    return torch.tensor(positive, requires_grad=True), torch.tensor(negative, requires_grad=True)


def numpy_reconstruction(positive, negative):
    total = 0.0
    for e in range(len(positive)):
        total -= np.log(sigma(positive[e]))
        for m in range(negative.shape[1]):
            total -= np.log(1 - sigma(negative[e, m]))
    return total / len(positive)


def numpy_hinge(positive, negative, margin):
    total = 0.0
    for e in range(len(positive)):
        for m in range(negative.shape[1]):
            total += max(0.0, -sigma(positive[e]) + sigma(negative[e, m]) + margin)
    return total / len(positive)


def numpy_bpr(positive, negative):
    return -np.log(sigma(positive[:, None] - negative)).sum() / len(positive)


USERS = torch.tensor([0, 1, 0, 3, 1, 0, 6])


def numpy_bilateral(positive, negative, ratio):
    total = 0.0
    for e in range(len(positive)):
        own = [positive[f] for f in range(len(positive)) if USERS[f] == USERS[e]]
        total -= ratio * np.log(np.mean(np.exp(np.array(own) / ratio)))
        total += np.log(np.mean(np.exp(negative[e])))
    return total / len(positive)


def bilateral(positive, negative, ratio):
    users = USERS.repeat(len(positive) // N_EDGES) if len(positive) >= N_EDGES else USERS[: len(positive)]
    return bilateral_softmax(positive, negative, users=users, ratio=ratio)


SURROGATES = {
    "tanh": lambda d: np.tanh(d) + 1,
    "relu": lambda d: max(0, d + 1),
    "atan": lambda d: np.arctan(d) + 1,
}


def numpy_psl(positive, negative, phi, tau):
    """The paper's first form: log of a sum of φ(d)^(1/τ) over the pairs of a positive."""
    total = 0.0
    for e in range(len(positive)):
        gaps = [s - positive[e] for s in negative[e]]
        total += np.log(sum(max(phi(d), 1e-6) ** (1 / tau) for d in gaps))
    return total / len(positive)


LOSSES = {
    "reconstruction": (reconstruction_loss, numpy_reconstruction),
    "hinge": (lambda p, n: ranking_hinge(p, n, margin=0.3), lambda p, n: numpy_hinge(p, n, 0.3)),
    "bpr": (bpr, numpy_bpr),
    "combined hinge": (
        lambda p, n: combined(
            p, n, partial(ranking_hinge, margin=0.1), reconstruction_weight=0.5, ranking_weight=2.0
        ),
        lambda p, n: 0.5 * numpy_reconstruction(p, n) + 2 * numpy_hinge(p, n, 0.1),
    ),
    "combined bpr": (
        lambda p, n: combined(p, n, bpr, reconstruction_weight=0.1),
        lambda p, n: 0.1 * numpy_reconstruction(p, n) + numpy_bpr(p, n),
    ),
    "ranking alone": (lambda p, n: combined(p, n, bpr, reconstruction_weight=0), numpy_bpr),
    "bilateral": (lambda p, n: bilateral(p, n, 1.0), lambda p, n: numpy_bilateral(p, n, 1.0)),
    "bilateral, soft": (lambda p, n: bilateral(p, n, 3.0), lambda p, n: numpy_bilateral(p, n, 3.0)),
    **{
        f"psl {name}": (
            partial(psl, activation=name, temperature=0.7),
            partial(numpy_psl, phi=phi, tau=0.7),
        )
        for name, phi in SURROGATES.items()
    },
    "sampled softmax": (
        sampled_softmax,
        lambda p, n: (np.log(np.exp(p) + np.exp(n).sum(axis=1)) - p).mean(),
    ),
}


@pytest.mark.parametrize(("loss", "formula"), LOSSES.values(), ids=LOSSES)
def test_loss_equals_its_formula(scores, loss, formula) -> None:
    expected = formula(scores[0].detach().numpy(), scores[1].detach().numpy())
    assert loss(*scores).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()], ids=LOSSES)
def test_gradient_of_loss_is_right(scores, loss) -> None:
    assert torch.autograd.gradcheck(loss, scores)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()], ids=LOSSES)
def test_loss_does_not_change_when_the_batch_is_doubled(scores, loss) -> None:
    twice = [torch.cat([x, x]) for x in scores]
    assert loss(*twice).item() == pytest.approx(loss(*scores).item(), rel=1e-12)


@pytest.mark.parametrize("loss", [reconstruction_loss, bpr, sampled_softmax])
def test_loss_of_extreme_scores_is_finite(loss) -> None:
    positive = torch.tensor([-4096.0, 4096.0], requires_grad=True)
    negative = torch.tensor([[4096.0], [-4096.0]], requires_grad=True)
    value = loss(positive, negative)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(positive.grad).all()


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()], ids=LOSSES)
def test_scores_of_wrong_shape_raise(loss) -> None:
    with pytest.raises(ParameterError, match=r"negative must have shape \(4, n_negatives\), got \(4,\)"):
        loss(torch.zeros(4), torch.zeros(4))
    with pytest.raises(
        ParameterError, match=r"positive must have shape \(n_edges,\), n_edges >= 1, got \(0,\)"
    ):
        loss(torch.zeros(0), torch.zeros(0, 2))


def test_negative_margin_raises() -> None:
    with pytest.raises(ParameterError, match="margin must be a finite number >= 0, got -1"):
        ranking_hinge(torch.zeros(1), torch.zeros(1, 1), margin=-1)


def test_sampled_softmax_with_all_corrections_equals_its_formula(scores) -> None:
    rng = np.random.default_rng(1)
    log_q, log_q_positive = rng.normal(size=(N_EDGES, N_NEGATIVES)), rng.normal(size=N_EDGES)
    mask = rng.random((N_EDGES, N_NEGATIVES)) < 0.4
    positive, negative = (x.detach().numpy() for x in scores)
    a, b = positive - log_q_positive, np.where(mask, -np.inf, negative - log_q)
    expected = (np.log(np.exp(a) + np.exp(b).sum(axis=1)) - a).mean()
    options = {
        "log_q": torch.tensor(log_q),
        "log_q_positive": torch.tensor(log_q_positive),
        "mask": torch.tensor(mask),
    }
    assert sampled_softmax(*scores, **options).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda p, n: sampled_softmax(p, n, **options), scores)


def test_log_q_makes_the_sampled_sum_unbiased() -> None:
    """Over many draws, the mean of ``exp(loss) - 1`` comes to Σ_all exp(s) / exp(s⁺), and without it does not."""
    rng = np.random.default_rng(2)
    catalogue, q = rng.normal(size=20), rng.dirichlet(np.ones(20) * 2)
    n_negatives, n_draws = 8, 20000
    draws = rng.choice(20, size=(n_draws, n_negatives), p=q)
    exact = np.exp(catalogue).sum() / np.exp(0.5)

    def estimate(log_q):
        losses = [
            sampled_softmax(torch.tensor([0.5]).double(), torch.tensor(catalogue[draw])[None], log_q=lq[None])
            for draw, lq in zip(draws[:4000], log_q[:4000], strict=True)
        ]
        return float(np.mean(np.exp(torch.stack(losses).numpy()) - 1))

    corrected = torch.tensor(np.log(n_negatives * q[draws]))
    assert estimate(corrected) == pytest.approx(exact, rel=0.03)
    assert abs(estimate(torch.zeros_like(corrected)) - exact) > 0.2 * exact


def test_bilateral_softmax_of_one_positive_a_user_is_the_softmax_over_sampled_items(scores) -> None:
    """Without the observed item below the line, and up to the constant log of the number of samples."""
    positive, negative = scores
    expected = (torch.logsumexp(negative, dim=1) - np.log(N_NEGATIVES) - positive).mean()
    for ratio in (0.2, 5.0):
        loss = bilateral_softmax(positive, negative, users=torch.arange(N_EDGES), ratio=ratio)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_doubtful_positives_pull_less_in_the_bilateral_softmax() -> None:
    positive = torch.tensor([2.0, 2.0, -3.0], requires_grad=True)
    bilateral_softmax(positive, torch.zeros(3, 2), users=torch.zeros(3, dtype=torch.long)).backward()
    assert abs(positive.grad[2]) < 0.01 * abs(positive.grad[0])


def test_bilateral_softmax_of_extreme_scores_is_finite_and_wrong_input_raises() -> None:
    positive = torch.tensor([-4096.0, 4096.0], requires_grad=True)
    loss = bilateral_softmax(positive, torch.tensor([[4096.0], [-4096.0]]), users=torch.tensor([0, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(positive.grad).all()
    with pytest.raises(ParameterError, match=r"users must have shape \(2,\), got \(3,\)"):
        bilateral_softmax(positive, torch.zeros(2, 1), users=torch.zeros(3, dtype=torch.long))
    with pytest.raises(ParameterError, match="ratio must be a finite number > 0, got 0"):
        bilateral_softmax(positive, torch.zeros(2, 1), users=torch.zeros(2, dtype=torch.long), ratio=0)


@pytest.mark.parametrize("activation", SURROGATES)
def test_psl_of_extreme_scores_is_finite(activation) -> None:
    positive = torch.tensor([-4096.0, 4096.0], requires_grad=True)
    loss = psl(positive, torch.tensor([[4096.0], [-4096.0]]), activation=activation, temperature=0.1)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(positive.grad).all()


def test_psl_is_bounded_where_the_softmax_is_not_and_wrong_options_raise() -> None:
    far = torch.tensor([-50.0]), torch.tensor([[50.0, 0.0]])
    assert psl(*far).item() == pytest.approx(np.log(4))
    assert psl(*far, activation="relu").item() == pytest.approx(np.log(101 + 51))
    with pytest.raises(ParameterError, match=r"activation must be .*tanh.*, got 'exp'"):
        psl(*far, activation="exp")
    with pytest.raises(ParameterError, match="temperature must be a finite number > 0, got 0"):
        psl(*far, temperature=0)


def test_code_penalties_equal_their_formulas() -> None:
    codes = torch.tensor(np.random.default_rng(4).normal(size=(11, 6)), requires_grad=True)
    h = codes.detach().numpy()
    balance = sum(h[:, b].mean() ** 2 for b in range(6)) / 6
    pairs = sum((h[:, b] * h[:, c]).mean() ** 2 for b in range(6) for c in range(6) if b != c) / 30
    assert bit_balance(codes).item() == pytest.approx(balance, rel=1e-12)
    assert decorrelation(codes).item() == pytest.approx(pairs, rel=1e-12)
    assert torch.autograd.gradcheck(bit_balance, (codes,))
    assert torch.autograd.gradcheck(decorrelation, (codes,))


def test_code_penalties_vanish_for_a_hadamard_matrix_and_refuse_other_shapes() -> None:
    hadamard = torch.ones(1, 1)
    for _ in range(3):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    assert bit_balance(hadamard[:, 1:]) == decorrelation(hadamard) == 0
    for penalty in (bit_balance, decorrelation):
        with pytest.raises(ParameterError, match=r"codes must have shape .*, got \(0, 8\)"):
            penalty(torch.zeros(0, 8))


def dense_targets(targets: Targets, n_items: int) -> np.ndarray:
    dense = np.zeros((targets.n_rows, n_items))
    np.add.at(dense, (targets.rows.numpy(), targets.columns.numpy()), targets.weights.numpy())
    return dense


def numpy_full_softmax(queries, items, bias, dense):
    s = queries @ items.T + bias
    logsumexp = np.log(np.exp(s - s.max(axis=1, keepdims=True)).sum(axis=1)) + s.max(axis=1)
    return (dense * (logsumexp[:, None] - s)).sum() / len(queries)


@pytest.fixture
def softmax_case():
    rng = np.random.default_rng(3)
    queries, items, bias = rng.normal(size=(5, 4)), rng.normal(size=(9, 4)), rng.normal(size=9)
    # Row 1 asks for nothing, row 4 has an item twice.
    observed = Targets.from_lists(
        torch.tensor([0, 3, 8, 2, 5, 5]), torch.tensor([2, 0, 1, 1, 2]), dtype=torch.float64
    )
    teacher = Targets.from_ranked(
        torch.tensor([[1, 3, -1], [4, 0, 2], [-1, -1, -1], [7, 8, 6], [5, -1, -1]]),
        torch.tensor([[1.0, 0.5, 9.0]]).repeat(5, 1).double(),
    )
    parts = [torch.tensor(x, requires_grad=True) for x in (queries, items, bias)]
    return parts, observed, teacher


@pytest.mark.parametrize("chunk", [1, 2, 5, 512])
@pytest.mark.parametrize("mixture", [0.0, 0.3, 1.0])
def test_full_softmax_equals_its_formula(softmax_case, chunk, mixture) -> None:
    (queries, items, bias), observed, teacher = softmax_case
    targets = observed.mixed_with(teacher, mixture)
    dense = (1 - mixture) * dense_targets(observed, 9) + mixture * dense_targets(teacher, 9)
    expected = numpy_full_softmax(*(x.detach().numpy() for x in (queries, items, bias)), dense)
    loss = full_softmax(queries, items, targets, bias=bias, chunk=chunk)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_gradient_of_full_softmax_is_right(softmax_case) -> None:
    (queries, items, bias), observed, teacher = softmax_case
    targets = observed.mixed_with(teacher, 0.6)
    assert torch.autograd.gradcheck(
        lambda q, v, b: 3 * full_softmax(q, v, targets, bias=b, chunk=2), (queries, items, bias)
    )
    assert torch.autograd.gradcheck(lambda q: full_softmax(q, items.detach(), targets), (queries,))
    assert torch.autograd.gradcheck(lambda v: full_softmax(queries.detach(), v, targets), (items,))


def test_full_softmax_equals_cross_entropy_of_torch(softmax_case) -> None:
    (queries, items, bias), _, _ = softmax_case
    labels = torch.tensor([0, 3, 8, 2, 5])
    targets = Targets.from_lists(labels, torch.ones(5, dtype=torch.long))
    expected = torch.nn.functional.cross_entropy(queries @ items.T + bias, labels)
    assert full_softmax(queries, items, targets, bias=bias).item() == pytest.approx(
        expected.item(), rel=1e-12
    )


@pytest.mark.parametrize("chunk", [1, 2, 512])
def test_excluded_pairs_are_out_of_the_softmax_and_get_no_gradient(softmax_case, chunk) -> None:
    (queries, items, bias), observed, _ = softmax_case
    excluded = torch.tensor([0, 0, 2, 4]), torch.tensor([1, 7, 0, 8])
    s = queries.detach().numpy() @ items.detach().numpy().T + bias.detach().numpy()
    s[excluded[0].numpy(), excluded[1].numpy()] = -np.inf
    dense, finite = dense_targets(observed, 9), np.isfinite(s)
    sums = np.log(np.where(finite, np.exp(s), 0).sum(axis=1))
    expected = (dense * np.where(finite, sums[:, None] - s, 0)).sum() / 5
    loss = full_softmax(queries, items, observed, bias=bias, excluded=excluded, chunk=chunk)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda q, v, b: full_softmax(q, v, observed, bias=b, excluded=excluded, chunk=chunk),
        (queries, items, bias),
    )
    half = full_softmax(
        *(x.detach().float() for x in (queries, items)),
        Targets(5, observed.rows, observed.columns, observed.weights.float()),
        bias=bias.detach().float(),
        excluded=excluded,
        workspace=SoftmaxWorkspace(),
    )
    assert half.item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("rule", [None, "slatk", "talos", "talos of kept thresholds"])
@pytest.mark.parametrize("is_biased", [True, False])
def test_columns_without_an_item_change_nothing(rule: str | None, is_biased: bool) -> None:
    n_rows, n_items = 9, 1003
    generator = torch.Generator().manual_seed(0)
    queries, items = (torch.randn(n, 16, generator=generator) for n in (n_rows, n_items))
    bias = torch.randn(n_items, generator=generator) if is_biased else None
    targets = Targets.from_lists(torch.arange(0, n_items, 40), torch.tensor([3, 0, 5, 3, 3, 3, 3, 3, 3]))
    excluded = torch.arange(n_rows), torch.arange(n_rows) + 1
    found = []
    for workspace in (SoftmaxWorkspace(), SoftmaxWorkspace(rounds_up=True)):
        kept = torch.linspace(-1, 1, n_rows) if rule == "talos of kept thresholds" else None
        top_k = None
        if rule is not None:
            counts = torch.rand(n_items, generator=torch.Generator().manual_seed(1))
            loss = "slatk" if rule == "slatk" else "talos"
            top_k = TopK(20, 2.0, loss, log_counts=counts, thresholds=kept)
        leaves = [x.clone().requires_grad_() for x in (queries, items)]
        options = {"bias": bias, "excluded": excluded, "workspace": workspace, "top_k": top_k}
        loss_of_all = full_softmax(*leaves, targets, **options)
        loss_of_all.backward()
        found.append([loss_of_all.detach(), *(x.grad for x in leaves), *([] if kept is None else [kept])])
    assert SoftmaxWorkspace(rounds_up=True).n_columns(n_items) == 1008
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=2e-4)


@pytest.mark.parametrize("n_items", [0, 1, 11, 64, 1000, 1024, 1025, 14_003, 40_981])
def test_rounding_up_makes_few_sizes(n_items: int) -> None:
    workspace = SoftmaxWorkspace(rounds_up=True)
    n_columns = workspace.n_columns(n_items)
    assert n_items <= n_columns <= n_items * (1 + 1 / 32)
    assert SoftmaxWorkspace().n_columns(n_items) == n_items
    assert len({workspace.n_columns(n) for n in range(n_items, 2 * n_items + 1)}) <= 70


@pytest.mark.parametrize("workspace", [None, SoftmaxWorkspace()], ids=["exact", "half"])
def test_a_row_that_asks_for_nothing_may_have_every_item_excluded(workspace) -> None:
    queries, items = torch.ones(2, 3, requires_grad=True), torch.ones(4, 3, requires_grad=True)
    targets = Targets.from_lists(torch.tensor([2]), torch.tensor([0, 1]))
    excluded = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 1, 2, 3, 0])
    loss = full_softmax(queries, items, targets, excluded=excluded, workspace=workspace)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3) / 2, rel=0.01)  # three items left, with equal scores
    assert not queries.grad[0].any()
    assert torch.isfinite(items.grad).all()


def test_a_mixture_may_have_another_weight_in_each_row(softmax_case) -> None:
    _, observed, teacher = softmax_case
    shares = torch.tensor([0.0, 1.0, 0.25, 0.5, 0.7], dtype=torch.float64)
    found = dense_targets(observed.mixed_with(teacher, shares), 9)
    column = shares.numpy()[:, None]
    expected = (1 - column) * dense_targets(observed, 9) + column * dense_targets(teacher, 9)
    np.testing.assert_allclose(found, expected, atol=1e-15)
    with pytest.raises(ParameterError, match=r"weight must hold 5 numbers in \[0, 1\], got shape \(4,\)"):
        observed.mixed_with(teacher, shares[:4])


@pytest.mark.parametrize("ratio", [0.4, 1.0, 7.0])
def test_bilateral_full_softmax_equals_its_formula(softmax_case, ratio) -> None:
    (queries, items, bias), observed, teacher = softmax_case
    targets = observed.mixed_with(teacher, 0.6)
    dense = dense_targets(targets, 9)
    s = queries.detach().numpy() @ items.detach().numpy().T + bias.detach().numpy()
    expected = 0.0
    for row in range(5):
        total = dense[row].sum()
        if total:
            expected += total * np.log(np.exp(s[row]).sum())
            expected -= total * ratio * np.log((dense[row] / total * np.exp(s[row] / ratio)).sum())
    loss = bilateral_full_softmax(queries, items, targets, ratio=ratio, bias=bias)
    assert loss.item() == pytest.approx(expected / 5, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda q, v, b: bilateral_full_softmax(q, v, targets, ratio=ratio, bias=b), (queries, items, bias)
    )


def test_bilateral_full_softmax_of_a_large_ratio_is_the_plain_one(softmax_case) -> None:
    (queries, items, _), observed, _ = softmax_case
    found = bilateral_full_softmax(queries, items, observed, ratio=1e7)
    assert found.item() == pytest.approx(full_softmax(queries, items, observed).item(), rel=1e-6)


def test_full_softmax_of_large_scores_is_finite() -> None:
    queries = torch.tensor([[1.0], [-1.0]]).mul(4096).requires_grad_()
    items = torch.tensor([[1.0], [-1.0], [0.5]], requires_grad=True)
    loss = full_softmax(queries, items, Targets.from_lists(torch.tensor([1, 1]), torch.tensor([1, 1])))
    loss.backward()
    assert loss.item() == pytest.approx(4096.0)
    assert torch.isfinite(items.grad).all()


def test_targets_of_teacher_lists_sum_to_one_over_valid_places(softmax_case) -> None:
    _, _, teacher = softmax_case
    dense = dense_targets(teacher, 9)
    np.testing.assert_allclose(dense.sum(axis=1), [1, 1, 0, 1, 1])
    np.testing.assert_allclose(dense[0, [1, 3]], [2 / 3, 1 / 3])


def test_full_softmax_with_wrong_input_raises(softmax_case) -> None:
    (queries, items, bias), observed, teacher = softmax_case
    with pytest.raises(ParameterError, match="targets must name items below 8, got 8"):
        full_softmax(queries, items[:8], observed)
    with pytest.raises(ParameterError, match="targets must have 4 rows, got 5"):
        full_softmax(queries[:4], items, observed)
    with pytest.raises(ParameterError, match=r"items must have shape \(n_items, 4\), got \(9, 3\)"):
        full_softmax(queries, items[:, :3], observed)
    with pytest.raises(ParameterError, match=r"bias must have shape \(9,\), got \(8,\)"):
        full_softmax(queries, items, observed, bias=bias[:8])
    with pytest.raises(ParameterError, match=r"excluded must hold rows and columns of one length"):
        full_softmax(queries, items, observed, excluded=(torch.tensor([1]), torch.tensor([1, 2])))
    with pytest.raises(ParameterError, match="lengths must sum to 2, got 3"):
        Targets.from_lists(torch.tensor([1, 2]), torch.tensor([3]))
    with pytest.raises(ParameterError, match="weight must be a finite number >= 0 and <= 1, got 2"):
        observed.mixed_with(teacher, 2)


def test_softmax_in_half_precision_is_near_the_exact_one_and_reuses_its_buffers() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(50, 16, generator=generator).requires_grad_()
    items = torch.randn(300, 16, generator=generator).requires_grad_()
    bias = torch.randn(300, generator=generator).requires_grad_()
    columns = torch.randint(0, 300, (150,), generator=generator)
    targets = Targets.from_lists(columns, torch.full((50,), 3))
    workspace = SoftmaxWorkspace(max_bytes=2 * 300 * 16)  # 16 rows at a time: a last block that is not full
    parts = (queries, items, bias)
    exact = full_softmax(*parts[:2], targets, bias=bias)
    expected = torch.autograd.grad(2 * exact, parts)
    assert workspace.n_rows(50, 300) == 16
    place = workspace.buffers(16, 300, items.device)[0].data_ptr()
    for _ in range(2):
        loss = full_softmax(*parts[:2], targets, bias=bias, workspace=workspace)
        assert loss.item() == pytest.approx(exact.item(), rel=0.01)
        for found, wanted in zip(torch.autograd.grad(2 * loss, parts), expected, strict=True):
            assert torch.linalg.norm(found - wanted) < 0.02 * torch.linalg.norm(wanted)
    assert workspace.buffers(10, 290, items.device)[0].data_ptr() == place
