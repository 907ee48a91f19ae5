"""A folder on this machine as a source of blobs."""
# Names are bytes here, which Path cannot hold.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from jobs.adapters.folder_walk import ABSENT, Bounds, Identity, Walk, blob_of, from_ns, identity, legal, root_fault
from jobs.adapters.names import to_bytes, to_name
from jobs.choose import EVERYTHING, Chooser
from jobs.errors import Changed, Gone, Misconfigured, Rejected, SweepError, Transient
from jobs.gather import Gather
from jobs.model import Blob, Odd, Page
from jobs.properties import properties

TOP = 10_000
"""Entries that a check looks at."""

_NOT_THERE = ABSENT | {errno.ELOOP, errno.ENXIO}  # ENXIO: opening a socket
_LOTS, _LOT = 4, 8  # threads that read, and files that each reads in one go
_TICK_NS = 20_000_000  # twice the coarsest tick by which a Linux kernel stamps files
_STAMPING_CLOCK = 5 if sys.platform == "linux" else time.CLOCK_REALTIME  # CLOCK_REALTIME_COARSE, which Python does not name


class FolderSource:
    """The files below `root`, by POSIX path, as a Source. Names that are not UTF-8 are mapped by `jobs.adapters.names`.

    Links to files are read through; links to folders are only walked with `follow_folders` (circles are reported as odd).
    Names that `choose` leaves out are listed as odd, whole folders that it excludes are not walked at all. Listings sort on
    disk what exceeds `spill` names in one folder. Two changes of a file within one tick of a file system with a coarser
    clock than Linux gives (FAT: 2 s) that keep its size cannot be told apart. What the named groups of `pattern` find in a
    name become properties. `wait` sleeps for seconds, in a thread.
    """

    def __init__(
        self,
        root: Path,
        *,
        choose: Chooser = EVERYTHING,
        follow_folders: bool = False,
        page: int = 1000,
        spill: int = 10_000,
        pattern: re.Pattern[str] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._root = os.fsencode(root.resolve())
        self.key = f"folder:{to_name(self._root)}"
        self.prefix = ""
        self._choose = choose
        self._follow = follow_folders
        self._page = page
        self._spill = spill
        self._pattern = pattern
        self._wait = wait
        self._listed: Identity | None = None
        self._reads = Gather(self._read_all, lots=_LOTS, most=_LOT)

    async def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page]:
        """List as the port says, a page at a time in a thread. A folder or file that vanishes meanwhile is not listed.

        Raises Misconfigured when the folder is not there, may not be read, or was unmounted meanwhile, StorageFailed when
        there is no room for temporary files.
        """
        bounds = Bounds((after or "").encode(), prefix.encode())
        walk = Walk(self.key, self._root, choose=self._choose, bounds=bounds, follow_folders=self._follow, spill=self._spill)
        self._listed = await asyncio.to_thread(self._standing)
        pager = _Pager(walk, after, self._page)
        try:
            while page := await asyncio.to_thread(pager.take):
                yield replace(page, blobs=tuple(map(self._described, page.blobs))) if self._pattern else page
        finally:
            walk.stopped = True
            await asyncio.to_thread(pager.close)

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        """Read as the port says. A file without permission is Transient, of class `forbidden`: it is mended from outside."""
        answer = await self._reads((blob, limit))
        if isinstance(answer, SweepError):
            raise answer
        assert answer is not None
        return answer

    async def head(self, name: str) -> Blob | None:
        """Return the version that is there now; None for all but files, and for names that a listing could not hold."""
        blob = await asyncio.to_thread(self._head, name)
        return self._described(blob) if blob else None

    async def check(self) -> str:
        """Count what lies at the top of the folder, up to TOP entries."""
        number = await asyncio.to_thread(self._top)
        return f"it may be read; {number:,}{' or more' if number == TOP else ''} files and folders at its top"

    async def now(self) -> datetime:
        """Return the time by the clock that stamps files here; one on a file server may differ, which the lookback covers."""
        return from_ns(time.clock_gettime_ns(_STAMPING_CLOCK))

    async def _read_all(self, asked: Sequence[tuple[Blob, int | None]]) -> Mapping[tuple[Blob, int | None], bytes | SweepError]:
        """Read a few files in one thread: changing threads costs more than a small file does."""
        return await asyncio.to_thread(lambda: {question: self._attempt(*question) for question in asked})

    def _attempt(self, blob: Blob, limit: int | None) -> bytes | SweepError:
        try:
            return self._read(blob, limit)
        except SweepError as error:
            return error

    def _described(self, blob: Blob) -> Blob:
        """Return the blob with the properties that the pattern finds in its name."""
        return replace(blob, properties=properties(blob.name, self._pattern)) if self._pattern else blob

    def _top(self) -> int:
        try:
            with os.scandir(self._root) as entries:
                return sum(1 for _ in islice(entries, TOP))
        except OSError as error:
            raise root_fault("check", self.key, error) from error

    def _standing(self) -> Identity:
        """Return which folder is at the root now; raise Misconfigured when there is none."""
        try:
            return identity(self._root)
        except OSError as error:
            raise root_fault("open", self.key, error) from error

    def _head(self, name: str) -> Blob | None:
        if not legal(name):
            return None
        try:
            with self._translated("head", name):
                path = self._path(name)
                link = _link(path)
                state = os.stat(path) if link else os.lstat(path)
        except Gone:
            return None
        return blob_of(self.key, name, state, link) if stat.S_ISREG(state.st_mode) else None

    def _read(self, blob: Blob, limit: int | None) -> bytes:
        if not legal(blob.name):
            raise Rejected("read", blob.name, "no name below the source", failure_class="name")
        with self._translated("read", blob.name):
            path = self._path(blob.name)
            # Without O_NONBLOCK, opening a FIFO that took the file's place would wait for a writer for ever.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return self._read_open(blob, handle, _link(path), limit)
            finally:
                os.close(handle)

    def _read_open(self, blob: Blob, handle: int, link: os.stat_result | None, limit: int | None) -> bytes:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise Gone("read", blob.name, "is no file any more")
        self._check(blob, before, link)
        self._let_the_clock_tick(before)
        wanted = blob.size if limit is None else min(limit, blob.size)
        with open(handle, "rb", closefd=False) as file:
            data = file.read(wanted)
        self._check(blob, os.fstat(handle), link)
        if len(data) < wanted:
            raise Transient("read", blob.name, f"the file system gave {len(data)} of {wanted} bytes")
        return data

    def _let_the_clock_tick(self, state: os.stat_result) -> None:
        """Wait until a later write must show in the file's times: a write within the same tick would keep the etag."""
        age = time.time_ns() - state.st_ctime_ns
        if 0 <= age < _TICK_NS:
            self._wait((_TICK_NS - age) / 1e9)

    def _check(self, blob: Blob, state: os.stat_result, link: os.stat_result | None) -> None:
        if blob_of(self.key, blob.name, state, link).etag != blob.etag:
            raise Changed("read", blob.name, "the file is another version than the one listed")

    def _path(self, name: str) -> bytes:
        """Return where a legal name is. Raises Gone when it leads through a folder link that listings do not follow."""
        raw = to_bytes(name)
        slash = -1 if self._follow else raw.find(b"/")
        while slash >= 0:
            if _link(os.path.join(self._root, raw[:slash])):
                raise Gone("open", name, "lies behind a folder link")
            slash = raw.find(b"/", slash + 1)
        return os.path.join(self._root, raw)

    @contextmanager
    def _translated(self, operation: str, name: str) -> Iterator[None]:
        """Turn what the operating system says of one file into our errors."""
        try:
            yield
        except OSError as error:
            cause = error.strerror or str(error)
            if error.errno in _NOT_THERE:
                self._check_root(operation)
                raise Gone(operation, name, cause) from error
            if error.errno in (errno.EACCES, errno.EPERM):
                hint = "Give this user the right to read the file."
                raise Transient(operation, name, cause, hint=hint, failure_class="forbidden") from error
            raise Transient(operation, name, cause) from error

    def _check_root(self, operation: str) -> None:
        """Raise Misconfigured when not the file but the whole folder went: unmounted is not deleted."""
        if self._listed not in (None, self._standing()):
            raise Misconfigured(operation, self.key, "the folder is not the one that was listed", hint="Is it mounted?")


class _Pager:
    """A walk cut into pages; `take` and `close` may come from several threads."""

    def __init__(self, walk: Walk, after: str | None, size: int) -> None:
        self._walk = walk
        self._entries = walk.entries()
        self._last = after
        self._size = size
        self._lock = threading.Lock()

    def take(self) -> Page | None:
        """Return the next page, None at the end."""
        with self._lock:
            found = list(islice(self._entries, self._size))
        if not found:
            return None
        self._last = max(found[-1].name, self._last or "", key=str.encode)
        blobs = tuple(entry for entry in found if isinstance(entry, Blob))
        return Page(blobs, tuple(entry for entry in found if isinstance(entry, Odd)), self._last)

    def close(self) -> None:
        """Wait for a page under way to stop, and drop the rest."""
        with self._lock:
            self._walk.close()


def _link(path: bytes) -> os.stat_result | None:
    """Return the state of the link at a path, None when it is no link. Raises OSError when nothing is there."""
    own = os.lstat(path)
    return own if stat.S_ISLNK(own.st_mode) else None
