"""Circles and areas as rectangles: no point is on the wrong side but next to the edge."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from search.document import micro
from search.earth import LEVELS, Box, cell, distance, rectangles
from search.earth import covered as grid
from search.query import Area, Near

latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)


def covered(place: Area | Near, latitude: float, longitude: float) -> bool:
    return any(area.south <= latitude <= area.north and area.west <= longitude <= area.east for area in rectangles(place))


@given(latitudes, longitudes, st.floats(0.01, 19_000), latitudes, longitudes)
@example(46.0, 33.0, 11_370.0, 6.0, 146.0)
def test_rectangles_are_the_circle_but_for_two_per_cent_of_its_radius(
    north: float, east: float, kilometres: float, latitude: float, longitude: float
) -> None:
    far = distance((north, east), (latitude, longitude))
    assume(abs(far - kilometres) > 0.02 * kilometres)
    assert covered(Near(north, east, kilometres), latitude, longitude) == (far <= kilometres)


@given(st.floats(0, 1), st.floats(0, 360), st.sampled_from([(52.5, 13.4), (-17.0, 179.9), (89.0, 0.0), (0.0, -180.0)]))
def test_points_close_to_the_centre_are_inside(share: float, bearing: float, centre: tuple[float, float]) -> None:
    """Random points on the whole earth are hardly ever in a small circle."""
    step = 100 / 111.2 * share * 0.7
    latitude = min(max(centre[0] + step * (1 if bearing > 180 else -1), -90), 90)
    far = distance(centre, (latitude, centre[1]))
    assert covered(Near(*centre, 100), latitude, centre[1]) == (far <= 100)


def test_an_area_over_the_date_line_is_two() -> None:
    assert [*rectangles(Area(-20, 170, -10, -170))] == [Area(-20, 170, -10, 180), Area(-20, -180, -10, -170)]


def test_known_distances() -> None:
    assert distance((52.52, 13.405), (48.2, 16.37)) == pytest.approx(524, rel=0.01)
    assert distance((0, 0), (0, 180)) == pytest.approx(20_015, rel=0.001)


def boxes(place: Area | Near) -> list[Box]:
    return [Box(*map(micro, (area.south, area.west, area.north, area.east))) for area in rectangles(place)]


@st.composite
def circles_and_places(draw: st.DrawFn) -> tuple[Near, int, int]:
    """Draw a circle, and a place that is near its edge more often than not: anywhere else cells say little."""
    circle = Near(draw(latitudes), draw(longitudes), draw(st.floats(0.01, 19_000) | st.floats(0.01, 50)))
    reach = circle.kilometres / 111.2
    bearing, far = draw(st.floats(0, math.tau)), reach * draw(st.floats(0.8, 1.2) | st.floats(0, 2))
    latitude = min(max(circle.latitude + far * math.cos(bearing), -90), 90)
    narrow = max(math.cos(math.radians(latitude)), 0.001)
    longitude = (circle.longitude + far * math.sin(bearing) / narrow + 180) % 360 - 180
    return circle, micro(latitude), micro(longitude)


def lies_in(box: Box, latitude: int, longitude: int) -> bool:
    return box.south <= latitude <= box.north and box.west <= longitude <= box.east


@given(circles_and_places())
@example((Near(0, 0, 25_000), 90_000_000, 180_000_000))
@example((Near(89, -170, 900), -90_000_000, -180_000_000))
@example((Near(-17, 179.9, 300), -17_000_000, -179_999_999))
def test_cells_and_edges_are_the_rectangles(drawn: tuple[Near, int, int]) -> None:
    circle, latitude, longitude = drawn
    rectangular = boxes(circle)
    cover = grid(rectangular)
    place = cell(cover.level, latitude, longitude)
    found = place in cover.inside or any(place in cells and lies_in(box, latitude, longitude) for box, cells in cover.edges)
    assert found == any(lies_in(box, latitude, longitude) for box in rectangular)


@given(st.sampled_from(LEVELS), st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))
def test_cells_are_those_of_the_grid(level: int, latitude: int, longitude: int) -> None:
    row, column = cell(level, latitude, longitude)
    assert 0 <= row < 2**level
    assert 0 <= column < 2**level
    assert (row >> 2, column >> 2) == cell(level - 2, latitude, longitude)
