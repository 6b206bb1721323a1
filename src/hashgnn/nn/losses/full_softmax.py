"""Softmax over all items for rows of target weights, in bounded memory."""

from __future__ import annotations

from typing import Any

import torch

from hashgnn._checks import check_int
from hashgnn.errors import ParameterError
from hashgnn.nn.losses.targets import Targets
from hashgnn.nn.losses.top_k import TopK, shift_of

_TINY = 1e-30  # a probability that bfloat16 rounds to 0 still has a finite logarithm


def full_softmax(
    queries: torch.Tensor,
    items: torch.Tensor,
    targets: Targets,
    *,
    bias: torch.Tensor | None = None,
    excluded: tuple[torch.Tensor, torch.Tensor] | None = None,
    chunk: int = 512,
    workspace: SoftmaxWorkspace | None = None,
    top_k: TopK | None = None,
) -> torch.Tensor:
    """Return the cross-entropy of target rows against the softmax over all items.

    Parameters
    ----------
    queries : Tensor of shape (n_rows, dim)
        One row per user, already multiplied by any scale (the inverse temperature).
    items : Tensor of shape (n_items, dim)
    targets : Targets
        The distribution of each row: its observed items, a teacher's list, or a mixture.
    bias : Tensor of shape (n_items,), optional
        Added to the scores.
    excluded : pair of LongTensor of shape (n_pairs,), optional
        Rows, ascending, and columns of the scores that are left out of the softmax. Items that a user
        has seen are never recommended, so their scores need not be lowered. No target may be excluded.
    chunk : int, default=512
        Rows whose scores are in memory at once.
    workspace : SoftmaxWorkspace, optional
        Computes scores and gradients in bfloat16, in buffers that outlive the call: several times faster
        where the processor has bfloat16 products, with a relative error of about 1/256 in each gradient
        entry. ``chunk`` is then the workspace's own.
    top_k : TopK, optional
        Changes weights or scores by how a score compares with that of the row's K-th item.

    Returns
    -------
    Tensor, scalar
        ``1/n_rows · Σ_r Σ_i t_ri · (logsumexp_j s_rj - s_ri)`` with ``s = queries @ items.T + bias``: mean
        over rows, rows without targets included. With ``top_k``, t or s are those of :class:`TopK`.

    Raises
    ------
    ParameterError
        If a shape does not fit, or a target's column is no item.

    Notes
    -----
    Memory is O(chunk · n_items): the gradient is computed together with the loss, and the scores are not
    stored. The scores are computed once, so a step costs three matrix products. There are no second
    derivatives.
    """
    n_rows, dim = queries.shape
    check_int("chunk", chunk, minimum=1)
    if items.ndim != 2 or items.shape[1] != dim:
        raise ParameterError(f"items must have shape (n_items, {dim}), got {tuple(items.shape)}")
    if bias is not None and bias.shape != (len(items),):
        raise ParameterError(f"bias must have shape ({len(items)},), got {tuple(bias.shape)}")
    if targets.n_rows != n_rows or n_rows == 0:
        raise ParameterError(f"targets must have {max(n_rows, 1)} rows, got {targets.n_rows}")
    if len(targets.columns) and int(targets.columns.max()) >= len(items):
        raise ParameterError(f"targets must name items below {len(items)}, got {int(targets.columns.max())}")
    if excluded is not None and (excluded[0].shape != excluded[1].shape or excluded[0].ndim != 1):
        shapes = tuple(excluded[0].shape), tuple(excluded[1].shape)
        raise ParameterError(f"excluded must hold rows and columns of one length, got shapes {shapes}")
    if not len(items):
        # A sample that holds nothing: no row has a target.
        nothing: torch.Tensor = 0 * (queries.sum() + items.sum())
        return nothing
    if excluded is not None:
        # In a row without targets every item may be excluded, and a softmax over no items is NaN.
        has_targets = torch.zeros(n_rows, dtype=torch.bool, device=excluded[0].device)
        has_targets[targets.rows[targets.weights > 0]] = True
        kept = has_targets[excluded[0]]
        excluded = excluded[0][kept], excluded[1][kept]
    if workspace is not None:
        half: torch.Tensor = _HalfSoftmax.apply(  # type: ignore[no-untyped-call]
            queries, items, bias, targets, excluded, workspace, top_k, torch.is_grad_enabled()
        )
        return half
    loss: torch.Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
        queries, items, bias, targets, excluded, chunk, top_k, torch.is_grad_enabled()
    )
    return loss


class SoftmaxWorkspace:
    """Buffers in bfloat16 for scores and probabilities, reused in each step.

    In a softmax over a large catalogue, the allocation of fresh pages costs more than the arithmetic.

    Parameters
    ----------
    max_bytes : int, default=64 MiB
        Of one buffer.
    rounds_up : bool, default=False
        Whether matrices get columns without an item, up to a thirty-second more, so that few sizes occur. For samples
        of items: torch prepares, and keeps, a product for each size that it has not seen, at a quarter of its time
        and some 600 KB.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024, *, rounds_up: bool = False) -> None:
        self._max_bytes, self._rounds_up = max_bytes, rounds_up
        self._memory = torch.empty(0, 0, dtype=torch.bfloat16)

    def n_columns(self, n_items: int) -> int:
        """Return how many columns the scores of so many items have."""
        step = max(1, (1 << n_items.bit_length()) // 64) if self._rounds_up else 1
        return -(-n_items // step) * step

    def table(self, items: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return items (n_items, dim) with their bias as a further column, (n_columns, dim + has_bias), bfloat16."""
        n_items, dim = items.shape
        width = dim + (bias is not None)
        found = torch.zeros(self.n_columns(n_items), width, dtype=torch.bfloat16, device=items.device)
        found[:n_items, :dim] = items
        if bias is not None:
            found[:n_items, dim] = bias
        return found

    def n_rows(self, n_rows: int, n_items: int) -> int:
        """Return how many of some rows a buffer of the allowed size holds."""
        return max(1, min(n_rows, self._max_bytes // (2 * max(n_items, 1))))

    def buffers(
        self, n_rows: int, n_items: int, device: torch.device, count: int = 2
    ) -> tuple[torch.Tensor, ...]:
        """Return so many buffers (n_rows, n_items); they lie where those of the last call did, if these were as large."""
        size = n_rows * n_items
        if len(self._memory) < count or self._memory.shape[1] < size or self._memory.device != device:
            self._memory = torch.empty(count, size, dtype=torch.bfloat16, device=device)
        return tuple(memory[:size].view(n_rows, n_items) for memory in self._memory[:count])


class _HalfSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: torch.Tensor,
        items: torch.Tensor,
        bias: torch.Tensor | None,
        targets: Targets,
        excluded: tuple[torch.Tensor, torch.Tensor] | None,
        workspace: SoftmaxWorkspace,
        top_k: TopK | None,
        with_gradient: bool,
    ) -> torch.Tensor:
        n_rows, dim = queries.shape
        n_items = len(items)
        q, v = queries.bfloat16(), workspace.table(items, bias)
        if bias is not None:
            # As a further column the bias rides along in the products, both ways.
            q = torch.cat([q, q.new_ones(n_rows, 1)], dim=1)
        if top_k is not None:
            top_k = top_k.widened(len(v))
        chunk = workspace.n_rows(n_rows, len(v))
        scores, probabilities = workspace.buffers(chunk, len(v), queries.device)
        starts = torch.arange(0, n_rows + chunk, chunk, device=targets.rows.device).clamp_(max=n_rows)
        entries = torch.searchsorted(targets.rows.contiguous(), starts).tolist()
        left_out = starts_of(excluded, starts)
        d_queries = torch.empty(n_rows, q.shape[1], dtype=torch.bfloat16, device=q.device)
        d_items: torch.Tensor | None = None
        total = torch.zeros((), device=q.device)
        for block, start in enumerate(range(0, n_rows, chunk)):
            rows = q[start : start + chunk]
            s, p = scores[: len(rows)], probabilities[: len(rows)]
            torch.mm(rows, v.T, out=s)
            s[:, n_items:] = -torch.inf
            if excluded is not None:
                _leave_out(s, excluded, left_out[block : block + 2], start)
            part = slice(entries[block], entries[block + 1])
            place = targets.rows[part] - start, targets.columns[part]
            weights = targets.weights[part].float()
            if top_k is not None:
                weights = _compare(s, top_k, slice(start, start + len(rows)), place, weights)
            torch.softmax(s, 1, out=p)
            total -= (weights * p[place].float().clamp_min(_TINY).log()).sum()
            if not with_gradient:
                continue
            row_weights = torch.zeros(len(rows), device=q.device).index_add_(0, place[0], weights)
            p.mul_(row_weights.unsqueeze(1).bfloat16())
            p.index_put_(place, -weights.bfloat16(), accumulate=True)
            if top_k is not None and top_k.loss == "talos":
                _through_sigmoids(p, s, top_k)
            torch.mm(p, v, out=d_queries[start : start + chunk])
            of_block = p.T @ rows
            d_items = of_block.float() if d_items is None else d_items.add_(of_block)
        if d_items is None:  # no gradient is wanted
            d_items = torch.zeros(n_items, q.shape[1], device=q.device)
        ctx.save_for_backward(d_queries.float().div_(n_rows), d_items[:n_items].div_(n_rows))
        ctx.dim, ctx.has_bias = dim, bias is not None
        return total / n_rows

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_queries, d_items = (gradients[0] * part for part in ctx.saved_tensors)
        d_bias = d_items[:, ctx.dim] if ctx.has_bias else None
        return d_queries[:, : ctx.dim], d_items[:, : ctx.dim], d_bias, None, None, None, None, None


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: torch.Tensor,
        items: torch.Tensor,
        bias: torch.Tensor | None,
        targets: Targets,
        excluded: tuple[torch.Tensor, torch.Tensor] | None,
        chunk: int,
        top_k: TopK | None,
        with_gradient: bool,
    ) -> torch.Tensor:
        n_rows = len(queries)
        needed = [with_gradient and flag for flag in ctx.needs_input_grad[:3]]
        grads = [
            torch.zeros_like(x) if x is not None and flag else None
            for x, flag in zip((queries, items, bias), needed, strict=True)
        ]
        starts = torch.arange(0, n_rows + chunk, chunk, device=targets.rows.device).clamp_(max=n_rows)
        entries = torch.searchsorted(targets.rows.contiguous(), starts).tolist()
        left_out = starts_of(excluded, starts)
        total = torch.zeros((), dtype=torch.float64, device=queries.device)
        for block, start in enumerate(range(0, n_rows, chunk)):
            q = queries[start : start + chunk]
            part = slice(entries[block], entries[block + 1])
            scores = q @ items.to(q.dtype).T
            if scores.dtype in (torch.float16, torch.bfloat16):
                scores = scores.float()
            if bias is not None:
                scores += bias.to(scores.dtype)
            if excluded is not None:
                _leave_out(scores, excluded, left_out[block : block + 2], start)
            place = targets.rows[part] - start, targets.columns[part]
            weights, turned = targets.weights[part].to(scores.dtype), None
            if top_k is not None:
                weights = _compare(scores, top_k, slice(start, start + len(q)), place, weights)
                if top_k.loss == "talos" and any(needed):
                    turned = scores.clone()
            loss, gradient = _block(scores, place, weights, any(needed))
            total += loss
            if gradient is None:
                continue
            if turned is not None:
                assert top_k is not None
                _through_sigmoids(gradient, turned, top_k)
            # Scaled by 1/n_rows before any cast down, so that half precision keeps its range.
            gradient = gradient.mul_(1.0 / n_rows).to(q.dtype)
            if grads[0] is not None:
                torch.mm(gradient, items.to(q.dtype), out=grads[0][start : start + chunk])
            if grads[1] is not None:
                grads[1].addmm_(gradient.T.to(items.dtype), q.to(items.dtype))
            if grads[2] is not None:
                grads[2] += gradient.sum(dim=0)
        ctx.save_for_backward(*grads)
        wide = bias is None or bias.dtype != torch.float64
        dtype = torch.float32 if wide and queries.dtype != torch.float64 else torch.float64
        return (total / n_rows).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        factor = gradients[0]
        parts = (None if g is None else g * factor.to(g.dtype) for g in ctx.saved_tensors)
        return (*parts, None, None, None, None, None)


def _compare(
    scores: torch.Tensor,
    top_k: TopK,
    rows: slice,
    place: tuple[torch.Tensor, torch.Tensor],
    weights: torch.Tensor,
) -> torch.Tensor:
    """Compare a block of rows with their thresholds; return the weights of the targets. Kept thresholds move."""
    levels = top_k.levels(scores, rows)
    weights, n_above = top_k.apply(scores, levels, place, weights)
    if n_above is not None:
        top_k.move(rows, levels, n_above)
    return weights


def _through_sigmoids(gradient: torch.Tensor, turned: torch.Tensor, top_k: TopK) -> None:
    """Make the gradient of turned scores one of the scores that they were, in place."""
    if not top_k.moves_with_scores:
        top_k.times_derivative_(gradient, turned)
        return
    derivatives = top_k.derivative_(turned)
    gradient.mul_(derivatives)
    densities = top_k.densities(derivatives)
    wide = torch.promote_types(gradient.dtype, torch.float32)
    sums = (x.sum(dim=1, dtype=wide) for x in (gradient, densities))
    top_k.follow_level_(gradient, densities, shift_of(*sums))


def starts_of(pairs: tuple[torch.Tensor, torch.Tensor] | None, starts: torch.Tensor) -> list[int]:
    """Return where each block of rows begins among the pairs."""
    if pairs is None:
        return []
    places: list[int] = torch.searchsorted(pairs[0].contiguous(), starts).tolist()
    return places


def _leave_out(
    scores: torch.Tensor, pairs: tuple[torch.Tensor, torch.Tensor], bounds: list[int], start: int
) -> None:
    """Set the pairs of a block of rows to minus infinity: probability and gradient are 0 there."""
    part = slice(*bounds)
    scores[pairs[0][part] - start, pairs[1][part]] = -torch.inf


def _block(
    scores: torch.Tensor,
    place: tuple[torch.Tensor, torch.Tensor],
    weights: torch.Tensor,
    with_gradient: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the summed loss of some rows, and its gradient with respect to their scores, made in place.

    ``place`` are rows and columns of the targets.
    """
    row_weight = torch.zeros(len(scores), dtype=scores.dtype, device=scores.device)
    row_weight.index_add_(0, place[0], weights)
    picked = (weights * scores[place]).sum()
    top = scores.amax(dim=1, keepdim=True)
    exponentials = scores.sub_(top).exp_()
    sums = exponentials.sum(dim=1)
    loss = (row_weight * (sums.log() + top.squeeze(1))).sum() - picked
    if not with_gradient:
        return loss.double(), None
    gradient = exponentials.mul_((row_weight / sums).unsqueeze(1))
    gradient.index_put_(place, -weights, accumulate=True)
    return loss.double(), gradient
