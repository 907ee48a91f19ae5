"""From the service's order to the order of the names' UTF-8 bytes.

The service promises "alphabetical" and does not say of what. Names compared by UTF-16 units (as the emulator does) and by UTF-8
bytes sort alike but for one thing: characters beyond U+FFFF come before U+E000 to U+FFFF by units, and after them by bytes. So
where a name has such a character, what follows is held back until the names leave that place: then both orders are served.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from jobs.errors import Misconfigured
from jobs.model import Blob, Odd

Entry = Blob | Odd

_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_UPPER = re.compile("[\ue000-\uffff]")


def start_for(after: str) -> str:
    """Return a name to begin a listing at, in either order, that leaves out nothing that comes after `after` by bytes."""
    found = _UPPER.search(after)
    return after[: found.start()] + "\ud7ff" if found else after


class ByteOrder:
    """Puts batches of entries in order. `beyond_upper(place)` names the first that is listed at or after `place` + U+E000.

    Holds back at most `most` names; where more begin alike, one request tells whether there is anything to wait for.
    Raises Misconfigured when there is, and it is too much.
    """

    def __init__(self, first: Callable[[str], Awaitable[str | None]], *, most: int = 20_000) -> None:
        self._first = first
        self._most = most
        self._held: list[Entry] = []
        self._place: str | None = None
        self._settled: set[str] = set()
        self._last = ""

    async def __call__(self, batches: AsyncGenerator[Sequence[Entry], None]) -> AsyncGenerator[Sequence[Entry], None]:
        """Yield what the batches hold, in order."""
        async for batch in batches:
            yield self._sorted(batch)
            while len(self._held) > self._most:
                yield await self._settle()
        yield self._release()

    def _sorted(self, batch: Sequence[Entry]) -> Sequence[Entry]:
        if batch and self._place is None and all(self._waits(entry) is None for entry in batch):
            self._last = batch[-1].name
            return batch
        ready: list[Entry] = []
        for entry in batch:
            self._take(entry, ready)
        return ready

    def _take(self, entry: Entry, ready: list[Entry]) -> None:
        if self._place is not None and not self._at_place(entry.name):
            ready += self._release()
        if self._place is None:
            self._place = self._waits(entry)
        if self._place is None:
            ready.append(entry)
            self._last = entry.name
        else:
            self._held.append(entry)

    def _at_place(self, name: str) -> bool:
        """Say whether the name goes on at the place with one of the characters that the two orders disagree on."""
        assert self._place is not None
        return name.startswith(self._place) and name[len(self._place) :][:1] >= "\ue000"

    def _waits(self, entry: Entry) -> str | None:
        """Return the first place from which on this name may have to wait, None when it need not."""
        if entry.name.isascii():
            return None
        for found in _BEYOND.finditer(entry.name):
            place = entry.name[: found.start()]
            if place not in self._settled:
                return place
        return None

    def _release(self) -> list[Entry]:
        held, self._held, self._place = sorted(self._held, key=lambda entry: entry.name.encode()), [], None
        return held

    async def _settle(self) -> Sequence[Entry]:
        """Find out whether anything at the place comes before what is held; let go of it if not."""
        assert self._place is not None
        place = self._place
        first = await self._first(place + "\ue000")
        if first is not None and self._at_place(first) and _UPPER.match(first, len(place)) and not self._passed(place):
            cause = f"too many names begin with {place!r} and a character beyond U+FFFF, beside such as begin with U+E000 to U+FFFF"
            raise Misconfigured("list", place, cause, hint="Sweep them apart, by a prefix in IMAGESWEEP_SOURCE.")
        self._settled.add(place)
        held = self._release()
        return self._sorted(held)

    def _passed(self, place: str) -> bool:
        """Say whether the service listed such a name before what is held: then its order is that of bytes."""
        return self._last.startswith(place) and _UPPER.match(self._last, len(place)) is not None
