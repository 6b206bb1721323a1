"""Draw the small pictures of docs/start/how-hashing-works.md: python docs/images/hashing_pictures.py.

It writes three SVG files next to itself. Every number in them is computed here.
"""

from __future__ import annotations

import math
from pathlib import Path

ONE, PALE, RED, INK, GREY = "#1f5fa8", "#dbe6f3", "#d1495b", "#1d2733", "#66717d"
N_FLOATS, N_BITS = 256, 128
USER, RARE, POPULAR = (0.8, 0.5), (0.5, 0.4), (1.3, 0.9)
BIAS = {"rare": -0.5, "popular": 1.25}
SLOPES = (1, 3, 10)


def text(x: float, y: float, words: str, *, size: int = 15, colour: str = INK, anchor: str = "start") -> str:
    """Return a line of text."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{words}</text>'
    )


def picture(width: int, height: int, title: str, parts: list[str]) -> str:
    """Return an SVG document on a white card, which reads on a dark page too."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" font-family="DejaVu Sans, Verdana, sans-serif">',
            f"<title>{title}</title>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def squares(x: float, y: float, n: int, colour: str, *, columns: int = 64) -> list[str]:
    """Return a small square for each byte."""
    return [
        f'<rect x="{x + 10 * (i % columns):g}" y="{y + 10 * (i // columns):g}" width="8" height="8" fill="{colour}"/>'
        for i in range(n)
    ]


def bytes_of_an_item() -> str:
    """Draw the bytes of one item, a square each."""
    floats, code = 4 * N_FLOATS, N_BITS // 8
    parts = [text(20, 34, f"embedding: {N_FLOATS} floats, {floats:,} bytes"), *squares(20, 46, floats, PALE)]
    below = 46 + 10 * (floats // 64) + 34
    parts += [text(20, below, f"code: {N_BITS} bits, {code} bytes, and 1 byte of item bias")]
    parts += squares(20, below + 12, code, ONE) + squares(20 + 10 * code, below + 12, 1, RED)
    return picture(680, below + 40, "The bytes of an item: an embedding next to a code", parts)


def arrow(at: tuple[float, float], tip: tuple[float, float], scale: float, colour: str) -> str:
    """Return an arrow from the origin of a plane."""
    x, y = at[0] + scale * tip[0], at[1] - scale * tip[1]
    angle = math.degrees(math.atan2(-tip[1], tip[0]))
    return (
        f'<line x1="{at[0]:g}" y1="{at[1]:g}" x2="{x:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="3"/>'
        f'<path d="M 4 0 L -8 -5 L -8 5 Z" transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})" fill="{colour}"/>'
    )


def bias_of_an_item() -> str:
    """Draw two items that have one code, and the bias that tells which is popular."""
    at, scale = (70.0, 190.0), 115.0
    parts = [
        f'<rect x="{at[0]}" y="30" width="190" height="{at[1] - 30:g}" fill="{PALE}" opacity="0.5"/>',
        f'<line x1="30" y1="{at[1]}" x2="262" y2="{at[1]}" stroke="{GREY}"/>',
        f'<line x1="{at[0]}" y1="225" x2="{at[0]}" y2="24" stroke="{GREY}"/>',
        text(255, 212, "all of this corner", size=12, colour=GREY, anchor="end"),
        text(255, 227, "has the code 1 1", size=12, colour=GREY, anchor="end"),
        arrow(at, POPULAR, scale, RED),
        arrow(at, USER, scale, INK),
        arrow(at, RARE, scale, ONE),
        text(
            at[0] + scale * POPULAR[0] - 8,
            at[1] - scale * POPULAR[1] - 10,
            "popular",
            colour=RED,
            anchor="end",
        ),
        text(at[0] + scale * USER[0] + 12, at[1] - scale * USER[1] + 12, "user"),
        text(at[0] + scale * RARE[0] - 16, at[1] - scale * RARE[1] - 8, "rare", colour=ONE, anchor="end"),
        text(440, 60, "rare", colour=ONE, anchor="end"),
        text(560, 60, "popular", colour=RED, anchor="end"),
    ]
    rows = [
        (
            "inner product",
            *(f"{sum(a * b for a, b in zip(USER, item, strict=True)):.2f}" for item in (RARE, POPULAR)),
        )
    ]
    distance = sum((a >= 0) != (b >= 0) for a, b in zip(USER, RARE, strict=True))
    by_code = 2 - 2 * distance
    rows += [("code", "1 1", "1 1"), ("score by code", str(by_code), str(by_code))]
    rows += [("item bias", *(f"{value:+g}" for value in BIAS.values()))]
    rows += [("score with bias", *(f"{by_code + value:g}" for value in BIAS.values()))]
    for place, (name, rare, popular) in enumerate(rows):
        y = 92 + 30 * place
        parts += [
            text(295, y, name, colour=GREY, size=14),
            text(440, y, rare, anchor="end"),
            text(560, y, popular, anchor="end"),
        ]
    return picture(600, 245, "Two items with one code; the bias brings their popularity back", parts)


def relaxed_sign() -> str:
    """Draw the sign, and the soft forms that training may put in its place."""
    left, top, width, height = 50, 30, 400, 180
    middle = top + height / 2

    def line(values: list[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
        points = " ".join(
            f"{left + width * (x + 2) / 4:.1f},{middle - height * y / 2.2:.1f}" for x, y in values
        )
        dash = ' stroke-dasharray="6 5"' if dashed else ""
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"{dash}/>'

    steps = [place / 50 - 2 for place in range(201)]
    shades = ("#9fb6d0", "#5f8cc0", ONE)
    parts = [
        f'<line x1="{left}" y1="{middle}" x2="{left + width}" y2="{middle}" stroke="{GREY}"/>',
        f'<line x1="{left + width / 2}" y1="{top}" x2="{left + width / 2}" y2="{top + height}" stroke="{GREY}"/>',
        line([(-2, -1), (0, -1), (0, 1), (2, 1)], RED, dashed=True),
        *(
            line([(x, math.tanh(slope * x)) for x in steps], shade)
            for slope, shade in zip(SLOPES, shades, strict=True)
        ),
        text(left + width + 18, 62, "sign: slope 0 nearly everywhere", colour=RED, size=13),
        text(left + width + 18, middle + 34, "tanh(β · activation), β growing", size=13),
        text(left + width, middle + 18, "activation", size=12, colour=GREY, anchor="end"),
        text(left + width / 2 - 8, top + 8, "bit", size=12, colour=GREY, anchor="end"),
    ]
    for place, (slope, shade) in enumerate(zip(SLOPES, shades, strict=True)):
        y = middle + 56 + 20 * place
        parts += [
            f'<line x1="{left + width + 18}" y1="{y - 5}" x2="{left + width + 42}" y2="{y - 5}" stroke="{shade}" stroke-width="3"/>'
        ]
        parts += [text(left + width + 50, y, f"β = {slope}: slope {slope} at 0", size=13)]
    return picture(
        720, 245, "A sign has no slope to learn from; a relaxation has one and becomes a sign", parts
    )


def pictures() -> dict[str, str]:
    """Return the files by name."""
    return {
        "hashing-bytes.svg": bytes_of_an_item(),
        "hashing-bias.svg": bias_of_an_item(),
        "hashing-relaxation.svg": relaxed_sign(),
    }


if __name__ == "__main__":
    for name, drawn in pictures().items():
        Path(__file__).with_name(name).write_text(drawn, encoding="utf-8")
