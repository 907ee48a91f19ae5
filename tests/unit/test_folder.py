"""What only a folder does: names, times, order and memory. What every source does is in tests/contract/test_source.py."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.adapters.folder import FolderSource
from jobs.choose import chooser
from jobs.errors import Rejected, StorageFailed
from jobs.model import Blob, Odd
from tests.unit.folder_kit import entries, fail, head, names, put, run

alphabet = st.sampled_from(["a", "b", "0", "-", ".", "~", "é", "\ue000", "\uef80", "\uffee", "😀", "\n"])
part = st.text(alphabet, min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))
trees = st.sets(st.lists(part, min_size=1, max_size=4).map("/".join), max_size=30)


def without_clashes(tree: set[str]) -> list[str]:
    """Leave out the names that others have as a folder."""
    return [name for name in tree if not any(other.startswith(name + "/") for other in tree)]


@settings(deadline=None, max_examples=60)
@given(trees)
@example({"a/x", "a-b", "a.jpg", "a0"})
def test_any_tree_is_listed_in_order_and_goes_on_after_any_name(tree: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), *without_clashes(tree))
        source = FolderSource(Path(folder), page=3, spill=2)
        listed = names(source)
        assert listed == sorted(listed, key=str.encode)
        assert [run(source.read(head(source, name))) for name in listed] == [name.encode() for name in without_names(listed)]
        for place, name in enumerate(listed):
            assert names(source, after=name) == listed[place + 1 :]
        assert len(listed) == len(without_clashes(tree))


def without_names(listed: list[str]) -> list[str]:
    """Undo the mapping of U+EF80, the one character here that is mapped."""
    return [name.replace("\uefee\uefbe\uef80", "\uef80") for name in listed]


def test_a_flat_folder_never_sits_in_memory(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tmp_path / f"{number * 7919 % 20_000:05}.jpg", os.O_CREAT))
    source = FolderSource(tmp_path, page=100, spill=1000)

    async def count() -> int:
        listed, last = 0, ""
        async for page in source.pages():
            assert page.blobs[0].name > last
            listed, last = listed + len(page.blobs), page.blobs[-1].name
        return listed

    tracemalloc.start()
    try:
        assert run(count()) == 20_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000


def test_a_full_disk_for_temporary_files_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a", "b", "c")

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StorageFailed, match=r"No space left on device.*TMPDIR"):
        names(FolderSource(tmp_path, spill=2))


def test_what_ends_before_the_place_or_lies_off_the_prefix_is_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/1", "b/c/1", "b/d/1", "b0", "c/1")
    walked: list[str] = []
    real = os.scandir

    def spy(path: bytes) -> Any:
        walked.append(os.path.relpath(path.decode(), tmp_path))
        return real(path)

    monkeypatch.setattr(os, "scandir", spy)
    source = FolderSource(tmp_path)
    assert names(source, after="b/c/1") == ["b/d/1", "b0", "c/1"]
    assert walked == [".", "b", "b/c", "b/d", "c"]
    walked.clear()
    assert names(source, prefix="b/c") == ["b/c/1"]
    assert walked == ["b", "b/c"]


def test_a_listing_that_is_cancelled_stops_its_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a")
    entered = threading.Event()
    seen: list[int] = []
    with os.scandir(os.fsencode(tmp_path)) as found:
        [entry] = found

    @contextmanager
    def very_large(_: bytes) -> Iterator[Iterator[os.DirEntry[bytes]]]:
        def again() -> Iterator[os.DirEntry[bytes]]:
            for number in range(300_000):
                seen.append(number)
                entered.set()
                yield entry

        yield again()

    monkeypatch.setattr(os, "scandir", very_large)

    async def cancel() -> None:
        listing = FolderSource(tmp_path).pages()
        task = asyncio.ensure_future(anext(listing))
        await asyncio.to_thread(entered.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel())  # waits for its threads
    assert len(seen) < 300_000


def test_names_that_are_not_utf8_can_be_listed_and_read(tmp_path: Path) -> None:
    raw = [b"caf\xe9.jpg", b"\xff/\xfe", "\uef80.jpg".encode(), "é.jpg".encode(), b"\xc3.jpg"]
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    for name in raw:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    source = FolderSource(tmp_path, page=1)
    blobs, _ = entries(source)
    assert {run(source.read(blob)) for blob in blobs} == set(raw)
    assert [blob.name for blob in blobs] == sorted((blob.name for blob in blobs), key=str.encode)
    for place, blob in enumerate(blobs):
        assert len(blob.id) == 64
        assert entries(source, after=blob.name)[0] == blobs[place + 1 :]
        assert entries(source, prefix=blob.name)[0] == [blob]


def test_a_root_that_is_not_utf8_has_a_key_that_utf8_carries(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"fotos-\xe9")
    put(root, "a.jpg")
    source = FolderSource(root)
    assert source.key.encode().endswith("/fotos-\uefe9".encode())
    assert names(source) == ["a.jpg"]


def test_the_key_is_the_place_whatever_way_leads_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "root/a")
    (tmp_path / "link").symlink_to("root")
    monkeypatch.chdir(tmp_path)
    keys = {FolderSource(Path(way)).key for way in ("root", "./root/../root", "link", f"{tmp_path}/root")}
    assert keys == {f"folder:{tmp_path.resolve()}/root"}


@pytest.mark.parametrize(
    "name", ["../outside.jpg", "a/../../outside.jpg", "/etc/hostname", "a//x", "", ".", "a\0b", "\uefc3\uefa9"]
)
def test_names_that_lead_out_or_are_no_names_are_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path, "outside.jpg", "root/a/x", "root/é")
    source = FolderSource(tmp_path / "root")
    assert run(source.head(name)) is None
    with pytest.raises(Rejected, match="no name below the source"):
        run(source.read(Blob(source.key, name, "0-0-0-0", datetime(2026, 1, 1, tzinfo=UTC), 0)))
    assert names(source, prefix=f"{name}/") == []


def test_names_chosen_out_are_odd_and_excluded_folders_are_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jpg", "a.txt", "b/a.jpg", "b/thumbs/a.jpg", "thumbs/a.jpg")
    fail(monkeypatch, "scandir", "thumbs", errno.EIO)
    source = FolderSource(tmp_path, choose=chooser(["*.jpg"], ["thumbs/"]))
    blobs, odd = entries(source)
    assert [blob.name for blob in blobs] == ["a.jpg", "b/a.jpg"]
    assert odd == [Odd("a.txt", "chosen out by a glob")]
    assert names(source, prefix="thumbs/") == []
    assert names(source, after="b/thumbs/a") == []
