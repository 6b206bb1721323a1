"""The versions that one worker of a service answers with, for another one that is started later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Standing:
    """The versions that a worker answers with.

    Attributes
    ----------
    current : Path
    next_version : Path or None
    share : float
    looked_at : tuple of str, or str
        The mark of the version that the model's path led to when it was looked at last, which may have been refused.
    """

    current: Path
    next_version: Path | None
    share: float
    looked_at: tuple[str, str] | str
