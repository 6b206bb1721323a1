"""The full softmax where each process of a group holds some of the items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from hashgnn.nn.losses.full_softmax import SoftmaxWorkspace, starts_of
from hashgnn.nn.losses.targets import Targets
from hashgnn.nn.peers import Peers, differentiable_sum

_CHUNK_BYTES = 64 << 20


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


def parted_softmax(
    queries: torch.Tensor,
    items: torch.Tensor,
    targets: Targets,
    parted: PartedItems,
    *,
    bias: torch.Tensor | None = None,
    excluded: tuple[torch.Tensor, torch.Tensor] | None = None,
    workspace: SoftmaxWorkspace | None = None,
) -> torch.Tensor:
    """Return this process's part of the cross-entropy of :func:`full_softmax`; the parts of all add up to it.

    Each process computes the scores of its own items. Of every row it tells the others the largest score and the
    sum of exponentials, two numbers, so that all divide by the same sum.

    Parameters
    ----------
    queries : Tensor of shape (n_rows, dim)
        Equal in all processes. Each gets a part of their gradient.
    items : Tensor of shape (n_own, dim)
        Those of this process; there may be none.
    targets : Targets
        The entries of the targets whose items are this process's, columns by place in ``items``.
    parted : PartedItems
    bias : Tensor of shape (n_own,), optional
    excluded : pair of LongTensor, optional
        Rows, ascending, and places of own items that are left out; no row without targets may be among them.
    workspace : SoftmaxWorkspace, optional
        Computes in bfloat16, as for :func:`full_softmax`.
    """
    loss: torch.Tensor = _PartedSoftmax.apply(  # type: ignore[no-untyped-call]
        queries, items, bias, targets, parted, excluded, workspace, torch.is_grad_enabled()
    )
    return loss


def parted_bilateral_softmax(
    queries: torch.Tensor,
    items: torch.Tensor,
    targets: Targets,
    parted: PartedItems,
    *,
    ratio: float,
    bias: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:
    """Return this process's part of :func:`bilateral_full_softmax`; the parameters are those of :func:`parted_softmax`."""
    plain = parted_softmax(queries, items, targets, parted, bias=bias, **options)
    rows, columns = targets.rows, targets.columns
    scores = (queries[rows] * items[columns]).sum(dim=1)
    if bias is not None:
        scores = scores + bias[columns]
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
    return plain + ((weights * scores).sum() - of_means) / targets.n_rows


class _PartedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: torch.Tensor,
        items: torch.Tensor,
        bias: torch.Tensor | None,
        targets: Targets,
        parted: PartedItems,
        excluded: tuple[torch.Tensor, torch.Tensor] | None,
        workspace: SoftmaxWorkspace | None,
        with_gradient: bool,
    ) -> torch.Tensor:
        n_rows, dim = queries.shape
        dtype = torch.bfloat16 if workspace is not None else torch.promote_types(queries.dtype, torch.float32)
        q, v = queries.to(dtype), items.to(dtype)
        if bias is not None:
            # As a further column the bias rides along in the products, both ways.
            q = torch.cat([q, q.new_ones(n_rows, 1)], dim=1)
            v = torch.cat([v, bias.to(dtype).unsqueeze(1)], dim=1)
        wide = torch.promote_types(dtype, torch.float32)
        chunk = max(1, min(n_rows, _CHUNK_BYTES // (dtype.itemsize * max(parted.n_largest, 1))))
        starts = torch.arange(0, n_rows + chunk, chunk, device=q.device).clamp_(max=n_rows)
        entries = torch.searchsorted(targets.rows.contiguous(), starts).tolist()
        left_out = starts_of(excluded, starts)
        d_queries = torch.zeros(n_rows, q.shape[1], dtype=dtype, device=q.device)
        d_items: torch.Tensor | None = None
        total = torch.zeros((), dtype=wide, device=q.device)
        row_weights = parted.row_weights.to(wide)
        for block, start in enumerate(range(0, n_rows, chunk)):
            rows = q[start : start + chunk]
            s = rows @ v.T
            if excluded is not None:
                part = slice(left_out[block], left_out[block + 1])
                s[excluded[0][part] - start, excluded[1][part]] = -torch.inf
            part = slice(entries[block], entries[block + 1])
            place = targets.rows[part] - start, targets.columns[part]
            weights = targets.weights[part].to(wide)
            picked = s[place].to(wide)
            top, factor = _normalised(s, parted.peers, wide)
            # Of each target: its weight times what all items of its row sum to, less its own score.
            total -= (weights * (picked - top[place[0]])).sum()
            if not with_gradient:
                continue
            s.mul_((factor * row_weights[start : start + chunk]).unsqueeze(1).to(dtype))
            s.index_put_(place, -weights.to(dtype), accumulate=True)
            torch.mm(s, v, out=d_queries[start : start + chunk])
            of_block = s.T @ rows
            d_items = of_block.to(wide) if d_items is None else d_items.add_(of_block)
        if d_items is None:  # no gradient is wanted
            d_items = torch.zeros(len(v), q.shape[1], dtype=wide, device=q.device)
        ctx.save_for_backward(d_queries.to(wide).div_(n_rows), d_items.div_(n_rows))
        ctx.dim, ctx.has_bias = dim, bias is not None
        ctx.dtypes = queries.dtype, items.dtype
        return total / n_rows

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_queries, d_items = (gradients[0] * part for part in ctx.saved_tensors)
        d_bias = d_items[:, ctx.dim] if ctx.has_bias else None
        of_queries, of_items = d_queries[:, : ctx.dim], d_items[:, : ctx.dim]
        return of_queries.to(ctx.dtypes[0]), of_items.to(ctx.dtypes[1]), d_bias, None, None, None, None, None


def _normalised(s: torch.Tensor, peers: Peers, wide: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn scores (n, n_own) into exponentials, in place; return the log of the sum over all items, and a factor.

    Exponential times factor is the probability of an item. Both results have the shape (n,).
    """
    n_rows, n_own = s.shape
    if n_own:
        top = s.amax(dim=1)
        # A row in which everything is left out.
        top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
        s.sub_(top.unsqueeze(1)).exp_()
        sums = s.sum(dim=1, dtype=wide)
    else:
        top, sums = s.new_zeros(n_rows), torch.zeros(n_rows, dtype=wide, device=s.device)
    # The largest score counts only where there is one.
    own = torch.where(sums > 0, top.to(wide), torch.full_like(sums, -torch.inf))
    found = peers.gather(torch.stack([own, sums]))
    tops, all_sums = found[:, 0], found[:, 1]
    highest = tops.amax(dim=0)
    highest = torch.where(torch.isinf(highest), torch.zeros_like(highest), highest)
    whole = (all_sums * torch.exp(tops - highest)).sum(dim=0)
    whole = whole.clamp_min(torch.finfo(wide).tiny)
    return highest + whole.log(), torch.exp(top.to(wide) - highest) / whole
