"""``HistoryWeighting``: weights of the items of a history when a user is folded in, by place, age or session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import check_float, check_int
from hashgnn._types import Array
from hashgnn.data.weighting import check_half_life
from hashgnn.errors import ParameterError


@dataclass(frozen=True)
class HistoryWeighting:
    """Weights of the items of a history; the newest one always weighs 1.

    A history is a list from the oldest item to the newest. Where times are known they say the order. An item that
    comes several times counts once, at its newest place. First the session is cut, then the number of items, and
    what is left is weighed. Items that are left out or weigh little are still seen: they are not recommended.

    Parameters
    ----------
    last_n : int, optional
        Only the newest items, so many.
    position_half_life : float, optional
        Places after which a weight has halved.
    age_half_life : str, timedelta or float, optional
        Age after which a weight has halved, as ``"7d"`` or in seconds; counted back from the newest item. It needs
        times.
    session : str, timedelta or float, optional
        Only the last session: a longer pause than this begins a new one, as ``"30m"`` or in seconds. It needs times.

    Raises
    ------
    ParameterError
        If nothing is given, or a value breaks its rule.

    Examples
    --------
    >>> HistoryWeighting(last_n=20, session="30m")
    HistoryWeighting(last_n=20, position_half_life=None, age_half_life=None, session=1800.0)
    """

    last_n: int | None = None
    position_half_life: float | None = None
    age_half_life: Any = None
    session: Any = None

    def __post_init__(self) -> None:
        if self.last_n is not None:
            object.__setattr__(self, "last_n", check_int("last_n", self.last_n, minimum=1))
        if self.position_half_life is not None:
            places = check_float(
                "position_half_life", self.position_half_life, minimum=0, maximum=1e9, open_minimum=True
            )
            object.__setattr__(self, "position_half_life", places)
        for name in ("age_half_life", "session"):
            value = getattr(self, name)
            if value is not None:
                try:
                    seconds = check_half_life(value)
                except ParameterError as error:
                    raise ParameterError(str(error).replace("half_life", name, 1)) from None
                object.__setattr__(self, name, seconds)
        if all(value is None for value in asdict(self).values()):
            names = ", ".join(field.name for field in fields(self))
            raise ParameterError(f"history_weighting must set one of {names}, got none")

    @classmethod
    def of(cls, value: HistoryWeighting | Mapping[str, Any] | None) -> HistoryWeighting | None:
        """Return a weighting, also from a mapping of its parameters.

        Raises
        ------
        ParameterError
            If it is something else, or has an unknown parameter.
        """
        if value is None or isinstance(value, cls):
            return value
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or not set(value) <= set(names):
            raise ParameterError(
                f"history_weighting must be a HistoryWeighting or a mapping of {', '.join(names)}, got {value!r:.80}"
            )
        return cls(**value)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters that are set, as JSON values; :meth:`of` reads them.

        Examples
        --------
        >>> HistoryWeighting(session="30m").to_dict()
        {'session': 1800.0}
        """
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def needs_times(self) -> bool:
        """Whether places in the list do not say enough."""
        return self.age_half_life is not None or self.session is not None

    def weigh(self, items: Array, times: Array | None = None) -> tuple[Array, Array]:
        """Return the items of a history that count, and what each weighs, float32.

        Parameters
        ----------
        items : ndarray of shape (n,), int64
            From the oldest to the newest.
        times : ndarray of shape (n,), optional
            Seconds.

        Raises
        ------
        ParameterError
            If times are needed and not given.
        """
        if times is None and self.needs_times:
            name = "session" if self.session is not None else "age_half_life"
            raise ParameterError(f"{name} needs the time of each item of a history, got none")
        if times is not None:
            order = np.argsort(times, kind="stable")
            items, times = items[order], times[order]
            if self.session is not None:
                pauses = np.flatnonzero(np.diff(times) > self.session)
                start = int(pauses[-1]) + 1 if len(pauses) else 0
                items, times = items[start:], times[start:]
        # From the newest to the oldest, each item at its newest place.
        items = items[::-1]
        _, first = np.unique(items, return_index=True)
        kept = np.sort(first)[: self.last_n]
        items = items[kept]
        weights = np.ones(len(items))
        if self.position_half_life is not None:
            weights *= 0.5 ** (np.arange(len(items)) / self.position_half_life)
        if self.age_half_life is not None and times is not None and len(items):
            weights *= 0.5 ** ((times[-1] - times[::-1][kept]) / self.age_half_life)
        # A weight of 0 would be no interaction at all.
        return items, np.maximum(weights, np.finfo(np.float32).tiny).astype(np.float32)

    def matrix(self, rows: Sequence[Array], times: Sequence[Array] | None, n_items: int) -> sparse.csr_matrix:
        """Return the weights of several histories, shape (n, n_items), float32.

        Parameters
        ----------
        rows : sequence of ndarray, int64
            Positions of items; -1 for an unknown one, which takes no place.
        times : sequence of ndarray, or None
            Of the same lengths.
        n_items : int
        """
        found = []
        for place, row in enumerate(rows):
            known = row >= 0
            found.append(self.weigh(row[known], None if times is None else times[place][known]))
        indptr = np.zeros(len(found) + 1, np.int64)
        np.cumsum([len(items) for items, _ in found], out=indptr[1:])
        indices = np.concatenate([np.empty(0, np.int64), *(items for items, _ in found)])
        data = np.concatenate([np.empty(0, np.float32), *(weights for _, weights in found)])
        matrix = sparse.csr_matrix((data, indices, indptr), shape=(len(found), n_items))
        matrix.sort_indices()
        return matrix


def times_of_histories(
    rows: Sequence[Sequence[Any] | Array], timestamps: Any, first: int = 0
) -> list[Array] | None:
    """Return the times of histories as arrays of seconds; ``first`` is the place of the first one, for messages.

    Raises
    ------
    ParameterError
        If there is not one finite number for each item.
    """
    if timestamps is None:
        return None
    given = list(timestamps)
    if len(given) != len(rows):
        raise ParameterError(f"timestamps must have one list per history, {len(rows)}, got {len(given)}")
    found = []
    for place, (row, values) in enumerate(zip(rows, given, strict=True), start=first):
        try:
            array = np.asarray(list(values), np.float64)
        except (TypeError, ValueError):
            raise ParameterError(
                f"timestamps must be numbers of seconds, got others in history {place}"
            ) from None
        if array.shape != (len(row),) or not np.isfinite(array).all():
            raise ParameterError(
                f"timestamps must be a finite number for each item, {len(row)} in history {place}, got {len(array)}"
            )
        found.append(array)
    return found
