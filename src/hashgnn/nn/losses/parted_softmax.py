"""The full softmax where each process of a group holds some of the items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hashgnn.nn.losses.full_softmax import SoftmaxWorkspace, starts_of
from hashgnn.nn.losses.targets import Targets
from hashgnn.nn.losses.top_k import TopK, shift_of
from hashgnn.nn.peers import Peers, differentiable_sum

_CHUNK_BYTES = 64 << 20
_SAFE_EXPONENT = 60.0  # exponentials of scores up to this one, and sums of a billion of them, are finite
_N_PARTIAL_SUMS = 16


@dataclass(frozen=True)
class PartedItems:
    """The parts of a softmax over all items that every process knows.

    Attributes
    ----------
    peers : Peers
    row_weights : Tensor of shape (n_rows,)
        Sum of the target weights of each row, over the items of all processes.
    n_largest : int
        Items of the process that has the most; it decides how many rows are in memory at once.
    """

    peers: Peers
    row_weights: torch.Tensor
    n_largest: int


@dataclass(frozen=True)
class PartedScores:
    """Factors and bias of the scores ``queries @ items.T + bias`` of this process's items.

    Attributes
    ----------
    queries : Tensor of shape (n_rows, dim)
        Equal in all processes. Each gets a part of their gradient.
    items : Tensor of shape (n_own, dim)
        Those of this process; there may be none.
    bias : Tensor of shape (n_own,), optional
    """

    queries: torch.Tensor
    items: torch.Tensor
    bias: torch.Tensor | None = None


def parted_softmax(
    scores: Sequence[PartedScores],
    targets: Targets,
    parted: PartedItems,
    *,
    excluded: tuple[torch.Tensor, torch.Tensor] | None = None,
    workspace: SoftmaxWorkspace | None = None,
    top_k: Sequence[TopK] | None = None,
) -> list[torch.Tensor]:
    """Return this process's part of the cross-entropy of :func:`full_softmax`; the parts of all add up to it.

    Each process computes the scores of its own items. Of every row it tells the others the largest score and the
    sum of exponentials, two numbers, so that all divide by the same sum.

    Parameters
    ----------
    scores : sequence of PartedScores
        Kinds of scores for the same rows and items, as of codes and of embeddings. The processes meet once for all.
    targets : Targets
        The entries of the targets whose items are this process's, columns by place in ``items``.
    parted : PartedItems
    excluded : pair of LongTensor, optional
        Rows, ascending, and places of own items that are left out; no row without targets may be among them.
    workspace : SoftmaxWorkspace, optional
        Computes in bfloat16, as for :func:`full_softmax`.
    top_k : sequence of TopK, optional
        As for :func:`full_softmax`, one for each kind of scores, with ``log_counts`` of own items. Kept thresholds are
        those of all processes. The processes meet once more, before: each tells the others the K best scores of each
        row, or how many score above a kept threshold.

    Returns
    -------
    list of Tensor, scalars
        One of each kind.
    """
    tensors = [part for one in scores for part in (one.queries, one.items, one.bias)]
    losses: tuple[torch.Tensor, ...] = _PartedSoftmax.apply(  # type: ignore[no-untyped-call]
        targets, parted, excluded, workspace, top_k, torch.is_grad_enabled(), *tensors
    )
    return list(losses)


def parted_bilateral_softmax(
    scores: Sequence[PartedScores], targets: Targets, parted: PartedItems, *, ratio: float, **options: Any
) -> list[torch.Tensor]:
    """Return this process's part of :func:`bilateral_full_softmax`; the parameters are those of :func:`parted_softmax`."""
    plain = parted_softmax(scores, targets, parted, **options)
    return [
        loss + _bilateral_part(one, targets, parted, ratio) for loss, one in zip(plain, scores, strict=True)
    ]


def _bilateral_part(of: PartedScores, targets: Targets, parted: PartedItems, ratio: float) -> torch.Tensor:
    rows, columns = targets.rows, targets.columns
    scores = (of.queries[rows] * of.items[columns]).sum(dim=1)
    if of.bias is not None:
        scores = scores + of.bias[columns]
    weights, totals = targets.weights.to(scores.dtype), parted.row_weights.to(scores.dtype)
    values = scores / ratio
    top = torch.full_like(totals, -torch.inf).scatter_reduce(0, rows, values.detach(), "amax")
    top = parted.peers.max_(top)
    top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
    shares = weights / totals[rows].clamp_min(1e-30)
    sums = torch.zeros_like(totals).index_add(0, rows, shares * torch.exp(values - top[rows]))
    sums = differentiable_sum(parted.peers, sums)
    means = torch.log(sums.clamp_min(torch.finfo(sums.dtype).tiny)) + top
    # All processes have the same means: each counts its part of them.
    of_means = ratio * (totals * means.masked_fill(totals == 0, 0.0)).sum() / parted.peers.size
    return ((weights * scores).sum() - of_means) / targets.n_rows


class _PartedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        targets: Targets,
        parted: PartedItems,
        excluded: tuple[torch.Tensor, torch.Tensor] | None,
        workspace: SoftmaxWorkspace | None,
        top_k: Sequence[TopK] | None,
        with_gradient: bool,
        *tensors: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        terms = [
            _Term(PartedScores(*tensors[3 * number : 3 * number + 3]), workspace, rule)  # type: ignore[arg-type]
            for number, rule in enumerate(top_k or [None] * (len(tensors) // 3))
        ]
        first = terms[0]
        n_rows, wide = len(first.q), first.wide
        if workspace is None:
            chunk = max(1, min(n_rows, _CHUNK_BYTES // (first.q.itemsize * max(parted.n_largest, 1))))
            rooms = [first.q.new_empty(chunk, len(first.v)) for _ in terms]
        else:
            chunk = workspace.n_rows(n_rows, workspace.n_columns(parted.n_largest))
            rooms = list(workspace.buffers(chunk, len(first.v), first.q.device, len(terms)))
        starts = torch.arange(0, n_rows + chunk, chunk, device=first.q.device).clamp_(max=n_rows)
        entries = torch.searchsorted(targets.rows.contiguous(), starts).tolist()
        left_out = starts_of(excluded, starts)
        row_weights = parted.row_weights.to(wide)
        for block, start in enumerate(range(0, n_rows, chunk)):
            part = slice(entries[block], entries[block + 1])
            place = targets.rows[part] - start, targets.columns[part]
            weights = targets.weights[part].to(wide)
            out = None
            if excluded is not None:
                pairs = slice(left_out[block], left_out[block + 1])
                out = excluded[0][pairs] - start, excluded[1][pairs]
            rows = slice(start, start + chunk)
            for term, room in zip(terms, rooms, strict=True):
                term.score(rows, room, place, weights, row_weights[rows], out)
            if top_k is not None:
                _compare(terms, top_k, rows, parted)
            shared = torch.stack([term.exponentials() for term in terms])
            found = parted.peers.gather(shared)  # (size, terms, 2, 4 or 6, n)
            for number, term in enumerate(terms):
                term.move_thresholds(rows, found[:, number])
                term.learn(rows, found[:, number], with_gradient=with_gradient)
        ctx.save_for_backward(*(x for term in terms for x in term.gradients(n_rows)))
        ctx.terms = [(x.dim, x.has_bias, x.dtypes) for x in terms]
        return tuple(term.total / n_rows for term in terms)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        found: list[torch.Tensor | None] = [None] * 6
        saved = ctx.saved_tensors
        for number, (dim, has_bias, dtypes) in enumerate(ctx.terms):
            d_queries, d_items = (gradients[number] * x for x in saved[2 * number : 2 * number + 2])
            found += [d_queries[:, :dim].to(dtypes[0]), d_items[:, :dim].to(dtypes[1])]
            found.append(d_items[:, dim] if has_bias else None)
        return tuple(found)


def _compare(terms: Sequence[_Term], rules: Sequence[TopK], rows: slice, parted: PartedItems) -> None:
    """Find the thresholds of a block of rows from the scores of all processes, and apply the rules of the K best."""
    found: list[torch.Tensor | None] = [None] * len(terms)
    # All processes keep the same thresholds, so that they take the same way.
    if any(rule.needs_best(rows) for rule in rules):
        best = torch.stack([term.best() for term in terms])
        of_all = parted.peers.gather(best)  # (size, terms, 2K, n)
        found = [term.levels_of(of_all[:, number]) for number, term in enumerate(terms)]
    for term, rule, one in zip(terms, rules, found, strict=True):
        term.compare(rule.known(rows, one))


class _Term:
    """One kind of scores: its exponentials, loss and gradients, a block of rows at a time.

    Attributes
    ----------
    q, v : Tensor of shape (n_rows, dim + has_bias), (n_columns, dim + has_bias)
        Queries and own items, and rows without an item where the workspace rounds up. As a further column the bias
        rides along in the products, both ways.
    total : Tensor, scalar
        The sum over the rows so far.
    """

    def __init__(self, scores: PartedScores, workspace: SoftmaxWorkspace | None, top_k: TopK | None) -> None:
        queries, items, bias = scores.queries, scores.items, scores.bias
        dtype = torch.bfloat16 if workspace is not None else torch.promote_types(queries.dtype, torch.float32)
        self.dim, self.has_bias, self.dtypes = (
            queries.shape[1],
            bias is not None,
            (queries.dtype, items.dtype),
        )
        self.wide = torch.promote_types(dtype, torch.float32)
        self.q, self._n_own = queries.to(dtype), len(items)
        if bias is not None:
            self.q = torch.cat([self.q, self.q.new_ones(len(queries), 1)], dim=1)
        if workspace is not None:
            self.v = workspace.table(items, bias)
        else:
            columns = [items] if bias is None else [items, bias.unsqueeze(1)]
            self.v = torch.cat([column.to(dtype) for column in columns], dim=1)
        self._top_k = None if top_k is None else top_k.widened(len(self.v))
        # A rule of the K best changes what the scores can be.
        self._is_safe = top_k is None and _largest_score(self.q, self.v) < _SAFE_EXPONENT
        self._turned: torch.Tensor | None = None
        self._d_queries = torch.zeros_like(self.q)
        self._d_items: torch.Tensor | None = None
        self.total = torch.zeros((), dtype=self.wide, device=self.q.device)

    def score(
        self,
        rows: slice,
        room: torch.Tensor,
        place: tuple[torch.Tensor, torch.Tensor],
        weights: torch.Tensor,
        row_weights: torch.Tensor,
        out: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> None:
        """Make the scores of a block of rows in ``room``."""
        q = self.q[rows]
        self._s = torch.mm(q, self.v.T, out=room[: len(q)])
        self._s[:, self._n_own :] = -torch.inf
        self._place, self._weights, self._row_weights = place, weights, row_weights
        if out is not None:
            self._s[out] = -torch.inf

    def best(self) -> torch.Tensor:
        """Return the K best scores of a block of rows and what each counts, (2K, n)."""
        assert self._top_k is not None
        values, counts = (x.T.to(self.wide) for x in self._top_k.best(self._s))
        missing = self._top_k.k - len(values), len(self._s)
        none = values.new_full(missing, -torch.inf), counts.new_zeros(missing)
        return torch.cat([values, none[0], counts, none[1]])

    def levels_of(self, found: torch.Tensor) -> torch.Tensor:
        """Return the thresholds of a block's rows, (n,), by the best scores in all processes, (size, 2K, n)."""
        assert self._top_k is not None
        k = self._top_k.k
        values, counts = (x.flatten(0, 1).T for x in (found[:, :k], found[:, k:]))
        values, order = torch.sort(values, dim=1, descending=True)
        return self._top_k.levels_of(values, counts.gather(1, order))

    def compare(self, levels: torch.Tensor) -> None:
        """Apply the rule of the K best to a block of rows, by their thresholds, (n,)."""
        rule = self._top_k
        assert rule is not None
        self._levels = levels
        self._weights, n_above = rule.apply(self._s, levels, self._place, self._weights)
        self._n_above = torch.zeros_like(levels) if n_above is None else n_above.to(levels.dtype)
        self._row_weights = torch.zeros_like(levels).index_add_(0, self._place[0], self._weights)
        self._turned = self._s.clone() if rule.loss == "talos" else None
        if rule.moves_with_scores:
            assert self._turned is not None
            self._factor = rule.derivative_(self._turned)

    def move_thresholds(self, rows: slice, found: torch.Tensor) -> None:
        """Move the kept thresholds of a block, once it is known what all processes have, (size, 2, 4 or 6, n)."""
        if self._top_k is not None and self._top_k.thresholds is not None:
            self._top_k.move(rows, self._levels, found[:, 3].sum(dim=0))

    def exponentials(self) -> torch.Tensor:
        """Turn a block's scores into exponentials; return what the others need of them, (2, n).

        With ``top_k`` it is (4, n): the sums of own target weights, and how many own items score above the threshold.
        Where the threshold moves with the scores, nothing is kept of it, and the last is three: the parts of the
        gradient's sum that come from exponentials and from targets, and the sum of densities.
        """
        s = self._s
        self._picked = s[self._place].to(self.wide)
        if self._is_safe or not s.shape[1]:
            self._top = torch.zeros(len(s), dtype=self.wide, device=s.device)
        else:
            top = s.amax(dim=1)
            # A row in which everything is left out.
            top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
            s.sub_(top.unsqueeze(1))
            self._top = top.to(self.wide)
        sums = _row_sums(s.exp_(), self.wide)
        # What was subtracted counts only where there is a score.
        found = [torch.where(sums > 0, self._top, -torch.inf), sums]
        if self._top_k is not None:
            found.append(self._row_weights)
            found += self._moved_by_scores() if self._top_k.moves_with_scores else [self._n_above]
        return torch.stack(found)

    def _moved_by_scores(self) -> list[torch.Tensor]:
        assert self._top_k is not None
        of_targets = self._weights * self._factor[self._place].to(self.wide)
        targets = torch.zeros_like(self._row_weights).index_add_(0, self._place[0], of_targets)
        self._densities = self._top_k.densities(self._factor)
        return [
            _row_sums(self._s * self._factor, self.wide),
            targets,
            _row_sums(self._densities, self.wide),
        ]

    def learn(self, rows: slice, found: torch.Tensor, *, with_gradient: bool) -> None:
        """Add a block's loss and gradients, once it is known what all processes have, (size, 2, 4 or 6, n)."""
        place, weights = self._place, self._weights
        tops, all_sums = found[:, 0], found[:, 1]
        highest = tops.amax(dim=0)
        highest = torch.where(torch.isinf(highest), torch.zeros_like(highest), highest)
        whole = (all_sums * torch.exp(tops - highest)).sum(dim=0).clamp_min(torch.finfo(self.wide).tiny)
        # Of each target: its weight times what all items of its row sum to, less its own score.
        self.total -= (weights * (self._picked - (highest + whole.log())[place[0]])).sum()
        if not with_gradient:
            return
        row_weights = self._row_weights if self._top_k is None else found[:, 2].sum(dim=0)
        s, q = self._s, self.q[rows]
        # An exponential times this factor is the probability of an item.
        factor = torch.exp(self._top - highest) / whole
        s.mul_((factor * row_weights).unsqueeze(1).to(s.dtype))
        s.index_put_(place, -weights.to(s.dtype), accumulate=True)
        if self._turned is not None and self._top_k is not None and not self._top_k.moves_with_scores:
            self._top_k.times_derivative_(s, self._turned)
        if self._top_k is not None and self._top_k.moves_with_scores:
            s.mul_(self._factor)
            of_exponentials = (found[:, 3] * torch.exp(tops - highest)).sum(dim=0) / whole * row_weights
            gradients = of_exponentials - found[:, 4].sum(dim=0)
            shift = shift_of(gradients, found[:, 5].sum(dim=0))
            self._top_k.follow_level_(s, self._densities, shift)
        torch.mm(s, self.v, out=self._d_queries[rows])
        of_block = s.T @ q
        self._d_items = of_block.to(self.wide) if self._d_items is None else self._d_items.add_(of_block)

    def gradients(self, n_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return those of queries and items, of the mean over rows."""
        d_items = self._d_items
        if d_items is None:  # no gradient is wanted
            d_items = torch.zeros_like(self.v, dtype=self.wide)
        return self._d_queries.to(self.wide).div_(n_rows), d_items[: self._n_own].div_(n_rows)


def _largest_score(q: torch.Tensor, v: torch.Tensor) -> float:
    """Return a number that no product of a row of ``q`` and one of ``v`` exceeds, nor falls below its negative."""
    if not len(v):
        return 0.0
    of_q, of_v = (torch.linalg.vector_norm(x, dim=1).max() for x in (q, v))
    return float(of_q * of_v)


def _row_sums(s: torch.Tensor, wide: torch.dtype) -> torch.Tensor:
    """Return the sums of rows (n, m) in the wide type.

    In bfloat16, torch would first make a wide copy of it all. It adds wide numbers in any case, so that some partial
    sums are rounded here, each for itself.
    """
    if s.dtype == wide:
        return s.sum(dim=1)
    width = s.shape[1] // _N_PARTIAL_SUMS
    end = width * _N_PARTIAL_SUMS
    sums = s[:, :end].view(len(s), _N_PARTIAL_SUMS, width).sum(dim=2)
    return sums.sum(dim=1, dtype=wide) + s[:, end:].sum(dim=1, dtype=wide)
