"""The item bias of items that training did not see: a line through the trained ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import ItemBias


@dataclass(frozen=True)
class NewItemBias:
    """``b = intercept + slope · log(1 + users)``, by least squares over the trained items.

    A learned bias is mostly popularity on this scale (correlation 0.97 on MovieLens-100K). An item without
    users says nothing of its popularity and gets the mean bias, as its embedding starts from the mean.

    Attributes
    ----------
    intercept, slope, mean : float
        In bits.
    top : float
        That of the trained biases, so that both can stand in one index. No new item is favoured more than
        the most favoured trained one.
    """

    intercept: float
    slope: float
    mean: float
    top: float

    @classmethod
    def fit(cls, bias: ItemBias | None, n_users: Array) -> NewItemBias | None:
        """Return the line through trained items, or ``None`` where there is no item bias.

        Parameters
        ----------
        bias : ItemBias of length n_items, or None
        n_users : ndarray of shape (n_items,), int64
            Users of each item.
        """
        if bias is None:
            return None
        bits = bias.values().astype(np.float64)
        users = np.log1p(n_users)
        spread = users - users.mean()
        total = float(spread @ spread)
        slope = float(spread @ bits) / total if total else 0.0
        mean = float(bits.mean())
        return cls(mean - slope * float(users.mean()), slope, mean, bias.top)

    def of(self, n_users: Array) -> ItemBias:
        """Return the bias of new items with these numbers of users, shape (n,)."""
        line = self.intercept + self.slope * np.log1p(n_users)
        bits = np.minimum(np.where(n_users > 0, line, self.mean), self.top)
        return ItemBias.from_values(np.append(bits, self.top))[:-1]
