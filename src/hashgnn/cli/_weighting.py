"""The options that say which items of a history count, and how much."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hashgnn.errors import ParameterError

_PANEL = "What a history weighs"

LastN = Annotated[
    int | None,
    typer.Option(
        "--last-n",
        metavar="N",
        help="Only the newest items of a history, which is from the oldest to the newest.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
PositionHalfLife = Annotated[
    float | None,
    typer.Option(
        "--position-half-life",
        metavar="N",
        help="Places of a history after which an item's weight has halved.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
AgeHalfLife = Annotated[
    str | None,
    typer.Option(
        "--age-half-life",
        metavar="AGE",
        help="Age after which an item's weight has halved, as 7d (s, m, h, d, w); it needs times.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Session = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="PAUSE",
        help="Only the last session: a longer pause begins a new one, as 30m (s, m, h, d, w); it needs times.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


def weighting_of(
    last_n: int | None,
    position_half_life: float | None,
    age_half_life: str | None,
    session: str | None,
    *,
    places: bool,
    times: bool,
    needs: str,
) -> dict[str, Any] | None:
    """Return the options as ``history_weighting``; ``None`` where none is given.

    Parameters
    ----------
    last_n, position_half_life, age_half_life, session
        The options.
    places, times : bool
        Whether the items of the request have an order, and may have times.
    needs : str
        The options that give times, for messages.

    Raises
    ------
    ParameterError
        If one is given and what it counts by is not there, or it breaks its rule.
    """
    from hashgnn.data import HistoryWeighting

    given: dict[str, Any] = {
        "last_n": last_n,
        "position_half_life": position_half_life,
        "age_half_life": age_half_life,
        "session": session,
    }
    found = {name: value for name, value in given.items() if value is not None}
    if not found:
        return None
    option = "--" + next(iter(found)).replace("_", "-")
    if not places:
        raise ParameterError(f"{option} needs {needs}, whose order it counts by")
    weighting = HistoryWeighting(**found)
    if weighting.needs_times and not times:
        option = "--session" if session is not None else "--age-half-life"
        raise ParameterError(f"{option} needs the times of {needs.removeprefix('--history, ')}")
    return found
