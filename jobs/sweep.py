"""Sweep: one pass over a source by watermark, in slices if need be.

The watermark moves only after a complete scan, to that scan's start by the source's clock, and never back.
"""

from __future__ import annotations

import asyncio

from jobs.choose import within
from jobs.errors import Misconfigured
from jobs.model import Outcome, Report
from jobs.run import Terms
from jobs.scan import scan
from jobs.watermark import begin, complete
from jobs.work import STEADY, Control, Ports, Work, as_it_is, conduct, settle_page


async def sweep(*, ports: Ports, terms: Terms, prefix: str = "", from_now: bool = False, control: Control = STEADY) -> Report:
    """Sweep one source; return what was done, with status `complete`, `partial`, `stopped`, `misconfigured` or `failed`.

    `from_now` leaves out what is there at the first sweep. Raises LeaseHeld when another process is at it.
    """
    prefix = within(ports.source, prefix)

    async def body(work: Work) -> str:
        await _retry_deferred(work, prefix=prefix)
        return await _scan(work, prefix=prefix, from_now=from_now)

    return await conduct("sweep", body, ports=ports, key=f"{ports.source.key}|{prefix}", terms=terms, control=control)


async def _retry_deferred(work: Work, *, prefix: str) -> None:
    """Settle the deferred blobs that are due, as they are now, up to the share that a slice gives them."""
    parts, run = work.parts, work.run
    now = work.run.now()
    left = run.terms.deferred_share
    number = 0
    async for batch in parts.ledger.scan(parts.source.key, outcomes=[Outcome.DEFERRED], due=now, prefix=prefix):
        if not run.admits() or left <= 0:
            return
        due = batch[:left]
        left -= len(due)
        run.counts.retried += len(due)
        number += 1
        await settle_page(work, await asyncio.gather(*(as_it_is(work, record) for record in due)), name=f"due{number:06}")


async def _scan(work: Work, *, prefix: str, from_now: bool) -> str:
    """List from the checkpoint on, pages in flight and checkpointed in order; return the status."""
    place, run = work.place, work.run
    if from_now and place.scan.watermark is not None:
        cause = f"it was swept up to {place.scan.watermark:%Y-%m-%d %H:%M:%S} already"
        raise Misconfigured("sweep from now", place.key, cause, hint="Leave --from out: a sweep goes on from there.")
    if place.scan.checkpoint is None or place.scan.checkpoint.scope != run.terms.scope:
        await place.save(
            begin(
                place.scan, now=await work.ports.source.now(), scope=run.terms.scope, lookback=run.terms.lookback, from_now=from_now
            )
        )
    checkpoint = place.scan.checkpoint
    assert checkpoint is not None
    run.counts.unread = checkpoint.unread
    lower = checkpoint.lower
    if not await scan(work, prefix=prefix, checkpoint=checkpoint, chosen=lambda blob: lower is None or blob.modified >= lower):
        return "stopped"
    await place.save(complete(place.scan))
    return "partial" if run.counts.unread else "complete"
