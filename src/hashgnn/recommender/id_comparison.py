"""Whether the ids of a model's callers are valid in another version of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hashgnn._types import SideName
from hashgnn.data import IdMap
from hashgnn.state import ModelState

MIN_KNOWN = 0.5
"""Share of the old ids that a new version must know."""

_SAMPLE = 20_000  # ids of the old version that are looked up
_TYPES = 1000  # ids whose types are looked at
_KINDS = {"int": "integers", "str": "text"}


@dataclass(frozen=True)
class SideComparison:
    """The users or the items of two versions.

    Attributes
    ----------
    side : {"user", "item"}
    kind, old_kind : str
        Of the ids: ``"integers"``, ``"text"``, or the names of their types, such as ``"UUID"``.
    same_kind : bool
        Whether an id of one kind may be of the other. Integers and text are not, whatever they print as.
    n, n_old : int
        How many there are.
    known : float
        Share of the old ids that the new version knows, 1 where there is none. Of more than 20,000 ids an even
        sample is looked up.
    """

    side: SideName
    kind: str
    old_kind: str
    same_kind: bool
    n: int
    n_old: int
    known: float

    def fault(self, min_known: float = MIN_KNOWN) -> str | None:
        """Return why the old ids are not valid, as the end of a sentence about the new version; None if they are."""
        if not self.same_kind:
            return f"its {self.side} ids are {self.kind}, those before are {self.old_kind}"
        if self.known < min_known:
            return f"it knows {_percent(self.known)} of the {self.side}s before, at least {_percent(min_known)} are needed"
        return None


@dataclass(frozen=True)
class IdComparison:
    """The ids of two versions of a model: what :func:`compare_ids` returns.

    Attributes
    ----------
    users, items : SideComparison
    """

    users: SideComparison
    items: SideComparison

    def fault(self, min_known: float = MIN_KNOWN) -> str | None:
        """Return the first reason why the ids of callers would not be valid; None if they are."""
        return self.users.fault(min_known) or self.items.fault(min_known)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def compare_ids(new: ModelState, old: ModelState) -> IdComparison:
    """Compare the ids of a version with those of the version before.

    Parameters
    ----------
    new, old : ModelState

    Examples
    --------
    >>> from hashgnn.testing.states import random_state
    >>> compare_ids(random_state([1, 2], ["a"]), random_state(["1", "2"], ["a"])).fault()
    'its user ids are integers, those before are text'
    """
    return IdComparison(
        _compare("user", new.users.ids, old.users.ids), _compare("item", new.items.ids, old.items.ids)
    )


def kind_of_ids(ids: IdMap) -> str:
    """Return what kind of ids a map holds: ``"integers"``, ``"text"``, or the names of their types."""
    return ", ".join(sorted(_kinds(ids)))


def _kinds(ids: IdMap) -> set[str]:
    if ids.kind in _KINDS:
        return {_KINDS[ids.kind]}
    some = ids.at(np.arange(0, len(ids), max(1, len(ids) // _TYPES))).tolist()
    return {type(value).__name__ for value in some}


def _compare(side: SideName, new: IdMap, old: IdMap) -> SideComparison:
    kinds = kind_of_ids(new), kind_of_ids(old)
    if not len(old) or not len(new):
        # No ids are of no kind, which is no other kind than any.
        return SideComparison(side, *kinds, True, len(new), len(old), float(not len(old)))
    same, known = not _kinds(new).isdisjoint(_kinds(old)), 0.0
    if same:
        sample = old.at(np.arange(0, len(old), -(-len(old) // _SAMPLE)))
        if new.kind == old.kind:
            known = float((new.index_of(sample, on_unknown="skip") >= 0).mean())
        else:  # an id of a kind that the new version does not hold is unknown
            known = float(np.mean([value in new for value in sample.tolist()]))
    return SideComparison(side, *kinds, same, len(new), len(old), known)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
