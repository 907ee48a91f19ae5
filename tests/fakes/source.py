"""A source in memory, by the same contract as the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from itertools import count

from jobs.errors import Changed, Gone
from jobs.model import Blob, Odd, Page

KEY = "memory:shop"


class MemorySource:
    """Holds blobs in a dictionary. Stamps have a grain of one second; the listing sees what is there page by page."""

    def __init__(self, clock: Callable[[], datetime], *, page: int = 3, key: str = KEY, prefix: str = "") -> None:
        self.key = key
        self.prefix = prefix
        self.blobs: dict[str, tuple[Blob, bytes]] = {}
        self.unread: set[str] = set()
        self._clock = clock
        self._page = page
        self._etags = count(1)

    def put(self, name: str, data: bytes, *, modified: datetime | None = None) -> Blob:
        """Store bytes under a name, as a new version."""
        stamp = (modified or self._clock()).replace(microsecond=0)
        blob = Blob(self.key, name, f"v{next(self._etags)}-{hashlib.sha256(data).hexdigest()[:6]}", stamp, len(data))
        self.blobs[name] = (blob, data)
        return blob

    def delete(self, name: str) -> None:
        """Remove a blob."""
        self.blobs.pop(name, None)

    async def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page, None]:
        last = after
        while True:
            page = self.peek(last, prefix)
            if page is None:
                return
            last = page.last
            yield page

    def peek(self, after: str | None, prefix: str) -> Page | None:
        """Return the next page as of now, None at the end."""
        prefix = max(prefix, self.prefix, key=len)
        names = sorted((n for n in {*self.blobs, *self.unread} if n.startswith(prefix)), key=str.encode)
        rest = [name for name in names if after is None or name.encode() > after.encode()][: self._page]
        if not rest:
            return None
        blobs = tuple(self.blobs[name][0] for name in rest if name in self.blobs)
        return Page(blobs, tuple(Odd(name, "may not be read", unread=True) for name in rest if name in self.unread), rest[-1])

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        found = self.blobs.get(blob.name)
        if found is None:
            raise Gone("read", blob.name, "it is not there")
        if found[0].etag != blob.etag:
            raise Changed("read", blob.name, "it is another version now")
        return found[1][:limit]

    async def head(self, name: str) -> Blob | None:
        found = self.blobs.get(name)
        return found[0] if found else None

    async def now(self) -> datetime:
        return self._clock()
