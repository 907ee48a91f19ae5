"""The listing of a container as entries in the order of the names' UTF-8 bytes, whatever order the service has."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from re import Pattern

from jobs.adapters.azure_blob_channel import Channel
from jobs.adapters.azure_blob_listing import Segment, segment
from jobs.adapters.azure_blob_order import ByteOrder, Entry, start_for
from jobs.errors import SweepError

Batches = AsyncGenerator[Sequence[Entry], None]


@dataclass(frozen=True, slots=True)
class Span:
    """The names that begin with `prefix`, come after `after`, are not before `start`, and come before `until` (None: no bound)."""

    prefix: str = ""
    after: str | None = None
    start: str | None = None
    until: str | None = None

    def reaches(self, folder: str) -> bool:
        """Say whether names in a folder, given with its closing slash, may be among them."""
        raw = folder.encode()
        after = (self.after or "").encode()
        ahead = raw > after or after.startswith(raw)
        within = folder.startswith(self.prefix) or self.prefix.startswith(folder)
        return ahead and within and (self.until is None or raw < self.until.encode())


class Names:
    """Lists one container. `include` asks the service for more of each blob: `metadata`, `tags`. `most` is names a request."""

    def __init__(
        self, channel: Channel, key: str, *, pattern: Pattern[str] | None = None, include: Sequence[str] = (), most: int = 5000
    ) -> None:
        self._channel = channel
        self._key = key
        self._pattern = pattern
        self._include = include
        self._most = most

    async def peek(self, start: str, prefix: str = "") -> Segment:
        """Return the first entry at or after `start` in the service's order, or none when there is none."""
        marker: str | None = None
        while True:
            found = await self._ask(prefix=prefix, start=start, marker=marker, most=1)
            marker = found.marker
            if found.entries or found.by_folder or marker is None:
                return found

    async def _first(self, start: str) -> str | None:
        found = await self.peek(start)
        return found.entries[0].name if found.entries else None

    async def entries(self, span: Span) -> Batches:
        """Yield the entries of a span in batches, strictly ascending; a batch may be empty.

        Raises SweepError when they would not ascend: then nothing may be concluded from what is missing.
        """
        last = b""
        after, start = (span.after or "").encode(), (span.start or "").encode()
        end = None if span.until is None else span.until.encode()
        async with aclosing(self._batches(span)) as batches:
            async for batch in batches:
                kept: list[Entry] = []
                for entry in batch:
                    raw = entry.name.encode()
                    if raw <= last:
                        hint = "The service lists in an order that is not known here; nothing was concluded from it."
                        raise SweepError("list", self._key, f"{entry.name!r} came after {last.decode()!r}", hint=hint)
                    last = raw
                    if raw > after and raw >= start and (end is None or raw < end) and entry.name.startswith(span.prefix):
                        kept.append(entry)
                yield kept
                if end is not None and last >= end:
                    return

    async def _batches(self, span: Span) -> Batches:
        """Yield at least the entries of a span: flat where the account is, folder by folder where it has such."""
        if not await self._skips_folders(span):
            async with aclosing(self._flat_in_order(span)) as batches:
                async for batch in batches:
                    if batch is None:
                        break
                    yield batch
                else:
                    return
        folder = span.prefix[: span.prefix.rfind("/") + 1]
        async with aclosing(self._walk(folder, span)) as batches:
            async for batch in batches:
                yield batch

    async def _skips_folders(self, span: Span) -> bool:
        """Say whether a flat listing from the span's start would leave out folders whose names by bytes come after it.

        In a hierarchical namespace `A/x` is listed with `A`, before `A.`; there `A` is an entry by itself, which is asked for.
        """
        start = _start_of(span) or ""
        for place, character in enumerate(start):
            if character < "/" and place > len(span.prefix) and (await self.peek(start[:place], span.prefix)).by_folder:
                return True
        return False

    async def _flat_in_order(self, span: Span) -> AsyncGenerator[Sequence[Entry] | None, None]:
        """Yield the batches of a flat listing; None, and nothing more, where the account has folders."""
        async with aclosing(self._flat(span)) as segments:
            first = await anext(segments)
            while not first.entries and not first.by_folder and first.marker is not None:
                yield ()
                first = await anext(segments)
            if first.by_folder:
                yield None
                return
            async with aclosing(ByteOrder(self._first)(_from(first, segments))) as batches:
                async for batch in batches:
                    yield batch

    async def _flat(self, span: Span) -> AsyncGenerator[Segment, None]:
        """Yield what the service lists, request by request; the next one is under way while one is used."""
        start = _start_of(span)
        asking = asyncio.create_task(self._ask(prefix=span.prefix, start=start))
        try:
            while True:
                found = await asking
                if found.marker is None:
                    yield found
                    return
                asking = asyncio.create_task(self._ask(prefix=span.prefix, start=start, marker=found.marker))
                yield found
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def _walk(self, folder: str, span: Span) -> Batches:
        """Yield what lies in a folder of a hierarchical namespace, whose listings go by the bare names of files and folders.

        A sub-folder sorts as if its name ended in a slash, so it waits for the files that come between: `A`, `A-B`, `A/x`.
        """
        waiting: list[tuple[bytes, str, Entry | None]] = []
        async for bare, name, entry in self._level(folder):
            async for batch in self._due(waiting, bare, span):
                yield batch
            heapq.heappush(waiting, (name.encode(), name, entry))
        async for batch in self._due(waiting, None, span):
            yield batch

    async def _due(self, waiting: list[tuple[bytes, str, Entry | None]], bare: bytes | None, span: Span) -> Batches:
        """Yield what waits and comes before all that is still to be listed after the bare name; all, where it is None."""
        ready: list[Entry] = []
        while waiting and (bare is None or waiting[0][0] <= bare):
            _, name, entry = heapq.heappop(waiting)
            if entry is not None:
                ready.append(entry)
            elif span.reaches(name):
                yield ready
                ready = []
                async with aclosing(self._walk(name, span)) as inside:
                    async for batch in inside:
                        yield batch
        if ready:
            yield ready

    async def _level(self, folder: str) -> AsyncGenerator[tuple[bytes, str, Entry | None], None]:
        """Yield (bare name, name, entry) of what lies right in a folder; a sub-folder has no entry, and a slash after its name."""
        marker: str | None = None
        while True:
            found = await self._ask(prefix=folder, marker=marker, delimiter="/")
            files = [(entry.name.encode(), entry.name, entry) for entry in found.entries]
            for item in sorted([*files, *((name.rstrip("/").encode(), name, None) for name in found.folders)], key=_bare):
                yield item
            marker = found.marker
            if marker is None:
                return

    async def _ask(
        self, *, prefix: str, start: str | None = None, marker: str | None = None, delimiter: str = "", most: int | None = None
    ) -> Segment:
        asked = {
            "restype": "container",
            "comp": "list",
            "maxresults": str(most or self._most),
            "prefix": prefix,
            "delimiter": delimiter,
            "marker": marker,
            "startFrom": start,
            "include": ",".join(self._include),
        }
        query: Mapping[str, str] = {name: value for name, value in asked.items() if value}
        answer = await self._channel.send("list", query=query, headers={"Accept": "application/xml"})
        return await asyncio.to_thread(segment, answer.body, self._key, self._pattern)


def _bare(item: tuple[bytes, str, Entry | None]) -> bytes:
    return item[0]


def _start_of(span: Span) -> str | None:
    """Return the name that a flat listing of a span begins at, None for its prefix."""
    start = max(start_for(span.after or ""), span.start or "", key=str.encode)
    return start if start.encode() > span.prefix.encode() else None


async def _from(first: Segment, rest: AsyncGenerator[Segment, None]) -> Batches:
    yield first.entries
    async for found in rest:
        yield found.entries
