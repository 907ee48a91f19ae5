"""A plot of rates against the quota, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 900, 260, 40
COLOURS = ("#0a7", "#d62", "#46c", "#999")


def plot(title: str, quota: Sequence[float], served: Mapping[str, Sequence[float]], *, every: int) -> str:
    """Draw the quota as an area and what was served as lines, in calls a second; one value for every so many seconds."""
    top = 1.15 * max(*quota, *(max(line) for line in served.values()))
    lines = [_text(MARGIN, 20, title, "#000")]
    lines.append(
        f'<polygon points="{_points([*quota], top)} {WIDTH - MARGIN},{HEIGHT - MARGIN} {MARGIN},{HEIGHT - MARGIN}" fill="#eee"/>'
    )
    for number, (name, values) in enumerate(served.items()):
        colour = COLOURS[number % len(COLOURS)]
        lines.append(f'<polyline points="{_points(values, top)}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        lines.append(_text(WIDTH - MARGIN - 90 * (len(served) - number), 20, name, colour))
    for share in (0, 0.5, 1):
        lines.append(_text(4, HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), f"{share * top:.0f}/s", "#555"))
        seconds = share * every * len(quota)
        lines.append(_text(MARGIN + share * (WIDTH - 2 * MARGIN) - 10, HEIGHT - 20, f"{seconds:.0f} s", "#555"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" font-family="sans-serif">\n'
        + "\n".join([f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', *lines, "</svg>\n"])
    )


def _points(values: Sequence[float], top: float) -> str:
    step = (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    return " ".join(
        f"{MARGIN + index * step:.1f},{HEIGHT - MARGIN - value / top * (HEIGHT - 2 * MARGIN):.1f}"
        for index, value in enumerate(values)
    )


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}">{escape(text)}</text>'
