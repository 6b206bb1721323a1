"""``Weighting``: the weight of an interaction by the type of its event and by its age."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import check_float, quote_some
from hashgnn._types import Array
from hashgnn.errors import DataError, DataWarning, ParameterError

Column: TypeAlias = pa.Array | pa.ChunkedArray
HalfLife: TypeAlias = str | timedelta | float
Moment: TypeAlias = float | str | date | np.datetime64

MAX_EVENTS = 1000
MAX_EVENT_NAME = 200  # characters
MAX_EVENT_WEIGHT = 1e9
SMALLEST_FACTOR = 2.0**-20  # of age, so that a user of whom only old interactions are known keeps them

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_HALF_LIFE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw])\s*")
# Numbers below each bound are of the unit with so many microseconds: seconds, milliseconds, microseconds.
_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0))
_NANOSECOND = 1e-3
_SMALLEST, _LARGEST = 1e-37, 1e38  # what float32 holds


@dataclass(frozen=True)
class Weighting:
    """The weight of an interaction: that of its event, halved with each half-life of its age.

    Interactions keep the one that made their weights, and so does a model that was trained on them.

    Parameters
    ----------
    event_weights : mapping of str to float, default={}
        Weight of each type of event, >= 0; 0 leaves its rows out.
    half_life : str, timedelta, float or None, default=None
        Age at which an interaction weighs half, > 0: ``"90d"`` (units s, m, h, d, w) or seconds. It is kept
        in seconds. ``None`` lets no age count.
    reference_time : float or None, default=None
        Microseconds since 1970 at which the age is 0.

    Raises
    ------
    ParameterError
        If a value breaks its rule.

    Examples
    --------
    >>> Weighting({"view": 1, "purchase": 5}, half_life="90d")
    Weighting(event_weights={'view': 1.0, 'purchase': 5.0}, half_life=7776000.0, reference_time=None)
    """

    event_weights: Mapping[str, float] = field(default_factory=dict)
    half_life: Any = None
    reference_time: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_weights", check_event_weights(self.event_weights))
        if self.half_life is not None:
            object.__setattr__(self, "half_life", check_half_life(self.half_life))
        if self.reference_time is not None:
            time = check_float("reference_time", self.reference_time, minimum=0)
            object.__setattr__(self, "reference_time", time)

    def with_events(self, event_weights: Mapping[str, float]) -> Weighting:
        """Return this with further types of events.

        Raises
        ------
        ParameterError
            If one of them is known with another weight.
        """
        added = check_event_weights(event_weights)
        for name, weight in added.items():
            known = self.event_weights.get(name, weight)
            if known != weight:
                raise ParameterError(
                    f"event {name!r} must weigh {known:g}, as in the known interactions, got {weight:g}; "
                    "fit anew to change it"
                )
        return replace(self, event_weights={**self.event_weights, **added})

    def joined(self, other: Weighting) -> Weighting:
        """Return the weighting of two sets of interactions together: all events, the later reference.

        Raises
        ------
        ParameterError
            If an event has two weights, or the half-lives differ.
        """
        if self.half_life != other.half_life:
            shown = [
                "none" if one is None else f"{one:g} seconds" for one in (self.half_life, other.half_life)
            ]
            raise ParameterError(
                f"half_life must be {shown[0]}, as in the known interactions, got {shown[1]}; "
                "fit anew to change it"
            )
        times = [one.reference_time for one in (self, other) if one.reference_time is not None]
        return replace(self.with_events(other.event_weights), reference_time=max(times) if times else None)

    def moved(self, weights: Array, reference_time: float | None) -> Array:
        """Return weights of this weighting as they are at a later reference."""
        if self.half_life is None or self.reference_time is None or reference_time is None:
            return weights
        factor = 0.5 ** ((reference_time - self.reference_time) / (self.half_life * 1e6))
        return np.maximum(weights * np.float32(factor), np.minimum(weights, np.float32(SMALLEST_FACTOR)))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; ``Weighting(**values)`` is equal."""
        return {
            "event_weights": dict(self.event_weights),
            "half_life": self.half_life,
            "reference_time": self.reference_time,
        }


def requested(
    event_column: str | None,
    event_weights: Mapping[str, float] | None,
    half_life: HalfLife | None,
    reference_time: Moment | None,
    weighting: Weighting | None,
) -> Weighting | None:
    """Return the weighting that some arguments ask for; ``None`` where they ask for none.

    Raises
    ------
    ParameterError
        If a column of events has no weights, a reference no half-life, or a value breaks its rule.
    """
    if weighting is not None and not isinstance(weighting, Weighting):
        raise ParameterError(f"weighting must be a Weighting or None, got {type(weighting).__name__}")
    known = Weighting() if weighting is None else weighting
    if event_weights is not None:
        if not event_weights:
            raise ParameterError("event_weights must name at least one type of event, got none")
        known = known.with_events(event_weights)
    if half_life is not None:
        given = check_half_life(half_life)
        if known.half_life not in (None, given) or (weighting is not None and known.half_life is None):
            Weighting(half_life=known.half_life).joined(Weighting(half_life=given))
        known = replace(known, half_life=given)
    if event_column is not None and not known.event_weights:
        raise ParameterError(
            f"event_weights must be given with a column of events, as {{'view': 1, 'purchase': 5}}, got none "
            f"for {event_column!r}"
        )
    if reference_time is not None and known.half_life is None:
        raise ParameterError(
            f"half_life must be given with reference_time, got none for {reference_time!r:.80}"
        )
    return known if known.event_weights or known.half_life is not None else None


def event_role(
    wanted: Weighting | None, event_column: str | None, event_weights: Mapping[str, float] | None
) -> dict[str, str | None]:
    """Return the column of events to look for, by its role; nothing where no events are weighed.

    It must be there if the caller gave it or its weights, and may be missing with the weights of a model.
    """
    if wanted is None or not wanted.event_weights:
        return {}
    return {"event": event_column or (None if event_weights is None else "event")}


Weighed: TypeAlias = tuple[Any, Any, Array | None, Array | None, Weighting | None]


def weigh(
    wanted: Weighting | None,
    users: Any,
    items: Any,
    weights: Array | None,
    times: Array | None,
    events: tuple[str, Column] | None,
    reference_time: Moment | None,
) -> Weighed:
    """Return users, items, weights and times of the rows that weigh something, and what made the weights.

    Parameters
    ----------
    wanted : Weighting or None
    users, items : ids as :func:`hashgnn.data._columns.id_column` returns them
    weights, times : ndarray of shape (n,), or None
    events : name and values of a column, or None
    reference_time : as in :meth:`Interactions.from_frame`

    Raises
    ------
    DataError
        If an event has no weight, a half-life no times, or nothing weighs anything.
    """
    found = weigh_rows(wanted, users, items, weights, times, events, reference_time)
    if len(users) and not len(found[0]):
        raise DataError(f"interactions must not be empty, all {len(users)} rows are events of weight 0")
    return found


def weigh_rows(
    wanted: Weighting | None,
    users: Any,
    items: Any,
    weights: Array | None,
    times: Array | None,
    events: tuple[str, Column] | None,
    reference_time: Moment | None,
    *,
    newest: int | None = None,
) -> Weighed:
    """Do what :func:`weigh` does for some of the rows, of which none may be left.

    ``newest`` is the latest time of all rows; ``None`` takes that of these.
    """
    if wanted is None or not len(users):
        return users, items, weights, times, None
    factors = np.ones(len(users)) if weights is None else weights.astype(np.float64)
    kept = None
    if events is not None:
        factors *= event_factors(events[1], wanted.event_weights, events[0])
        kept = factors > 0
    if wanted.half_life is not None:
        if times is None:
            raise DataError(
                "half_life needs the time of each interaction, got none; name the column with timestamp="
            )
        ages, reference = age_factors(times, wanted.half_life, reference_time, newest)
        factors *= ages
        wanted = replace(wanted, reference_time=reference)
    if kept is not None and not kept.all():
        users, items, factors = _some(users, kept), _some(items, kept), factors[kept]
        times = None if times is None else times[kept]
    largest = float(factors.max(initial=0))
    if largest > _LARGEST:
        raise DataError(f"weights must be at most {_LARGEST:g} with those of their events, got {largest:g}")
    numbers = np.maximum(factors, _SMALLEST).astype(np.float32)
    return users, items, numbers, times, wanted


def _some(ids: Any, kept: Array) -> Any:
    if isinstance(ids, pa.Array | pa.ChunkedArray):
        return ids.filter(pa.array(kept))
    return ids[kept] if isinstance(ids, np.ndarray) else [ids[row] for row in np.flatnonzero(kept)]


def check_event_weights(event_weights: Any) -> dict[str, float]:
    """Return weights by type of event, or raise :class:`ParameterError`."""
    if not isinstance(event_weights, Mapping):
        raise ParameterError(
            f"event_weights must be a mapping from types of events to weights, got {event_weights!r:.80}"
        )
    if len(event_weights) > MAX_EVENTS:
        raise ParameterError(f"event_weights must name at most {MAX_EVENTS} types, got {len(event_weights)}")
    found: dict[str, float] = {}
    for name, weight in event_weights.items():
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_EVENT_NAME:
            raise ParameterError(
                f"a type of event must be text of 1 to {MAX_EVENT_NAME} characters, got {name!r:.80}"
            )
        rule = f"weight of event {name!r}"
        if name.strip() in found:
            raise ParameterError(f"a type of event must come once, got {name.strip()!r:.80} twice")
        found[name.strip()] = check_float(rule, weight, minimum=0, maximum=MAX_EVENT_WEIGHT)
    if found and not any(found.values()):
        raise ParameterError(f"a type of event must weigh more than 0, got 0 for {quote_some(list(found))}")
    return found


def check_half_life(value: Any) -> float:
    """Return a half-life in seconds, or raise :class:`ParameterError`."""
    if isinstance(value, str):
        match = _HALF_LIFE.fullmatch(value)
        if match is None:
            raise ParameterError(
                f"half_life must be a number and one of s, m, h, d, w, as 90d, got {value!r:.80}"
            )
        value = float(match[1]) * _SECONDS[match[2]]
    elif isinstance(value, timedelta):
        value = value.total_seconds()
    return check_float("half_life", value, minimum=0, maximum=1e15, open_minimum=True)


def event_factors(values: Column, event_weights: Mapping[str, float], name: str) -> Array:
    """Return the weight of each row's event, float64 (n,); a row without one has 1, with a warning.

    Raises
    ------
    DataError
        If an event has no weight; each is named with the number of its rows.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if not (pa.types.is_null(kind) or pa.types.is_integer(kind) or _is_text(kind)):
        raise DataError(f"{name} must be types of events in text, got {kind}")
    text = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
    blank = pc.fill_null(pc.equal(pc.binary_length(text), 0), True)
    n_blank = int(pc.sum(blank).as_py() or 0)
    if n_blank:
        warnings.warn(
            f"{name} is empty in {n_blank} of {len(values)} rows; they count as an event of weight 1",
            DataWarning,
            stacklevel=4,
        )
    filled = pc.if_else(blank, "", text)
    if isinstance(filled, pa.ChunkedArray):
        filled = filled.combine_chunks()
    encoded = filled.dictionary_encode()
    places = np.asarray(encoded.indices)
    types = encoded.dictionary.to_pylist()
    counts = np.bincount(places, minlength=len(types))
    if unknown := [place for place, event in enumerate(types) if event and event not in event_weights]:
        unknown.sort(key=lambda place: -int(counts[place]))
        shown = ", ".join(
            f"{types[place]!r:.60} in {counts[place]} row{'s' if counts[place] > 1 else ''}"
            for place in unknown[:8]
        )
        more = f" and {len(unknown) - 8} more types" if len(unknown) > 8 else ""
        raise DataError(
            f"{name} must be one of {quote_some(list(event_weights), 12)}, got {shown}{more}; "
            "give each type a weight, 0 leaves its rows out"
        )
    table = np.array([event_weights[event] if event else 1.0 for event in types], np.float64)
    return table[places] if len(types) else np.empty(0)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def microseconds(newest: int) -> float:
    """Return how many microseconds the unit of some times has, by the size of the newest."""
    return next((unit for bound, unit in _UNITS if newest < bound), _NANOSECOND)


def age_factors(
    times: Array, half_life: float, reference: Moment | None, newest: int | None = None
) -> tuple[Array, float]:
    """Return what each row's age leaves of its weight, and the reference.

    Parameters
    ----------
    times : ndarray of shape (n,), int64
        Seconds, milliseconds, microseconds or nanoseconds since 1970, which the size of the newest shows.
    half_life : float
        Seconds.
    reference : number in the unit of ``times``, date, time, ISO 8601 text or None
        ``None`` is the newest time.
    newest : int or None, default=None
        The newest time; ``None`` takes that of ``times``.

    Returns
    -------
    tuple of ndarray of shape (n,), float64, and float
        From ``SMALLEST_FACTOR`` to 1, 1 for what is newer than the reference; microseconds since 1970.
    """
    newest = int(times.max()) if newest is None else newest
    unit = microseconds(newest)
    moment = newest * unit if reference is None else _moment(reference, unit)
    ages = np.maximum(moment - times * unit, 0) / (half_life * 1e6)
    return np.maximum(0.5**ages, SMALLEST_FACTOR), float(moment)


def _moment(reference: Moment, unit: float) -> float:
    """Return a reference in microseconds since 1970."""
    from hashgnn.data._columns import time_values  # it reads times of every kind

    if isinstance(reference, int | float | np.number) and not isinstance(reference, bool):
        return check_float("reference_time", reference, minimum=0) * unit
    try:
        found = float(time_values([reference], "reference_time")[0])
    except DataError:
        raise ParameterError(
            f"reference_time must be a number, a date, a time or ISO 8601 text, got {reference!r:.80}"
        ) from None
    if isinstance(reference, str) and re.fullmatch(r"\s*[0-9.]+\s*", reference):
        return found * unit
    return found
