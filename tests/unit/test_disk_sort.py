from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.adapters.disk_sort import DiskSort

names = st.lists(st.binary(max_size=6).map(lambda raw: raw.replace(b"\0", b"0")))


@given(names, st.integers(1, 5))
def test_gives_the_distinct_items_in_order(items: list[bytes], chunk: int) -> None:
    with closing(DiskSort(items, chunk)) as ordered:
        assert list(ordered) == sorted(set(items))


def test_runs_longer_than_a_block_come_back_whole() -> None:
    chance = random.Random(7)
    items = [chance.randbytes(chance.randrange(1, 250)).replace(b"\0", b"\n") for _ in range(5000)]
    with closing(DiskSort(items, 700)) as ordered:
        assert list(ordered) == sorted(set(items))


def test_what_fits_into_memory_never_touches_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    with closing(DiskSort([b"b", b"a", b"c"], 3)) as ordered:
        assert list(ordered) == [b"a", b"b", b"c"]


def test_a_fault_of_the_items_leaves_no_open_file() -> None:
    def items() -> Iterator[bytes]:
        yield from (b"c", b"b", b"a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # an open file would warn, and warnings are errors
        DiskSort(items(), 1)


def test_may_be_closed_before_its_end() -> None:
    ordered = DiskSort([b"c", b"b", b"a"], 1)
    assert next(ordered) == b"a"
    ordered.close()
    assert list(ordered) == []
