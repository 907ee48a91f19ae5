from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobs.model import Checkpoint, Scan
from jobs.watermark import begin, complete

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
times = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
scans = st.builds(
    Scan,
    watermark=st.none() | times,
    scope=st.sampled_from(["a", "b"]),
    checkpoint=st.none() | st.builds(Checkpoint, times, st.none() | times, st.just("a"), unread=st.integers(0, 2)),
)


def test_the_first_scan_looks_at_everything() -> None:
    scan = begin(Scan(), now=NOW, scope="a", lookback=QUARTER)
    assert scan.checkpoint == Checkpoint(NOW, None, "a")


def test_a_later_scan_overlaps_by_the_lookback() -> None:
    scan = begin(Scan(NOW - timedelta(days=1), "a"), now=NOW, scope="a", lookback=QUARTER)
    assert scan.checkpoint is not None
    assert scan.checkpoint.lower == NOW - timedelta(days=1) - QUARTER


def test_a_changed_scope_starts_one_full_scan() -> None:
    first = begin(Scan(NOW - timedelta(days=1), "a"), now=NOW, scope="b", lookback=QUARTER)
    assert first.checkpoint is not None
    assert first.checkpoint.lower is None
    second = begin(complete(first), now=NOW, scope="b", lookback=QUARTER)
    assert second.checkpoint is not None
    assert second.checkpoint.lower == NOW - QUARTER


def test_a_watermark_ahead_of_the_clock_is_not_trusted() -> None:
    scan = begin(Scan(NOW + timedelta(hours=1), "a"), now=NOW, scope="a", lookback=QUARTER)
    assert scan.checkpoint is not None
    assert scan.checkpoint.lower is None


def test_from_now_leaves_history_out_also_after_a_changed_scope() -> None:
    scan = begin(Scan(), now=NOW, scope="a", lookback=QUARTER, from_now=True)
    assert (scan.from_now, scan.checkpoint and scan.checkpoint.lower) == (NOW, NOW)
    later = begin(complete(scan), now=NOW + QUARTER, scope="b", lookback=QUARTER)
    assert later.checkpoint is not None
    assert later.checkpoint.lower == NOW


def test_what_was_left_unread_keeps_the_watermark() -> None:
    checkpoint = Checkpoint(NOW, None, "a", unread=1)
    assert complete(Scan(checkpoint=checkpoint)) == Scan()
    assert complete(Scan(checkpoint=replace(checkpoint, unread=0))) == Scan(NOW, "a")


@given(scans)
def test_the_watermark_never_moves_back_and_never_past_the_scan_start(scan: Scan) -> None:
    after = complete(scan)
    if after.watermark != scan.watermark:
        assert scan.checkpoint is not None
        assert after.watermark == scan.checkpoint.started
        assert scan.watermark is None or after.watermark > scan.watermark
