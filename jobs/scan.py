"""Scan: walk a listing from a checkpoint on, pages in flight, checkpointed in order.

The checkpoint passes a name only when every name up to it is stored and published.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from jobs.errors import SweepError, Transient
from jobs.model import Blob, Checkpoint, Page
from jobs.retry import backoff
from jobs.work import Work, settle_page

log = logging.getLogger("imagesweep")


async def scan(work: Work, *, prefix: str, checkpoint: Checkpoint, chosen: Callable[[Blob], bool]) -> bool:
    """Settle page after page of what is `chosen` by its listing, several pages at once; say whether every one was checkpointed."""
    slots = asyncio.Semaphore(work.run.terms.pages_in_flight)
    before: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    before.set_result(True)
    number = 0
    whole = True
    async with asyncio.TaskGroup() as group:
        try:
            async with aclosing(_listing(work, after=checkpoint.after, prefix=prefix)) as pages:
                async for page in pages:
                    await slots.acquire()
                    if not work.run.admits():
                        whole = False
                        break
                    number += 1
                    done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
                    group.create_task(_page(work, page, chosen, f"{number:08}", before=before, done=done, slots=slots))
                    before = done
        except SweepError as error:
            work.run.halt(error)
    return await before and whole and work.run.halted is None


async def _listing(work: Work, *, after: str | None, prefix: str) -> AsyncGenerator[Page, None]:
    """Yield the pages of the listing; a passing fault opens it again after the last name seen."""
    policy = work.run.terms.retry
    failures = 0
    while True:
        try:
            async with aclosing(work.ports.source.pages(after=after, prefix=prefix)) as pages:
                async for page in pages:
                    yield page
                    after, failures = page.last or after, 0
        except Transient as error:
            failures += 1
            if failures >= policy.attempts:
                raise
            await asyncio.sleep(backoff(failures, policy, jitter=random.random(), asked=error.retry_after))
        else:
            return


async def _page(
    work: Work,
    page: Page,
    chosen: Callable[[Blob], bool],
    name: str,
    *,
    before: asyncio.Future[bool],
    done: asyncio.Future[bool],
    slots: asyncio.Semaphore,
) -> None:
    """Settle one page of the listing and, when all pages before it are, move the checkpoint past it."""
    whole = False
    try:
        taken = [blob for blob in page.blobs if chosen(blob)]
        work.run.counts.seen += len(page.blobs) + len(page.odd)
        work.run.counts.skip(sum(not odd.unread for odd in page.odd))
        work.run.counts.leave(len(page.blobs) - len(taken))
        reached = await settle_page(work, taken, name=name)
        if await before and reached:
            await _move_past(work, page)
            whole = True
        log.info("sweep.page", extra={"page": name, "last": page.last, "whole": whole, "listed": work.run.counts.listed})
    except SweepError as error:
        work.run.halt(error)
    finally:
        slots.release()
        if not done.done():
            done.set_result(whole)


async def _move_past(work: Work, page: Page) -> None:
    unread = sum(odd.unread for odd in page.odd)
    work.run.counts.unread += unread
    for odd in page.odd:
        if odd.unread:
            log.warning("not read:", extra={"key": odd.name, "reason": odd.reason})
    checkpoint = work.place.scan.checkpoint
    if page.last is not None and checkpoint is not None:
        moved = replace(checkpoint, after=page.last, unread=checkpoint.unread + unread)
        await work.place.save(replace(work.place.scan, checkpoint=moved))
