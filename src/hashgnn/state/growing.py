"""``Rooms``: tables that grow at their end while their earlier states stay as they are."""

from __future__ import annotations

import threading

import numpy as np

from hashgnn._types import Array

_SPARE = 8  # an eighth of the rows
_LEAST = 256


class _Room:
    """A buffer whose first ``used`` rows are never changed."""

    def __init__(self, buffer: Array, used: int) -> None:
        self.buffer, self.used, self.lock = buffer, used, threading.Lock()


class Rooms:
    """Spare room behind the tables of a model, by their names.

    A table that gets rows for the first time is copied once, with room for more. Later rows are written behind it:
    that costs what the new rows cost. Views of the table as it was see nothing of it. Where two models grow from
    the same one, the second gets a copy of its own.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    def appended(self, name: str, table: Array, rows: Array) -> Array:
        """Return a read-only table with more rows at its end.

        Parameters
        ----------
        name : str
        table : ndarray of shape (n, ...)
        rows : ndarray of shape (m, ...)
            Of the dtype of ``table``.
        """
        n, total = len(table), len(table) + len(rows)
        room = self._rooms.get(name)
        if room is None or not self._take(room, table, rows):
            buffer = np.empty((total + max(total // _SPARE, _LEAST), *table.shape[1:]), table.dtype)
            buffer[:n], buffer[n:total] = table, rows
            room = self._rooms[name] = _Room(buffer, total)
        view = room.buffer[:total]
        view.flags.writeable = False
        return view

    @staticmethod
    def _take(room: _Room, table: Array, rows: Array) -> bool:
        """Write rows behind a table, if the room behind it is free and large enough."""
        n, total = len(table), len(table) + len(rows)
        with room.lock:
            is_mine = table.ctypes.data == room.buffer.ctypes.data and table.dtype == room.buffer.dtype
            if not is_mine or room.used != n or total > len(room.buffer):
                return False
            room.buffer[n:total] = rows
            room.used = total
            return True

    def copy(self) -> Rooms:
        """Return the same rooms, for a model that may get others."""
        other = Rooms()
        other._rooms = dict(self._rooms)
        return other
