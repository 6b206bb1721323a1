"""Losses of the K best items of a row: they compare its scores with that of the K-th item."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from hashgnn._checks import check_choice, check_float, check_int
from hashgnn.nn.losses._log_sigmoids import count_above, derivatives_, log_sigmoids_, times_derivatives_

LOSSES = ("slatk", "talos")
_ROUNDING = 1 - 1e-5  # sums of counts that were made from logarithms
_LEAST_DENSITY = 1e-6  # of a row whose scores are all far from its threshold


def shift_of(gradients: torch.Tensor, densities: torch.Tensor) -> torch.Tensor:
    """Return what each density takes from the gradient of its row, by the sums of both over the row, (n,)."""
    return gradients / densities.clamp_min(_LEAST_DENSITY)


@dataclass
class TopK:
    """A rule of :func:`full_softmax` for scores on both sides of β, the score of a row's K-th item.

    With ``"slatk"`` the weight of a target i of a row r becomes ``t_ri · σ((s_ri - β_r) / T)``, so that targets far
    below the K best count for little. The gradient passes through neither this factor nor β. With ``"talos"`` all
    scores become ``T · log σ((s_rj - β_r) / T)``, so that nothing is gained by a score far above the threshold, where
    it counts already. Where β comes from the scores, the gradient passes through it: see :meth:`follow_level_`.

    Parameters
    ----------
    k : int >= 1
        How many items are the best ones. A row of fewer has its lowest score as threshold.
    temperature : float > 0
        T, in the unit of the scores: width of the sigmoid.
    loss : {"slatk", "talos"}, default="slatk"
    log_counts : Tensor of shape (n_items,), optional
        Log of how many items each one stands for, where the items are a sample. It is added to the scores in the
        softmax, and an item counts for as many among the K best.
    thresholds : Tensor of shape (n_rows,), optional
        Thresholds that the caller keeps, NaN where there is none yet. Given, they are used instead of those of the
        scores, and then moved towards them, in place. A row without one takes that of its scores.
    rate : float > 0, default=0.1
        By how much a kept threshold moves at most, in the unit of the scores.

    Raises
    ------
    ParameterError
        If a number breaks its rule.

    Notes
    -----
    In the authors' code of SL@K the gradient passes through the weights. It then pulls targets down, below the
    threshold, where they cost less: cosines bound this, and the scores here have no bound.

    A kept threshold moves against the gradient of the quantile loss, ``(1 - K/n) · (s - β)₊ + K/n · (β - s)₊`` summed
    over the n items: ``K`` less how many score above β. The step is ``rate`` times this over K, from -1 to 1.

    References
    ----------
    Yang et al., *Breaking the top-K barrier*, KDD 2025, arXiv 2508.05673: SL@K, its loss with temperatures τ for scores
    and τ_w for weights is this one for scores divided by τ and T = τ_w / τ. Zhang et al., *Talos: optimizing top-K
    accuracy in recommender systems*, WWW 2026, arXiv 2601.19276: T = 1 / τ.
    """

    k: int
    temperature: float
    loss: Literal["slatk", "talos"] = "slatk"
    log_counts: torch.Tensor | None = None
    thresholds: torch.Tensor | None = None
    rate: float = 0.1

    def __post_init__(self) -> None:
        check_int("k", self.k, minimum=1)
        check_float("temperature", self.temperature, minimum=0, open_minimum=True)
        check_float("rate", self.rate, minimum=0, open_minimum=True)
        check_choice("loss", self.loss, LOSSES)

    def widened(self, n_columns: int) -> TopK:
        """Return the rule for scores with further columns that hold no item; kept thresholds are the same ones."""
        if self.log_counts is None or len(self.log_counts) == n_columns:
            return self
        missing = self.log_counts.new_zeros(n_columns - len(self.log_counts))
        return replace(self, log_counts=torch.cat([self.log_counts, missing]))

    def levels(self, scores: torch.Tensor, rows: slice) -> torch.Tensor:
        """Return the thresholds (n,) of a block of rows: those that are kept, or from their scores (n, n_items)."""
        return self.known(rows, self.levels_of(*self.best(scores)) if self.needs_best(rows) else None)

    def needs_best(self, rows: slice) -> bool:
        """Whether a threshold of these rows comes from the scores."""
        return self.thresholds is None or bool(torch.isnan(self.thresholds[rows]).any())

    def known(self, rows: slice, found: torch.Tensor | None) -> torch.Tensor:
        """Return the thresholds (n,) of a block of rows: those that are kept, and ``found`` where there is none."""
        if self.thresholds is None:
            assert found is not None
            return found
        kept = self.thresholds[rows]
        return kept.clone() if found is None else torch.where(torch.isnan(kept), found.to(kept.dtype), kept)

    def move(self, rows: slice, levels: torch.Tensor, n_above: torch.Tensor) -> None:
        """Keep the thresholds of a block of rows, moved by how many items score above each, both (n,)."""
        assert self.thresholds is not None
        step = self.rate * ((n_above - self.k) / self.k).clamp_(-1, 1)
        self.thresholds[rows] = levels.to(self.thresholds.dtype) + step

    def apply(
        self,
        scores: torch.Tensor,
        levels: torch.Tensor,
        place: tuple[torch.Tensor, torch.Tensor],
        weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Change the scores of some rows in place; return what their targets weigh, and how many scored above.

        Parameters
        ----------
        scores : Tensor of shape (n, n_items)
            Minus infinity for what is left out.
        levels : Tensor of shape (n,)
            Their thresholds; NaN of a row without a score, which has no loss.
        place : pair of LongTensor of shape (n_entries,)
            Row and column of each target.
        weights : Tensor of shape (n_entries,)

        Returns
        -------
        weights : Tensor of shape (n_entries,)
        n_above : Tensor of shape (n,) or None
            Items above each threshold, by what they count; ``None`` where no thresholds are kept.
        """
        levels = torch.where(torch.isnan(levels), torch.zeros_like(levels), levels)
        if self.loss == "talos":
            n_above = log_sigmoids_(scores, levels, self.temperature, self.log_counts)
            return weights, None if self.thresholds is None else n_above
        above = scores[place].to(weights.dtype) - levels[place[0]].to(weights.dtype)
        kept = None if self.thresholds is None else count_above(scores, levels, self.log_counts)
        if self.log_counts is not None:
            scores.add_(self.log_counts.to(scores.dtype))
        return weights * torch.sigmoid(above / self.temperature), kept

    def derivative_(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the derivatives of the scores that :meth:`apply` has made, by those that it was given, in place."""
        return derivatives_(scores, self.temperature, self.log_counts)

    def times_derivative_(self, gradient: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Multiply a gradient by :meth:`derivative_`, in place; the scores stay as they are."""
        return times_derivatives_(gradient, scores, self.temperature, self.log_counts)

    @property
    def moves_with_scores(self) -> bool:
        """Whether the loss is one of the threshold too, which follows the scores."""
        return self.loss == "talos" and self.thresholds is None

    def densities(self, derivatives: torch.Tensor) -> torch.Tensor:
        """Return how much each score has to do with where the threshold is, (n, n_items), by :meth:`derivative_`.

        The threshold of a row is where as many items lie above as are counted. With sigmoids of width T in place of
        steps its derivative by a score is the score's density over that of all, ``c_j σ'(x_j) / Σ_l c_l σ'(x_l)``.
        """
        found = derivatives * (1 - derivatives)
        return found if self.log_counts is None else found.mul_(self.log_counts.to(found.dtype).exp())

    def follow_level_(self, gradient: torch.Tensor, densities: torch.Tensor, shift: torch.Tensor) -> None:
        """Let the gradient of some rows pass through their thresholds, in place.

        If all scores of a row rise together, its threshold rises too, and the loss stays as it is. A gradient that
        takes the threshold as given does not know this: it spends bits on raising all.

        Parameters
        ----------
        gradient, densities : Tensor of shape (n, n_items)
        shift : Tensor of shape (n,)
            Sum of the gradient over that of the densities, of all items.
        """
        gradient.sub_(densities.mul_(shift.unsqueeze(1).to(densities.dtype)))

    def best(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the K best of scores (n, n_items) and what each counts, (n, min(K, n_items)), the best first."""
        values, columns = torch.topk(scores, min(self.k, scores.shape[1]), dim=1)
        if self.log_counts is None:
            return values, torch.ones_like(values)
        return values, self.log_counts.to(values.dtype).exp()[columns]

    def levels_of(self, values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the thresholds (n,) of the best scores of each row (n, m), the best first, and what each counts.

        A row without a score has NaN.
        """
        if not values.shape[1]:
            return values.new_full((len(values),), torch.nan)
        is_score = values > -torch.inf
        before = (counts.float() * is_score).cumsum(dim=1) < self.k * _ROUNDING
        n_scores = is_score.sum(dim=1, keepdim=True)
        last = torch.minimum(before.sum(dim=1, keepdim=True), n_scores - 1).clamp_min_(0)
        levels = values.gather(1, last).squeeze(1)
        return torch.where(n_scores.squeeze(1) > 0, levels, torch.full_like(levels, torch.nan))
