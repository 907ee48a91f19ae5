from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.adapters.onnx_lane import KEPT, Lane, Parcel, unload


@pytest.fixture
def lane() -> Lane:
    return Lane()


def test_what_goes_in_comes_out_again_and_again(lane: Lane) -> None:
    for batch in ([b"one", b"", b"three" * 1000], [b"short"], [os.urandom(100_000)] * 3):
        assert unload(lane.load(batch)) == batch
    lane.close()


def test_a_shorter_batch_does_not_bring_the_end_of_the_one_before(lane: Lane) -> None:
    lane.load([b"x" * 1000])
    assert unload(lane.load([b"y"])) == [b"y"]


def test_a_large_batch_is_not_kept_in_memory(lane: Lane) -> None:
    load = lane.load([b"x" * (KEPT + 1)])
    assert isinstance(load, Parcel)
    assert Path(load.path).stat().st_size == KEPT + 1
    lane.load([b"y"])
    assert Path(load.path).stat().st_size == 1


def test_another_process_reads_it(lane: Lane) -> None:
    batch = [b"one" * 100_000, b"two"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(unload, (lane.load(batch),)) == batch


def test_a_lane_that_was_cut_short_is_no_image(lane: Lane) -> None:
    load = lane.load([b"one" * 100])
    assert isinstance(load, Parcel)
    os.truncate(load.path, 10)
    with pytest.raises(OSError, match="ended after"):
        unload(load)


def test_without_files_in_memory_the_bytes_themselves_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    batch: Sequence[bytes] = [b"one", b"two"]
    plain = Lane()
    assert plain.load(batch) == batch
    assert unload(plain.load(batch)) == batch
    plain.close()
