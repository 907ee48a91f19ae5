"""Listing: a job over a source that goes by another list of names than the source's own."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import datetime

from jobs.model import Blob, Checkpoint, Page
from jobs.ports import Source
from jobs.scan import scan
from jobs.watermark import complete
from jobs.work import Work

Lister = Callable[[str | None, str], AsyncGenerator[Page, None]]
"""Lists the pages after a name, below a prefix, in the order and with the promises of `Source.pages`."""


class Listed:
    """A source whose names come from `lister`, and whose bytes, versions and time are its own."""

    def __init__(self, source: Source, lister: Lister) -> None:
        self.key = source.key
        self.prefix = source.prefix
        self._source = source
        self._lister = lister

    def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page, None]:
        """List what the lister lists."""
        return self._lister(after, prefix)

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        """Return the bytes of exactly this version."""
        return await self._source.read(blob, limit=limit)

    async def head(self, name: str) -> Blob | None:
        """Return the version that is there now."""
        return await self._source.head(name)

    async def now(self) -> datetime:
        """Return the time by the clock that stamps the blobs."""
        return await self._source.now()


async def walk(work: Work, lister: Lister, *, prefix: str) -> str:
    """Settle what `lister` lists of the source of `work`, from where a stopped run got to; return the status.

    After a complete pass the checkpoint is cleared, and the watermark of the job's own scan document says when that pass began:
    it bounds nothing, and the next pass begins with the first name again.
    """
    place, run = work.place, work.run
    if place.scan.checkpoint is None:
        frozen = Checkpoint(started=await work.ports.source.now(), lower=None, scope=run.terms.scope)
        await place.save(replace(place.scan, checkpoint=frozen))
    checkpoint = place.scan.checkpoint
    assert checkpoint is not None
    run.counts.unread = checkpoint.unread
    listed = replace(work, ports=replace(work.ports, source=Listed(work.ports.source, lister)))
    if not await scan(listed, prefix=prefix, checkpoint=checkpoint, chosen=lambda _: True):
        return "stopped"
    await place.save(complete(place.scan))
    return "partial" if run.counts.unread else "complete"


def key_of(job: str, source: str, *terms: object) -> str:
    """Return the key of a job's lease, checkpoint and open pages: one for each job, source and terms."""
    return f"{job}|{source}|{hashlib.sha256(repr(terms).encode()).hexdigest()[:16]}"
