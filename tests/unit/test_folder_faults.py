"""A folder whose files, sub-folders or root fail, vanish or may not be read."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.adapters.folder import FolderSource
from jobs.errors import Gone, Misconfigured, SweepError, Transient
from jobs.model import Odd
from tests.unit.folder_kit import entries, fail, head, names, odds, put, run


@pytest.mark.parametrize(
    ("number", "kind", "failure_class"),
    [
        (errno.EACCES, Transient, "forbidden"),
        (errno.EPERM, Transient, "forbidden"),
        (errno.EIO, Transient, "transient"),
        (errno.ESTALE, Transient, "transient"),
        (errno.EMFILE, Transient, "transient"),
        (errno.ENOENT, Gone, None),
        (errno.ENXIO, Gone, None),
    ],
)
def test_what_the_system_says_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[SweepError], failure_class: str | None
) -> None:
    put(tmp_path, "a.jpg")
    source = FolderSource(tmp_path)
    blob = head(source, "a.jpg")
    fail(monkeypatch, "open", "a.jpg", number)
    with pytest.raises(kind, match=r"read a\.jpg") as caught:
        run(source.read(blob))
    assert getattr(caught.value, "failure_class", None) == failure_class


def test_an_unreadable_folder_is_reported_and_the_listing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/1", "b/c/1", "b-", "d/1")
    fail(monkeypatch, "scandir", "/b", errno.EACCES)
    source = FolderSource(tmp_path, page=1)
    blobs, odd = entries(source)
    assert [blob.name for blob in blobs] == ["a/1", "b-", "d/1"]
    assert odd == [Odd("b/", "folder not readable: Permission denied", unread=True)]
    assert entries(source, after="b-") == (blobs[2:], odd)
    assert entries(source, after="b/") == (blobs[2:], [])


def test_a_folder_that_became_unreadable_half_way_is_reported_when_the_listing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "b/1", "b/2", "c")
    fail(monkeypatch, "scandir", "/b", errno.EIO)

    async def collect() -> list[tuple[list[str], list[str], str | None]]:
        pages = FolderSource(tmp_path, page=1).pages(after="b/1")
        return [([blob.name for blob in page.blobs], [odd.name for odd in page.odd], page.last) async for page in pages]

    assert run(collect()) == [([], ["b/"], "b/1"), (["c"], [], "c")]


def test_what_could_be_read_of_a_failing_folder_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "b/1", "c")
    real = os.scandir

    @contextmanager
    def failing(path: bytes) -> Iterator[Iterator[os.DirEntry[bytes]]]:
        def some() -> Iterator[os.DirEntry[bytes]]:
            with real(path) as found:
                yield from found
            if path.endswith(b"/b"):
                raise OSError(errno.EIO, "Input/output error")

        yield some()

    monkeypatch.setattr(os, "scandir", failing)
    blobs, odd = entries(FolderSource(tmp_path))
    assert [blob.name for blob in blobs] == ["b/1", "c"]
    assert odd == [Odd("b/", "folder not readable: Input/output error", unread=True)]


def test_a_file_that_cannot_be_looked_at_is_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a", "b")
    (tmp_path / "c").symlink_to("elsewhere")
    fail(monkeypatch, "lstat", "/a", errno.EACCES)
    fail(monkeypatch, "stat", "/c", errno.EIO)
    source = FolderSource(tmp_path)
    assert names(source) == ["b"]
    assert odds(source) == {
        "a": ("file not readable: Permission denied", True),
        "c": ("file not readable: Input/output error", True),
    }
    with pytest.raises(Transient):
        run(source.head("a"))


def test_what_vanishes_or_turns_into_another_kind_is_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "0", "file", "folder/x", "kept", "turns-folder", "turns-file/x")

    async def collect() -> list[str]:
        found: list[str] = []
        async for page in FolderSource(tmp_path, page=1).pages():
            found += [blob.name for blob in page.blobs] + [odd.name for odd in page.odd]
            if page.last == "0":
                (tmp_path / "file").unlink()
                shutil.rmtree(tmp_path / "folder")
                (tmp_path / "turns-folder").unlink()
                put(tmp_path, "turns-folder/x")
                shutil.rmtree(tmp_path / "turns-file")
                put(tmp_path, "turns-file")
        return found

    assert run(collect()) == ["0", "kept"]


def test_a_tree_deeper_than_paths_may_be_is_unread_not_a_crash(tmp_path: Path) -> None:
    put(tmp_path, "z")
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(22):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    blobs, [odd] = entries(FolderSource(tmp_path))
    assert [blob.name for blob in blobs] == ["z"]
    assert odd.unread
    assert odd.reason == "folder not readable: File name too long"


def test_a_root_that_is_missing_or_no_folder_is_misconfigured(tmp_path: Path) -> None:
    put(tmp_path, "file")
    for root in (tmp_path / "missing", tmp_path / "file"):
        source = FolderSource(root)
        with pytest.raises(Misconfigured, match="must name an existing folder"):
            names(source)
        with pytest.raises(Misconfigured):
            run(source.head("a"))


@pytest.mark.parametrize("function", ["stat", "scandir"])
def test_a_root_without_permission_is_misconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    fail(monkeypatch, function, "/root" if function == "scandir" else "/root/.", errno.EACCES)
    with pytest.raises(Misconfigured, match="right to read and enter"):
        names(FolderSource(root))


def test_a_root_that_fails_otherwise_is_a_passing_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    fail(monkeypatch, "scandir", "/root", errno.EIO)
    with pytest.raises(Transient, match="Input/output error"):
        names(FolderSource(root))


def test_an_unmounted_root_is_not_a_folder_whose_files_were_deleted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root, "a", "b/1", "c")
    source = FolderSource(root, page=1)
    blob = head(source, "c")

    async def unmount() -> None:
        async for page in source.pages():
            if page.last == "a":
                root.rename(tmp_path / "elsewhere")
                root.mkdir()

    with pytest.raises(Misconfigured, match="replaced while it was listed"):
        run(unmount())
    with pytest.raises(Misconfigured, match="not the one that was listed"):
        run(source.read(blob))
    assert names(source) == []
    with pytest.raises(Gone):
        run(source.read(blob))
