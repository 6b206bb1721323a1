"""A value that a search reads and a tuning sets."""

from __future__ import annotations


class Setting:
    """A number that can be changed between searches."""

    def __init__(self, value: int) -> None:
        self.value = value

    def set(self, value: int) -> None:
        """Change it."""
        self.value = value
