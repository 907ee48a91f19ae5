"""Several ranges of one container's names listed at once, and handed on in order."""

from __future__ import annotations

import asyncio
import pickle
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from jobs.adapters.azure_blob_names import Batches, Names, Span
from jobs.adapters.azure_blob_order import Entry
from jobs.errors import StorageFailed

_PROBES = 96
"""Requests, of one name each, that may be spent to find where to cut."""
_IN_MEMORY, _ON_DISK = 4_000_000, 256_000_000
"""Bytes that a range may be ahead of its turn: before it goes to a temporary file, and before it waits."""
_LEAST = " "


async def side_by_side(names: Names, span: Span, shards: int) -> Batches:
    """Yield the entries of a span, in order, while `shards` ranges of it are listed at once.

    What is listed ahead of its turn waits in temporary files of at most 256 MB for each range, about a million names.
    Accounts with a hierarchical namespace are listed folder by folder instead. Raises as `Names.entries`, and StorageFailed.
    """
    bounds: list[str | None] = [None, *await cuts(names, span, 4 * shards), None]
    spans = [replace(span, start=start, until=until) for start, until in pairwise(bounds)]
    coming = deque(spans)
    ahead: deque[_Ahead] = deque()
    try:
        while coming or ahead:
            while coming and len(ahead) < shards:
                ahead.append(_Ahead(names, coming.popleft()))
            async with aclosing(ahead[0].batches()) as batches:
                async for batch in batches:
                    yield batch
            await ahead.popleft().close()
    finally:
        for one in ahead:
            await one.close()


async def cuts(names: Names, span: Span, number: int) -> list[str]:
    """Return names to cut a span at, ascending, into about `number` parts; fewer where the names do not allow it.

    How much is in a part is not known beforehand, so ask for more parts than are listed at once. Cuts are ASCII, where all
    orders of names agree.
    """
    probe = _Probe(names, _PROBES)
    found: list[str] = []
    stems = deque([span.prefix])
    while stems and len(found) < number and probe.left > 0 and not probe.by_folder:
        stem = await _common(probe, stems.popleft())
        if stem is not None:
            children = await _children(probe, stem)
            found += children[1:]
            stems.extend(children)
    return sorted(cut for cut in found if cut.isascii() and (span.after is None or cut > span.after))


@dataclass(slots=True)
class _Probe:
    """Asks for first names, as often as `left` says; after that there are none."""

    names: Names
    left: int
    by_folder: bool = False

    async def first(self, start: str, stem: str) -> str | None:
        if self.left <= 0:
            return None
        self.left -= 1
        found = await self.names.peek(start, stem)
        self.by_folder = self.by_folder or found.by_folder
        name = found.entries[0].name if found.entries else None
        return name if name is not None and name >= start else None  # a service that knows no start lists from the beginning


async def _common(probe: _Probe, stem: str) -> str | None:
    """Return the longest ASCII text that all names with this stem begin with, None when there are no names."""
    first = await probe.first(stem, stem)
    if first is None:
        return None
    shortest, longest = len(stem), len(stem)
    while longest < len(first) and first[longest].isascii():
        longest += 1
    while shortest < longest and probe.left > 0:
        middle = (shortest + longest + 1) // 2
        if await probe.first(_next(first[:middle]), stem) is None:
            shortest = middle
        else:
            longest = middle - 1
    return first[:shortest]


async def _children(probe: _Probe, stem: str) -> list[str]:
    """Return the stem with each ASCII character that goes on after it in some name, ascending."""
    found: list[str] = []
    start = stem + _LEAST
    while (name := await probe.first(start, stem)) is not None:
        child = name[: len(stem) + 1]
        if not child.isascii():
            break
        found.append(child)
        start = _next(child)
    return found


def _next(stem: str) -> str:
    """Return what comes right after everything that begins with an ASCII stem."""
    return stem[:-1] + chr(ord(stem[-1]) + 1)


class _Ahead:
    """A range that is listed from now on, whether it is its turn or not."""

    def __init__(self, names: Names, span: Span) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, prefix="imagesweep-")  # noqa: SIM115 closed by `close`
        self._read = self._written = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._list(names, span))

    async def batches(self) -> Batches:
        """Yield what was listed, in order, as it comes; what stopped the listing is raised in its place."""
        while True:
            if self._read < self._written:
                yield self._get()
                self._room.set()
            elif self._task.done():
                self._task.result()
                return
            else:
                self._news.clear()
                waiting = asyncio.ensure_future(self._news.wait())
                await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()

    async def close(self) -> None:
        """Stop listing, and drop the rest."""
        self._task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._task
        self._file.close()

    async def _list(self, names: Names, span: Span) -> None:
        async with aclosing(names.entries(span)) as batches:
            async for batch in batches:
                if batch:
                    self._put(batch)
                while self._written - self._read > _ON_DISK:
                    self._room.clear()
                    await self._room.wait()

    def _put(self, batch: Sequence[Entry]) -> None:
        try:
            self._file.seek(self._written)
            pickle.dump(tuple(batch), self._file, protocol=pickle.HIGHEST_PROTOCOL)
            self._written = self._file.tell()
        except OSError as error:
            hint = "Free space in the folder for temporary files, point TMPDIR elsewhere, or list fewer ranges at once."
            raise StorageFailed("list", "a range of names", error.strerror or str(error), hint=hint) from error
        self._news.set()

    def _get(self) -> Sequence[Entry]:
        self._file.seek(self._read)
        batch: Sequence[Entry] = pickle.load(self._file)  # noqa: S301 our own file, without a name
        self._read = self._file.tell()
        if self._read == self._written:
            self._file.seek(0)
            self._file.truncate()
            self._read = self._written = 0
        return batch
