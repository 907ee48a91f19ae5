"""The life of an index in a folder: a new one is filled in a folder beside it, and the two change places.

What is beside `index` is called `.index.NAME`: `.index.rebuild-20260102T030405-1a2b3c4d` is being filled, or was until its process
died, or is the one that was in use; `.index.old-...` is being deleted. An index knows its own name, whatever its folder is called.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from jobs.errors import Misconfigured, StorageFailed, Transient
from search.tantivy_index.files import MARK, Busy, check, create, named, present, still, translated
from search.tantivy_index.index import TantivyIndex, open_tantivy

PATIENCE = 300.0
"""Seconds to wait for the moment in which nobody publishes."""

_NEW, _OLD = "rebuild-", "old-"
_SHORTEST, _LONGEST = 0.01, 0.25
_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


class TantivyLife:
    """The indexes of one folder's name, by the contract of `jobs.ports.Life`."""

    propagation = 0.0

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path.resolve()  # the folder itself, not a link to it
        self._now = now
        self._clock = clock
        self._sleep = sleep

    async def in_use(self) -> str | None:
        """Return the name that the index in the folder was given, nothing in it where it has none."""
        return await asyncio.to_thread(named, self._path)

    async def beside(self) -> Sequence[str]:
        """Return what is in the folders beside."""
        return await asyncio.to_thread(_beside, self._path)

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[TantivyIndex]:
        """Open the one of this name: in the folder of the name, or in the place once it has taken it."""
        taken = await self.in_use() == name
        async with open_tantivy(self._path if taken else _folder(self._path, name), make=False) as index:
            yield index

    async def make(self) -> str:
        """Make an empty one. Raises Misconfigured where there is something else in the place that it is to take."""
        name = f"{_NEW}{self._now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        await asyncio.to_thread(_make, self._path, name)
        return name

    async def switch(self, name: str) -> None:
        """Let the folders change places in a moment in which nobody writes to either."""
        deadline, delay = self._clock() + PATIENCE, _SHORTEST
        while True:
            try:
                return await asyncio.to_thread(swap, _folder(self._path, name), self._path)
            except Busy:
                if self._clock() >= deadline:
                    cause = f"others have been publishing for {PATIENCE:g} seconds without a break"
                    raise Transient("switch", str(self._path), cause, failure_class="locked") from None
            await self._sleep(delay)
            delay = min(delay * 2, _LONGEST)

    async def drop(self, name: str) -> None:
        """Delete the folder of this name; it is renamed first, so that nobody goes on writing to a part of it."""
        await asyncio.to_thread(_drop, self._path, name)


def swap(fresh: Path, path: Path) -> None:
    """Let an index take the place of another, however damaged, which is where the first was afterwards.

    Raises Busy while anybody writes to one of them: a commit would go half to the one and half to the other. Raises Misconfigured
    where there is something else in that place.
    """
    with translated("switch", path):
        check(fresh)
        _ours(path)
        with ExitStack() as held:
            held.enter_context(still(fresh))
            if not present(path):
                with suppress(FileNotFoundError):
                    path.rmdir()
                fresh.rename(path)
                return
            with suppress(StorageFailed):  # it is damaged: nobody can write to it
                held.enter_context(still(path))
            _exchange(fresh, path)


def _ours(path: Path) -> None:
    if present(path) and not (path / MARK).exists():
        raise Misconfigured("rebuild", str(path), "there is something else in this place", hint="Choose another folder.")


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change places: in one step where the system can, else in three, between which neither may be there.

    Whoever is killed between those leaves nothing in the place: the next rebuild makes it anew from the store.
    """
    if _at_once(one, other):
        return
    aside = one.with_name(f".{other.name}.{_OLD}{secrets.token_hex(4)}")
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    aside.rename(one)


def _at_once(one: Path, other: Path) -> bool:
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system, or a C library without it
        return False
    return bool(exchange(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _folder(path: Path, name: str) -> Path:
    return path.with_name(f".{path.name}.{name}")


def _beside(path: Path) -> list[str]:
    begin = f".{path.name}."
    if not path.parent.is_dir():
        return []
    names = (one.name.removeprefix(begin) for one in path.parent.iterdir() if one.name.startswith(begin))
    return sorted(name for name in names if name.startswith((_NEW, _OLD)))


def _make(path: Path, name: str) -> None:
    with translated("rebuild", path):
        _ours(path)
        create(_folder(path, name), name)


def _drop(path: Path, name: str) -> None:
    folder = _folder(path, name)
    try:
        if not name.startswith(_OLD):
            aside = _folder(path, f"{_OLD}{secrets.token_hex(4)}")
            folder.rename(aside)
            folder = aside
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageFailed("delete", str(folder), error.strerror or str(error), hint="Delete this folder by hand.") from error
