"""When a file in a folder counts as changed, and what a read of it gives."""

from __future__ import annotations

import builtins
import io
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.adapters.folder import FolderSource
from jobs.adapters.folder_walk import from_ns
from jobs.errors import Changed, Transient
from tests.unit.folder_kit import head, put, run


def test_a_copy_that_keeps_its_time_counts_from_when_it_came(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    start = run(source.now())
    put(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", (0, 0))
    assert head(source, "a.jpg").modified >= start


def test_a_time_ahead_is_kept_and_one_off_the_calendar_is_its_end(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", (4e9, 4e9))
    assert head(FolderSource(tmp_path), "a.jpg").modified == datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC)
    assert from_ns(10**21).year == 9999
    assert from_ns(-(10**21)).year == 1


def test_times_are_rounded_down_alike() -> None:
    assert from_ns(1_700_000_000_123_456_999) == from_ns(1_700_000_000_123_456_000)
    assert from_ns(1_700_000_000_123_456_999).microsecond == 123_456
    assert from_ns(-1) == datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)


def test_the_clock_is_never_ahead_of_the_stamp_of_the_next_file(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    for number in range(300):
        start = run(source.now())
        put(tmp_path, f"{number}")
        assert head(source, f"{number}").modified >= start


def young(monkeypatch: pytest.MonkeyPatch, path: Path, *, age: int) -> None:
    stamp = path.stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: stamp + age)


def test_a_file_of_this_very_tick_is_read_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jpg")
    waits: list[float] = []
    source = FolderSource(tmp_path, wait=waits.append)
    young(monkeypatch, tmp_path / "a.jpg", age=5_000_000)
    run(source.read(head(source, "a.jpg")))
    assert waits == [0.015]
    young(monkeypatch, tmp_path / "a.jpg", age=20_000_000)
    run(source.read(head(source, "a.jpg")))
    young(monkeypatch, tmp_path / "a.jpg", age=-3_600_000_000_000)
    run(source.read(head(source, "a.jpg")))
    assert waits == [0.015]


def test_a_file_that_changes_while_it_is_read_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jpg")
    source = FolderSource(tmp_path, wait=lambda _: put(tmp_path, "a.jpg"))
    young(monkeypatch, tmp_path / "a.jpg", age=1)
    with pytest.raises(Changed):
        run(source.read(head(source, "a.jpg")))


def test_fewer_bytes_than_there_are_is_a_passing_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jpg")
    source = FolderSource(tmp_path)
    blob = head(source, "a.jpg")
    monkeypatch.setattr(builtins, "open", lambda *_, **__: io.BytesIO(b"a"))
    with pytest.raises(Transient, match="gave 1 of 5 bytes"):
        run(source.read(blob))
