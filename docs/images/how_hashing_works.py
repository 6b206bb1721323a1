"""Draw docs/images/how-hashing-works.png: python docs/images/how_hashing_works.py (needs the extra plots).

Every number in the picture is computed here, with the library's own packing of bits.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from hashgnn.codes import BinaryCodes

ONE, ZERO, DIFFERENT, INK, PALE = "#1f5fa8", "#dbe6f3", "#d1495b", "#1d2733", "#66717d"
USER = np.array([0.9, -0.4, 0.6, 0.2, -0.8, -0.3, 0.7, -0.5])
ITEMS = {
    "film A": np.array([0.7, -0.6, 0.4, -0.3, -0.9, -0.2, 0.8, -0.4]),
    "film B": np.array([0.3, -0.1, 0.2, 0.1, -0.2, 0.3, 0.2, -0.1]),
    "film C": np.array([0.8, -0.5, -0.2, 0.4, -0.7, -0.4, 0.6, 0.3]),
    "film D": np.array([-0.7, 0.5, -0.6, 0.3, 0.8, -0.4, -0.2, 0.6]),
    "film E": np.array([-0.4, 0.6, 0.5, -0.7, 0.9, 0.2, -0.8, 0.1]),
}
N_CANDIDATES = 3
LEFT, RIGHT = 2.0, 10.0  # where the columns of bits begin and end; one unit a bit


def bits_of(values: np.ndarray) -> np.ndarray:
    """Return 1 where a float is at least 0, else 0."""
    return (values >= 0).astype(int)


def draw_bits(axes: Axes, bits: np.ndarray, y: float, against: np.ndarray | None = None) -> None:
    """Draw a row of bits at height ``y``; a red frame marks a bit that differs from ``against``."""
    for place, bit in enumerate(bits):
        differs = against is not None and bit != against[place]
        axes.add_patch(
            Rectangle(
                (LEFT + place + 0.08, y - 0.38),
                0.84,
                0.76,
                facecolor=ONE if bit else ZERO,
                edgecolor=DIFFERENT if differs else "none",
                linewidth=3.5,
            )
        )
        colour = "white" if bit else INK
        axes.text(LEFT + place + 0.5, y, str(bit), ha="center", va="center", fontsize=15, color=colour)


def panel(axes: Axes, title: str, height: float) -> None:
    """Prepare a panel ``height`` rows high, with its title above."""
    axes.set(xlim=(0, 12.2), ylim=(height - 0.45, -0.55))
    axes.axis("off")
    axes.set_title(title, loc="left", fontsize=17, fontweight="bold", color=INK, pad=8)


def row_name(axes: Axes, name: str, y: float) -> None:
    axes.text(LEFT - 0.2, y, name, ha="right", va="center", fontsize=15, color=INK)


def main() -> None:
    """Draw the picture beside this script."""
    code = bits_of(USER)
    packed = int(BinaryCodes.from_signs(USER[None].astype(np.float32)).packed[0, 0])
    distance = {name: int((bits_of(floats) != code).sum()) for name, floats in ITEMS.items()}
    score = {name: float(USER @ floats) for name, floats in ITEMS.items()}
    nearest = sorted(ITEMS, key=distance.__getitem__)
    candidates = nearest[:N_CANDIDATES]

    figure, panels = plt.subplots(
        5, 1, figsize=(7.2, 12.8), height_ratios=[2.6, 1, 1, 6, 2.2], layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.14)
    panel(panels[0], "1  The encoder and hash layer give floats", 2.6)
    row_name(panels[0], "a user", 1.0)
    panels[0].plot([LEFT, RIGHT], [1.0, 1.0], color=PALE, linewidth=1)
    for place, value in enumerate(USER):
        panels[0].add_patch(
            Rectangle((LEFT + place + 0.2, 1.0), 0.6, -value, facecolor=ONE if value >= 0 else "#9fb6d0")
        )
        y = 1.0 - value - (0.2 if value >= 0 else -0.22)
        panels[0].text(LEFT + place + 0.5, y, f"{value:g}", ha="center", va="center", fontsize=13, color=INK)

    panel(panels[1], "2  The sign makes the bit: 0 or more is 1", 1)
    row_name(panels[1], "code", 0)
    draw_bits(panels[1], code, 0)

    panel(panels[2], "3  Eight bits are packed into one byte", 1)
    row_name(panels[2], "stored", 0)
    text = f"{packed:08b} = {packed}:  1 byte, where 8 floats are 32"
    panels[2].text(LEFT + 0.1, 0, text, ha="left", va="center", fontsize=15, color=INK)

    panel(panels[3], "4  Hamming distance: count the bits that differ", 6)
    row_name(panels[3], "the user", 0)
    draw_bits(panels[3], code, 0)
    panels[3].text(RIGHT + 1.1, 0, "distance", ha="center", va="center", fontsize=14, color=PALE)
    for row, name in enumerate(nearest, 1):
        row_name(panels[3], name, row)
        draw_bits(panels[3], bits_of(ITEMS[name]), row, against=code)
        panels[3].text(
            RIGHT + 1.1, row, str(distance[name]), ha="center", va="center", fontsize=16, color=INK
        )

    panel(panels[4], f"5  The nearest {N_CANDIDATES} are re-ranked by their floats", N_CANDIDATES)
    for row, name in enumerate(sorted(candidates, key=score.__getitem__, reverse=True)):
        row_name(panels[4], f"{row + 1}.  {name}", row)
        text = f"inner product {score[name]:.2f}   (distance {distance[name]})"
        panels[4].text(LEFT + 0.1, row, text, ha="left", va="center", fontsize=15, color=INK)

    figure.savefig(Path(__file__).with_name("how-hashing-works.png"), dpi=125, facecolor="white")


if __name__ == "__main__":
    main()
