"""Backfill: one asked-for pass over a range, beside the sweeps and over the same ledger.

It has a lease and a checkpoint of its own and never touches a sweep's watermark; claims keep the two from paying twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from jobs import decide
from jobs.choose import within
from jobs.listing import Listed, Lister, key_of, walk
from jobs.model import Blob, Odd, Outcome, Page, Record, Report
from jobs.ports import Ledger, Source
from jobs.run import Terms
from jobs.taxonomy import Taxonomy, outdated
from jobs.work import STEADY, Control, Ports, Work, as_it_is, conduct

SETTLED = (Outcome.CLASSIFIED, Outcome.REUSED, Outcome.DEAD)
Look = Callable[[Sequence[Record]], Awaitable[Sequence[Blob]]]


@dataclass(frozen=True, slots=True)
class Range:
    """What a backfill is about: names that begin with `prefix`, last changed at or after `after` and before `before`.

    `stale` goes by the ledger instead of a listing: only what was settled under another asked fingerprint than the
    classifier's, and what has categories of another taxonomy, by the time of change that was recorded. The latter get new
    categories from their stored tags: their blobs are neither asked for nor read.
    """

    prefix: str = ""
    after: datetime | None = None
    before: datetime | None = None
    stale: bool = False

    def holds(self, modified: datetime) -> bool:
        """Say whether a blob of this time of change is in the range."""
        return (self.after is None or modified >= self.after) and (self.before is None or modified < self.before)


async def backfill(*, ports: Ports, terms: Terms, span: Range, control: Control = STEADY) -> Report:
    """Settle a range of one source; return what was done, as a sweep does.

    A stopped one goes on when it is called with the same range, filters and classifier. What lies outside the dates counts as
    skipped. The report's watermark says when the last complete pass over this range began. Raises LeaseHeld when another
    process is at this very range.
    """
    source, asked = ports.source, ports.classifier.asked
    span = replace(span, prefix=within(source, span.prefix))
    dates = [time and time.astimezone(UTC).isoformat() for time in (span.after, span.before)]
    derived = terms.taxonomy.fingerprint if span.stale else ""
    key = key_of("backfill", source.key, span.prefix, *dates, span.stale, terms.scope, asked, derived)

    async def body(work: Work) -> str:
        async def there(records: Sequence[Record]) -> Sequence[Blob]:
            return await asyncio.gather(*(as_it_is(work, record) for record in records))

        lister = _lister(source, ports.ledger, span, asked=asked, taxonomy=terms.taxonomy, look=there)
        return await walk(work, lister, prefix=span.prefix)

    return await conduct("backfill", body, ports=ports, key=key, terms=terms, control=control)


def ahead(*, source: Source, ledger: Ledger, asked: str, taxonomy: Taxonomy, span: Range) -> Source:
    """Return the source as a backfill will list it, without looking up what is there now: for estimates and progress."""

    async def known(records: Sequence[Record]) -> Sequence[Blob]:
        return [decide.recorded(record) for record in records]

    return Listed(source, _lister(source, ledger, span, asked=asked, taxonomy=taxonomy, look=known))


async def calls_ahead(*, ports: Ports, terms: Terms, span: Range, enough: int) -> int:
    """Count the calls that a backfill will make at most; stops counting beyond `enough`. Reads no image and writes nothing."""
    asked = ports.classifier.asked
    now = await ports.clock.now()
    found = 0
    listed = ahead(source=ports.source, ledger=ports.ledger, asked=asked, taxonomy=terms.taxonomy, span=span)
    async with aclosing(listed.pages(prefix=span.prefix)) as pages:
        async for page in pages:
            known = await ports.ledger.look_up([blob.id for blob in page.blobs])
            verdicts = [decide.judge(blob, known.get(blob.id), asked=asked, now=now) for blob in page.blobs]
            found += verdicts.count(decide.Verdict.TAKE)
            if found > enough:
                break
    return found


def _lister(source: Source, ledger: Ledger, span: Range, *, asked: str, taxonomy: Taxonomy, look: Look) -> Lister:
    async def listed(after: str | None, prefix: str) -> AsyncGenerator[Page, None]:
        async with aclosing(source.pages(after=after, prefix=prefix)) as pages:
            async for page in pages:
                yield _narrowed(page, span)

    async def stale(after: str | None, prefix: str) -> AsyncGenerator[Page, None]:
        async for batch in ledger.scan(source.key, outcomes=SETTLED, prefix=prefix, after=after):
            inside = [record for record in batch if span.holds(record.modified)]
            again = await look([record for record in inside if record.asked != asked])
            behind = [decide.recorded(record) for record in inside if record.asked == asked and outdated(record, taxonomy)]
            yield Page((*again, *behind), last=batch[-1].name)

    return stale if span.stale else listed


def _narrowed(page: Page, span: Range) -> Page:
    """Turn what lies outside the dates into names to skip."""
    inside = tuple(blob for blob in page.blobs if span.holds(blob.modified))
    outside = tuple(Odd(blob.name, "changed outside the range") for blob in page.blobs if not span.holds(blob.modified))
    return replace(page, blobs=inside, odd=page.odd + outside)
