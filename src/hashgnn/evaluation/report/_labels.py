"""Names next to points, without one on another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hashgnn._types import Array

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels

_CHARACTER = 0.62  # width of a character, of the font's size; the browser's font may be wide
_MARK = 5.0  # half the side of a point with its edge
_GAP = 4.0  # from a point to its name
_STEPS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6)  # heights that are tried, in lines


def place_labels(
    axes: Any, names: Sequence[str], x: Array, y: Array, lines: Sequence[tuple[float, float, float]] = ()
) -> None:
    """Write a name next to each point where nothing else is: no name, point or line.

    A name that had to move far has a thin line to its point. Limits and labels of the axes must be set
    before.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    names : sequence of str
    x, y : ndarray of shape (n,)
        The points, in data.
    lines : sequence of (x, low, high)
        Vertical lines in data, which names keep off.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    size = _font_size() * scale
    points = axes.transData.transform(list(zip(x, y, strict=True)))
    taken: list[Box] = [(px - _MARK, py - _MARK, px + _MARK, py + _MARK) for px, py in points]
    for place, low, high in lines:
        (px, bottom), (_, top) = axes.transData.transform([(place, low), (place, high)])
        taken.append((px - 1.5, bottom, px + 1.5, top))
    bounds = axes.get_window_extent()
    limits = (bounds.x0, bounds.y0, bounds.x1, bounds.y1)
    for at in sorted(range(len(names)), key=lambda one: -points[one][1]):
        px, py = points[at]
        width = _CHARACTER * size * len(names[at])
        box = _free(list(_candidates(px, py, width, size)), taken, limits)
        taken.append(box)
        left, bottom, right, top = box
        far = abs((bottom + top) / 2 - py) > size
        axes.annotate(
            names[at],
            (x[at], y[at]),
            textcoords="offset pixels",
            xytext=((left if left >= px else right) - px, (bottom + top) / 2 - py),
            ha="left" if left >= px else "right",
            va="center",
            arrowprops=_line() if far else None,
        )


def _candidates(px: float, py: float, width: float, size: float) -> Iterator[Box]:
    for step in _STEPS:
        middle = py + step * 1.15 * size
        near = _MARK + _GAP if step == 0 else _MARK + 2 * _GAP
        yield px + near, middle - 0.6 * size, px + near + width, middle + 0.6 * size
        yield px - near - width, middle - 0.6 * size, px - near, middle + 0.6 * size


def _free(candidates: Sequence[Box], taken: Sequence[Box], limits: Box) -> Box:
    """Return the first box inside the limits that is on nothing, or the one that is on least."""

    def cost(box: Box) -> float:
        outside = max(limits[0] - box[0], 0) + max(box[2] - limits[2], 0)
        outside += max(limits[1] - box[1], 0) + max(box[3] - limits[3], 0)
        return 1000 * outside + sum(overlap(box, other) for other in taken)

    return min(candidates, key=cost)


def overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, in square pixels.

    Examples
    --------
    >>> overlap((0, 0, 2, 2), (1, 1, 5, 5)), overlap((0, 0, 1, 1), (2, 0, 3, 1))
    (1, 0)
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0


def _line() -> dict[str, Any]:
    from hashgnn.evaluation.report._svg import FAINT

    return {"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3}


def _font_size() -> float:
    from hashgnn._extras import require

    matplotlib = require("matplotlib", extra="plots", purpose="a report with plots")
    return float(matplotlib.rcParams["font.size"])
