"""Links, loops and special files in a folder."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from jobs.adapters.folder import FolderSource
from jobs.errors import Changed, Gone
from jobs.model import Odd
from tests.unit.folder_kit import entries, head, names, odds, put, run


def test_links_to_files_are_read_through_and_to_folders_are_not(tmp_path: Path) -> None:
    put(tmp_path, "outside/real.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to("../outside/real.jpg")
    (root / "folder").symlink_to("../outside")
    (root / "nothing").symlink_to("missing")
    (root / "through-file").symlink_to("file/x")
    (root / "circle").symlink_to("circle")
    source = FolderSource(root)
    blobs, odd = entries(source)
    assert [blob.name for blob in blobs] == ["file"]
    assert run(source.read(blobs[0])) == b"outside/real.jpg"
    assert head(source, "file") == blobs[0]
    assert {(one.name, one.reason, one.unread) for one in odd} == {
        ("circle", "link to nothing", False),
        ("folder", "folder link", False),
        ("nothing", "link to nothing", False),
        ("through-file", "link to nothing", False),
    }


def test_what_lies_behind_a_folder_link_is_not_there_unless_they_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "outside/x.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").symlink_to("../outside")
    source, following = FolderSource(root), FolderSource(root, follow_folders=True)
    blob = head(following, "folder/x.jpg")
    assert names(following) == names(following, prefix="folder/") == ["folder/x.jpg"]
    assert run(following.read(blob)) == b"outside/x.jpg"
    assert names(source, prefix="folder/") == []
    assert run(source.head("folder/x.jpg")) is None
    with pytest.raises(Gone, match="folder link"):
        run(source.read(blob))


def test_followed_folder_links_sort_as_folders(tmp_path: Path) -> None:
    put(tmp_path, "outside/x", "root/a-b", "root/a.jpg", "root/a0")
    (tmp_path / "root/a").symlink_to("../outside")
    assert names(FolderSource(tmp_path / "root", follow_folders=True)) == ["a-b", "a.jpg", "a/x", "a0"]


def test_folder_loops_are_reported_and_not_walked(tmp_path: Path) -> None:
    put(tmp_path, "a/b/x.jpg")
    (tmp_path / "a/b/up").symlink_to("..")
    (tmp_path / "a/b/top").symlink_to(tmp_path)
    blobs, odd = entries(FolderSource(tmp_path, follow_folders=True))
    assert [blob.name for blob in blobs] == ["a/b/x.jpg"]
    assert odd == [Odd("a/b/top/", "folder loop"), Odd("a/b/up/", "folder loop")]


def test_pointing_a_link_elsewhere_is_a_change_even_to_an_older_file(tmp_path: Path) -> None:
    put(tmp_path, "old", "new")
    os.link(tmp_path / "old", tmp_path / "old-too")
    link = tmp_path / "link"
    link.symlink_to("new")
    source = FolderSource(tmp_path)
    before = head(source, "link")
    link.unlink()
    while (start := run(source.now())) <= head(source, "old").modified:
        pass  # a few milliseconds, until the clock of the file system has moved
    link.symlink_to("old")
    after = head(source, "link")
    assert after.modified >= start
    with pytest.raises(Changed):
        run(source.read(before))
    link.unlink()
    link.symlink_to("old-too")
    assert head(source, "link").etag != after.etag


def test_special_files_are_odd_and_no_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "file")
    source = FolderSource(tmp_path)
    blob = head(source, "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    assert odds(source) == {
        "link": ("FIFO", False),
        "null": ("character device", False),
        "pipe": ("FIFO", False),
        "socket": ("socket", False),
    }
    assert run(source.head("pipe")) is None
    (tmp_path / "socket").replace(tmp_path / "file")
    with pytest.raises(Gone):
        run(source.read(blob))


def test_a_fifo_that_took_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path, "file")
    source = FolderSource(tmp_path)
    blob = head(source, "file")
    (tmp_path / "file").unlink()
    os.mkfifo(tmp_path / "file")
    rescue = threading.Timer(3, lambda: os.close(os.open(tmp_path / "file", os.O_WRONLY)))
    rescue.daemon = True
    rescue.start()
    with pytest.raises(Gone):
        run(source.read(blob))
    assert rescue.is_alive()
    rescue.cancel()
    rescue.join()
