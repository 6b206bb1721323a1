"""``Launched``: which of several processes this one is, as ``torchrun`` and Ray tell it by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """The place of this process among those that were started to train together.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    local_rank, local_size : int
        The same among those of this machine.
    n_restarts : int
        How often all of them were started again after one had ended.
    """

    rank: int
    size: int
    local_rank: int = 0
    local_size: int = 1
    n_restarts: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Launched | None:
        """Return the place that the environment names; ``None`` for a process that was started alone."""
        if any(not environment.get(name) for name in _NEEDED):
            return None

        def number(name: str, default: int) -> int:
            text = environment.get(name, "")
            return int(text) if text.isdigit() else default

        size = number("WORLD_SIZE", 1)
        if size < 2:
            return None
        rank = number("RANK", 0)
        return cls(
            rank,
            size,
            number("LOCAL_RANK", rank),
            number("LOCAL_WORLD_SIZE", size),
            number("TORCHELASTIC_RESTART_COUNT", 0),
        )


def is_helper() -> bool:
    """Return whether this process only helps another one, which reports and saves."""
    launched = Launched.from_environment()
    return launched is not None and launched.rank > 0
