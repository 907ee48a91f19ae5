"""Sweep: one pass over a source by watermark, in slices if need be.

Invariants (each has its test):
- the watermark moves only after a complete scan, to that scan's start by the source's clock, and never back;
- the checkpoint passes a name only when every name up to it is stored and published;
- whoever lost the lease is refused at its next conditional write.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial

from jobs import decide
from jobs.errors import Conflict, Halted, LeaseLost, Misconfigured, SweepError, Transient
from jobs.lease import Hold, acquire, kept
from jobs.model import Blob, Checkpoint, OpenPage, Outcome, Page, Record, Report, Scan
from jobs.ports import Classifier, Clock, Index, Ledger, Source, State
from jobs.publish import publish
from jobs.retry import Policy, backoff, retry
from jobs.run import Counts, Run, Terms
from jobs.settle import Parts, claim, settle, triage
from jobs.throttle import Throttle
from jobs.watermark import begin, complete
from jobs.write import put, write

log = logging.getLogger("imagesweep")


@dataclass(slots=True)
class Place:
    """Where the sweep stands, and its right to say so: the scan document, written only at the version last read."""

    key: str
    scan: Scan
    version: str
    state: State
    policy: Policy

    async def save(self, scan: Scan) -> None:
        """Write the scan document. Raises LeaseLost when another process wrote it since."""
        try:
            self.version = await put(self.state, self.key, scan, self.version, self.policy)
        except Conflict as error:
            raise LeaseLost("checkpoint", self.key, "another process took the source over") from error
        self.scan = scan


@dataclass(frozen=True, slots=True)
class Sweeping:
    """The ports and the shared state of one sweep, as its pages need them."""

    parts: Parts
    state: State
    index: Index
    run: Run
    hold: Hold
    place: Place


async def sweep(
    *,
    source: Source,
    classifier: Classifier,
    ledger: Ledger,
    state: State,
    clock: Clock,
    index: Index,
    terms: Terms,
    prefix: str = "",
    sole: bool = False,
    from_now: bool = False,
    seconds: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
    watch: Callable[[Counts], None] = lambda _: None,
    run_id: str = "",
) -> Report:
    """Sweep one source; return what was done, with status `complete`, `partial`, `stopped` or `failed`.

    `sole` says that an operating-system lock keeps other processes out. `seconds` boxes the slice; `stopped` is asked before each
    new piece of work. `watch` is handed the live counts once.
    Raises LeaseHeld when another process is at it; every other foreseeable fault ends in the report.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    run_id = run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    owner = f"{socket.gethostname()}:{os.getpid()}:{run_id}"
    key = f"{source.key}|{prefix}"
    hold = await acquire(state, clock, key=key, owner=owner, seconds=terms.lease_seconds, policy=terms.retry, sole=sole)
    throttle = Throttle(concurrency=terms.concurrency, max_bytes=terms.max_flying_bytes, per_second=terms.per_second)

    def may_go_on() -> bool:
        in_time = seconds is None or loop.time() - begun < seconds
        return in_time and not stopped() and hold.left() > terms.call_seconds

    run = Run(run_id, owner, terms, throttle, hold.now, may_go_on=may_go_on)
    watch(run.counts)
    started = hold.now()
    status = "failed"
    async with kept(hold, state, clock, terms.retry):
        place = await _place(state, key, hold, terms.retry)
        work = Sweeping(Parts(source, classifier, ledger), state, index, run, hold, place)
        try:
            await _take_over(work)
            await _retry_deferred(work, prefix=prefix)
            status = await _scan(work, prefix=prefix, from_now=from_now)
        except SweepError as error:
            run.halt(error)
        if run.halted is not None:
            status = _status(run.halted)
        report = _report(work, job="sweep", status=status, started=started, seconds=loop.time() - begun)
        with suppress(SweepError):
            await state.put(f"{key}|{run_id}", report, None)
    log.info("sweep.end", extra=asdict(report))
    return report


def _status(error: SweepError) -> str:
    match error:
        case Misconfigured():
            return "misconfigured"
        case LeaseLost() | Transient() | Halted():
            return "stopped"
        case _:
            return "failed"


async def _place(state: State, key: str, hold: Hold, policy: Policy) -> Place:
    """Read where the last sweep got to, and write our token there, so that its writer is refused from now on."""
    found = await retry(partial(state.get, Scan, key), policy)
    scan = replace(found[0] if found else Scan(), fence=hold.token)
    try:
        return Place(key, scan, await put(state, key, scan, found[1] if found else None, policy), state, policy)
    except Conflict as error:
        raise LeaseLost("sweep", key, "another process took the source over") from error


async def _take_over(work: Sweeping) -> None:
    """Finish the pages that an earlier run left open: give its claims back, publish what it stored. Costs no call."""
    policy = work.run.terms.retry
    for key, page, version in await retry(partial(work.state.list, OpenPage, f"{work.place.key}|"), policy):
        records = await _disowned(work, page)
        await publish(records, ledger=work.parts.ledger, index=work.index, run=work.run)
        await retry(partial(work.state.remove, OpenPage, key, version), policy)
        log.info("sweep.takeover", extra={"page": key, "records": len(records)})


async def _disowned(work: Sweeping, page: OpenPage) -> list[Record]:
    """Return the records of a page as they are once its owner has no claim left: whatever it writes from then on is refused."""
    ledger, policy = work.parts.ledger, work.run.terms.retry
    while True:
        records = await retry(partial(ledger.look_up, page.ids, vectors=True), policy)
        claimed = [record for record in records.values() if record.claim is not None and record.claim.owner == page.owner]
        if not claimed:
            return list(records.values())
        now = work.run.now()
        await write(ledger, [decide.disown(record, now=now) for record in claimed], policy)


async def _retry_deferred(work: Sweeping, *, prefix: str) -> None:
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
        await _settle_page(work, await asyncio.gather(*(_as_it_is(work, record) for record in due)), name=f"due{number:06}")


async def _as_it_is(work: Sweeping, record: Record) -> Blob:
    """Return the version that is there now; the recorded one, whose read will find it gone, when there is none."""
    async with work.run.throttle.permit(0):
        blob = await retry(partial(work.parts.source.head, record.name), work.run.terms.retry)
    return blob or Blob(record.source, record.name, record.etag, record.modified, record.size)


async def _settle_page(work: Sweeping, blobs: Sequence[Blob], *, name: str) -> bool:
    """Take blobs through claim, answer, store and publish; say whether all of them were reached.

    While the page is open, a takeover knows what to publish again.
    """
    pairs = await triage(blobs, parts=work.parts, run=work.run)
    if not pairs:
        return True
    key = f"{work.place.key}|{work.run.run_id}|{name}"
    policy = work.run.terms.retry
    opened = await put(work.state, key, OpenPage(work.run.owner, tuple(blob.id for blob, _ in pairs)), None, policy)
    taken = await claim(pairs, parts=work.parts, run=work.run)
    records = await settle(taken, parts=work.parts, run=work.run)
    if work.hold.lost:
        raise LeaseLost("publish", work.place.key, "another process took the source over")
    await publish(records, ledger=work.parts.ledger, index=work.index, run=work.run)
    if len(records) < len(taken) and work.run.halted is not None:
        raise work.run.halted
    await retry(partial(work.state.remove, OpenPage, key, opened), policy)
    return not any(record.failure is not None and record.failure.failure_class == "interrupted" for record in records)


async def _scan(work: Sweeping, *, prefix: str, from_now: bool) -> str:
    """List from the checkpoint on, pages in flight and checkpointed in order; return the status."""
    place, run = work.place, work.run
    if from_now and place.scan.watermark is not None:
        cause = f"it was swept up to {place.scan.watermark:%Y-%m-%d %H:%M:%S} already"
        raise Misconfigured("sweep from now", place.key, cause, hint="Leave --from out: a sweep goes on from there.")
    if place.scan.checkpoint is None or place.scan.checkpoint.scope != run.terms.scope:
        await place.save(
            begin(
                place.scan, now=await work.parts.source.now(), scope=run.terms.scope, lookback=run.terms.lookback, from_now=from_now
            )
        )
    checkpoint = place.scan.checkpoint
    assert checkpoint is not None
    run.counts.unread = checkpoint.unread
    if not await _pages(work, prefix=prefix, checkpoint=checkpoint):
        return "stopped"
    await place.save(complete(place.scan))
    return "partial" if run.counts.unread else "complete"


async def _pages(work: Sweeping, *, prefix: str, checkpoint: Checkpoint) -> bool:
    """Settle page after page, several at once; say whether every one was checkpointed."""
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
                    group.create_task(_page(work, page, checkpoint.lower, f"{number:08}", before=before, done=done, slots=slots))
                    before = done
        except SweepError as error:
            work.run.halt(error)
    return await before and whole and work.run.halted is None


async def _listing(work: Sweeping, *, after: str | None, prefix: str) -> AsyncGenerator[Page, None]:
    """Yield the pages of the listing; a passing fault opens it again after the last name seen."""
    policy = work.run.terms.retry
    failures = 0
    while True:
        try:
            async with aclosing(work.parts.source.pages(after=after, prefix=prefix)) as pages:
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
    work: Sweeping,
    page: Page,
    lower: datetime | None,
    name: str,
    *,
    before: asyncio.Future[bool],
    done: asyncio.Future[bool],
    slots: asyncio.Semaphore,
) -> None:
    """Settle one page of the listing and, when all pages before it are, move the checkpoint past it."""
    whole = False
    try:
        young = [blob for blob in page.blobs if lower is None or blob.modified >= lower]
        work.run.counts.seen += len(page.blobs) + len(page.odd)
        work.run.counts.skip(sum(not odd.unread for odd in page.odd))
        work.run.counts.leave(len(page.blobs) - len(young))
        reached = await _settle_page(work, young, name=name)
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


async def _move_past(work: Sweeping, page: Page) -> None:
    unread = sum(odd.unread for odd in page.odd)
    work.run.counts.unread += unread
    for odd in page.odd:
        if odd.unread:
            log.warning("sweep.unread", extra={"key": odd.name, "reason": odd.reason})
    checkpoint = work.place.scan.checkpoint
    if page.last is not None and checkpoint is not None:
        moved = replace(checkpoint, after=page.last, unread=checkpoint.unread + unread)
        await work.place.save(replace(work.place.scan, checkpoint=moved))


def _report(work: Sweeping, *, job: str, status: str, started: datetime, seconds: float) -> Report:
    run, scan = work.run, work.place.scan
    counts = {name: value for name, value in asdict(run.counts).items() if name != "seen"}
    return Report(
        run_id=run.run_id,
        job=job,
        source=work.parts.source.key,
        status=status,
        started=started,
        seconds=round(seconds, 3),
        images_per_second=round((run.counts.classified + run.counts.reused) / seconds, 1) if seconds > 0 else 0.0,
        cost=round(run.counts.calls * work.parts.classifier.price, 6),
        watermark=scan.watermark,
        checkpoint=scan.checkpoint.after if scan.checkpoint else None,
        message=_message(run, status),
        **counts,
    )


def _message(run: Run, status: str) -> str:
    """Say in a sentence why the run ended as it did, and what to do."""
    if run.halted is not None:
        return str(run.halted)
    if status == "partial":
        return f"{run.counts.unread} folders could not be read; the watermark stays until they can, or are excluded."
    if run.exhausted:
        return f"The budget of {run.terms.max_calls} calls is spent. Run it again to go on from here."
    return "Stopped early. Run it again to go on from here." if status == "stopped" else ""
