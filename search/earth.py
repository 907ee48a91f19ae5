"""Parts of the earth as rectangles of degrees, which every index can compare."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from search.query import Area, Near

RADIUS = 6371.0088
"""Mean radius of the earth in kilometres."""

LEVELS = (4, 6, 8, 10, 12, 14, 16)
"""Grids over the earth, whose cells are from 11 degrees high and 22 wide down to 300 metres high."""

MOST = 32
"""Columns of a grid that a rectangle may touch."""

_STRIPS = 96
_TALL, _WIDE = 180_000_000, 360_000_000
"""Millionths of a degree from pole to pole, and around."""
_HALF_TURN = 180.0
_POLE = 90.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in millionths of a degree, edges included, that does not reach over the date line."""

    south: int
    west: int
    north: int
    east: int


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the kilometres between two places, (latitude, longitude) in degrees, along a great circle."""
    (north, east), (far_north, far_east) = (tuple(map(math.radians, place)) for place in (one, other))
    half = math.sin((far_north - north) / 2) ** 2
    half += math.cos(north) * math.cos(far_north) * math.sin((far_east - east) / 2) ** 2
    return 2 * RADIUS * math.asin(math.sqrt(min(half, 1.0)))


def rectangles(place: Area | Near) -> Iterator[Area]:
    """Yield areas, none of them over the date line, that together are the place.

    A circle is cut into strips along parallels, each as wide as the circle is in its middle.
    """
    for area in (place,) if isinstance(place, Area) else _strips(place):
        south, north = max(area.south, -_POLE), min(area.north, _POLE)
        if area.west <= area.east:
            yield Area(south, area.west, north, area.east)
        else:
            yield Area(south, area.west, north, _HALF_TURN)
            yield Area(south, -_HALF_TURN, north, area.east)


def cell(level: int, latitude: int, longitude: int) -> tuple[int, int]:
    """Return row and column of a place, in millionths of a degree, in a grid of 2**level rows and columns over the earth."""
    return (latitude + _TALL // 2 << level) // (_TALL + 1), (longitude + _WIDE // 2 << level) // (_WIDE + 1)


@dataclass(frozen=True, slots=True)
class Cover:
    """Cells of one grid for some rectangles: `inside` lie in them whole, `edges` are the others that each one touches.

    A place in a rectangle is in a cell of `inside` or in one of the `edges` of that rectangle; a place in a cell of `inside` is in
    a rectangle.
    """

    level: int
    inside: frozenset[tuple[int, int]]
    edges: Sequence[tuple[Box, frozenset[tuple[int, int]]]]


def covered(boxes: Sequence[Box]) -> Cover:
    """Return the cells that rectangles touch, at the finest level at which none of them touches more than MOST columns."""
    level = next((level for level in reversed(LEVELS) if all(_columns(level, box) <= MOST for box in boxes)), LEVELS[0])
    touched: list[tuple[Box, frozenset[tuple[int, int]]]] = []
    rows: dict[int, dict[tuple[int, int], set[int]]] = {}
    for box in boxes:
        (bottom, left), (top, right) = cell(level, box.south, box.west), cell(level, box.north, box.east)
        touched.append((box, frozenset((row, column) for row in range(bottom, top + 1) for column in range(left, right + 1))))
        whole = {column for column in range(left, right + 1) if _spans(level, column, _WIDE, box.west, box.east)}
        for row in range(bottom, top + 1):
            rows.setdefault(row, {}).setdefault((box.south, box.north), set()).update(whole)
    inside = frozenset(
        (row, column)
        for row, bands in rows.items()
        if _spans(level, row, _TALL, min(south for south, _ in bands), max(north for _, north in bands))
        for column in set.intersection(*bands.values())
    )
    return Cover(level, inside, [(box, cells - inside) for box, cells in touched if not cells <= inside])


def _columns(level: int, box: Box) -> int:
    return cell(level, 0, box.east)[1] - cell(level, 0, box.west)[1] + 1


def _spans(level: int, number: int, whole: int, low: int, high: int) -> bool:
    """Say whether a row or column of a grid over `whole` lies between two places, in millionths of a degree."""
    first, beyond = (-(-(at * (whole + 1)) >> level) - whole // 2 for at in (number, number + 1))
    return low <= first and beyond - 1 <= high


def _strips(circle: Near) -> Iterator[Area]:
    """Yield the strips of a circle, from its north to its south: narrower ones where its width changes faster."""
    reach = math.degrees(circle.kilometres / RADIUS)
    edges = [circle.latitude + reach * math.cos(math.pi * step / _STRIPS) for step in range(_STRIPS + 1)]
    for north, south in pairwise(edges):
        if south > _POLE or north < -_POLE:
            continue
        middle = min(max((north + south) / 2, -_POLE), _POLE)
        half = _half_width(circle, middle)
        if half is not None:
            west, east = _turned(circle.longitude, half)
            yield Area(south, west, north, east)


def _half_width(circle: Near, parallel: float) -> float | None:
    """Return the degrees of longitude from the centre to the circle's edge along a parallel, None where they do not meet."""
    north, centre = math.radians(parallel), math.radians(circle.latitude)
    most = math.sin(min(circle.kilometres / (2 * RADIUS), math.pi / 2)) ** 2
    along = most - math.sin((north - centre) / 2) ** 2
    if along < 0:
        return None
    across = math.cos(north) * math.cos(centre)
    return _HALF_TURN if along >= across else math.degrees(2 * math.asin(math.sqrt(along / across)))


def _turned(longitude: float, half: float) -> tuple[float, float]:
    """Return the west and east of a span around a longitude; west is the greater one over the date line."""
    if half >= _HALF_TURN:
        return -_HALF_TURN, _HALF_TURN
    west, east = longitude - half, longitude + half
    if west < -_HALF_TURN:
        return west + 2 * _HALF_TURN, east
    return (west, east - 2 * _HALF_TURN) if east > _HALF_TURN else (west, east)
