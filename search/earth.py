"""Parts of the earth as rectangles of degrees, which every index can compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from search.query import Area, Near

RADIUS = 6371.0088
"""Mean radius of the earth in kilometres."""

_STRIPS = 96
_HALF_TURN = 180.0
_POLE = 90.0


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
