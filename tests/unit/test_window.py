from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.audit import audit
from jobs.errors import Misconfigured
from jobs.sweep import sweep
from jobs.window import Window, moment, window, zone
from tests.unit.shop_kit import TERMS, Shop, opened

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 1, 12, 30, 40, tzinfo=UTC)
HOURS = st.times().map(lambda hour: hour.replace(second=0, microsecond=0))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


@given(HOURS, HOURS, ZONES, MOMENTS)
def test_a_window_opens_and_closes_when_it_says(begin: time, end: time, name: str, now: datetime) -> None:
    if begin == end:
        return
    hours = Window(begin, end, ZoneInfo(name))
    opens, closes = hours.opens(now), hours.closes(now)
    assert hours.holds(opens)
    assert not hours.holds(closes)
    before = max(opens, closes) - timedelta(minutes=1)
    assert before < now or hours.holds(before) is (closes > opens)


@pytest.mark.parametrize(
    ("text", "now", "holds"),
    [
        ("22:00-06:00", "2026-06-01T19:59:59Z", False),
        ("22:00-06:00", "2026-06-01T20:00:00Z", True),
        ("22:00-06:00", "2026-06-01T23:30:00Z", True),
        ("22:00-06:00", "2026-06-02T03:59:59Z", True),
        ("22:00-06:00", "2026-06-02T04:00:00Z", False),
        ("9:00-17:30", "2026-12-01T08:00:00Z", True),
        ("9:00-17:30", "2026-12-01T16:30:00Z", False),
    ],
)
def test_hours_are_those_of_the_time_zone(text: str, now: str, holds: bool) -> None:  # noqa: FBT001
    hours = window(text, BERLIN)
    assert hours is not None
    assert hours.holds(datetime.fromisoformat(now)) is holds


@pytest.mark.parametrize(
    "text", ["22-6", "22:00", "22:00-", "25:00-06:00", "22:00-06:60", "22:00-22:00", "-", "x-y", "22:00-06:00-07:00"]
)
def test_what_is_no_window_is_refused_by_name(text: str) -> None:
    with pytest.raises(Misconfigured, match="IMAGESWEEP_WINDOW"):
        window(text, UTC)


def test_no_window_is_none() -> None:
    assert window("  ", UTC) is None


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_an_unknown_time_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(Misconfigured, match="IMAGESWEEP_TIME_ZONE"):
        zone(name)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("13:31", "2026-03-01T12:31:00Z"),
        ("13:30", "2026-03-02T12:30:00Z"),
        ("06:00", "2026-03-02T05:00:00Z"),
        ("2026-03-05T06:00", "2026-03-05T05:00:00Z"),
        ("2026-03-05T06:00+00:00", "2026-03-05T06:00:00Z"),
        ("2026-03-05", "2026-03-04T23:00:00Z"),
        ("2026-07-05T06:00", "2026-07-05T04:00:00Z"),
    ],
)
def test_a_time_is_local_and_to_come(text: str, at: str) -> None:
    assert moment(text, now=NOW, where=BERLIN) == datetime.fromisoformat(at)


@pytest.mark.parametrize("text", ["", "soon", "24:00", "6", "2026-02-30T06:00", "2026-03-01T13:00", "2025-01-01"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a time of day|is over"):
        moment(text, now=NOW, where=BERLIN)


NIGHT = window("22:00-06:00", UTC)


def test_outside_of_its_window_a_sweep_ends_at_once_and_says_until_when(shop: Shop) -> None:
    shop.fill(3)
    shop.later(6 * 3600)
    report = shop.run(sweep(ports=shop.ports(), terms=replace(TERMS, window=NIGHT)))
    assert (report.status, report.listed, report.calls) == ("stopped", 0, 0)
    assert report.goes_on == datetime(2026, 3, 1, 22, tzinfo=UTC)
    assert "Outside of the window 22:00-06:00 (UTC)" in report.message
    assert shop.source.begun == []
    assert shop.store.documents == {}


def test_a_sweep_drains_when_its_window_ends_and_goes_on_the_next_night(shop: Shop) -> None:
    shop.fill(40)
    shop.later(4 * 3600 - 4.5)
    terms = replace(TERMS, window=NIGHT, per_second=2.0)
    report = shop.run(sweep(ports=shop.ports(), terms=terms))
    assert report.status == "stopped"
    assert 5 <= report.calls <= 15
    assert report.calls == report.classified == shop.till.calls
    assert report.goes_on == datetime(2026, 3, 1, 22, tzinfo=UTC)
    assert "The window 22:00-06:00 (UTC) is over" in report.message
    shop.later(16 * 3600)
    again = shop.run(sweep(ports=shop.ports(), terms=terms))
    assert (again.status, again.goes_on, again.classified) == ("complete", None, 40 - report.classified)


def test_an_audit_may_look_at_any_time_and_mends_inside_the_window(shop: Shop) -> None:
    shop.fill(1)
    shop.later(6 * 3600)
    terms = replace(TERMS, window=NIGHT)
    assert shop.run(audit(ports=shop.ports(), terms=terms)).report.status == "complete"
    assert shop.run(audit(ports=shop.ports(), terms=terms, repair=True)).report.status == "stopped"
