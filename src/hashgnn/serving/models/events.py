"""Types of events in requests, against those that the model was trained with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hashgnn._checks import quote_some
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.schemas import Interaction


def known_events(rows: Sequence[Interaction], event_weights: Mapping[str, float]) -> list[str | None] | None:
    """Return the types of events of a request; None where it has none.

    Raises
    ------
    RequestError
        If the model does not know one of them; each is named with its count.
    """
    events = [row.event for row in rows]
    counts = Counter(event for event in events if event is not None)
    unknown = {event: count for event, count in counts.items() if event not in event_weights}
    if unknown:
        shown = ", ".join(f"{event!r} in {count}" for event, count in list(unknown.items())[:8])
        rule = f"one of {quote_some(list(event_weights), 12)}" if event_weights else "left out"
        reason = "" if event_weights else "; the model was trained without types of events"
        raise RequestError(
            Reason.INVALID, f"event must be {rule}, got {shown} of {len(rows)} interactions{reason}"
        )
    return events if counts else None
