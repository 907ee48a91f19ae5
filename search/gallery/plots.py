"""Plots of runs as numbers for inline SVG; templates draw them, so that every text in them is escaped there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.model import Report

WIDTH, HEIGHT = 600, 120
_GAP = 0.25
_WIDEST = 36.0
OUTCOMES = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column: its rectangle, what kind it is, and what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: heading, what its highest column stands for, and its bars."""

    heading: str
    most: str
    bars: Sequence[Bar]


def plots(newest_first: Sequence[Report]) -> Sequence[Plot]:
    """Return the plots of runs, the oldest at the left: images by outcome, throughput, cost where there is any."""
    runs = list(reversed(newest_first))
    if not runs:
        return ()
    made = [_outcomes(runs), _values("Throughput", [run.images_per_second for run in runs], runs, "{:.1f} images/s")]
    if any(run.cost for run in runs):
        made.append(_values("Cost", [run.cost for run in runs], runs, "${:,.2f}"))
    return made


def _outcomes(runs: Sequence[Report]) -> Plot:
    most = max(1, *(run.listed for run in runs))
    bars = []
    for at, run in enumerate(runs):
        top = float(HEIGHT)
        for kind in OUTCOMES:
            number = getattr(run, kind)
            height = HEIGHT * number / most
            top -= height
            if number:
                bars.append(_bar(at, len(runs), (top, height), kind, f"{run.run_id}: {number:,} {kind}"))
    return Plot("Images by outcome", f"{most:,} images", bars)


def _values(heading: str, values: Sequence[float], runs: Sequence[Report], text: str) -> Plot:
    most = max(1e-9, *values)
    bars = [
        _bar(at, len(runs), (HEIGHT * (1 - value / most), HEIGHT * value / most), "value", f"{run.run_id}: {text.format(value)}")
        for at, (run, value) in enumerate(zip(runs, values, strict=True))
        if value
    ]
    return Plot(heading, text.format(most) if any(values) else "none", bars)


def _bar(at: int, of: int, span: tuple[float, float], kind: str, title: str) -> Bar:
    """Return a bar of the column at a place of so many; `span` is its top and its height."""
    top, height = span
    step = min(WIDTH / of, _WIDEST)
    return Bar(round(at * step, 2), round(top, 2), round(step * (1 - _GAP), 2), round(height, 2), kind, title)
