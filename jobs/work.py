"""Work: what every job over a source has in common: the lease, the pages left open, and the report."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial

from jobs import decide, hashes, telemetry
from jobs.budget import BLOCK, Purse, affordable
from jobs.deadline import Deadline
from jobs.errors import Conflict, Halted, LeaseHeld, LeaseLost, Misconfigured, Spent, SweepError, Transient
from jobs.gather import Gather
from jobs.lease import Hold, acquire, kept
from jobs.model import Blob, Estimate, OpenPage, Record, Report, Scan
from jobs.ports import Classifier, Clock, Index, Ledger, Metered, Source, State
from jobs.publish import publish
from jobs.quota import sharing
from jobs.renew import renew
from jobs.report import Ended, closed, reported
from jobs.retry import Policy, retry
from jobs.run import Counts, Parts, Run, Terms
from jobs.settle import claim, settle, triage
from jobs.throttle import FIRST, Throttle
from jobs.write import close, put, write

log = logging.getLogger("imagesweep")


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a job over a source is joined to."""

    source: Source
    classifier: Classifier
    ledger: Ledger
    state: State
    clock: Clock
    index: Index


@dataclass(frozen=True, slots=True)
class Control:
    """How a run is steered from outside.

    `seconds` boxes the slice; `stopped` is asked before each new piece of work; `watch` is handed the live counts once.
    `estimate` is what a look ahead said, for the report; with it, calls are spread to be done by `finish_by`.
    `throttle` is shared with other runs of this process, so that each goes on at the pace that the one before it learned.
    `sole` says that an operating-system lock keeps other processes out, so that the lease of a dead one is taken over at once.
    """

    seconds: float | None = None
    stopped: Callable[[], bool] = lambda: False
    watch: Callable[[Counts], None] = lambda _: None
    sole: bool = False
    run_id: str = ""
    estimate: Estimate | None = None
    finish_by: datetime | None = None
    throttle: Throttle | None = None


STEADY = Control()
"""A run that nothing stops."""


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
class Work:
    """One run of a job: its ports, what its pages share, its lease and its place."""

    ports: Ports
    run: Run
    hold: Hold
    place: Place

    @property
    def parts(self) -> Parts:
        """The ports that settling needs."""
        return Parts(self.ports.source, self.ports.classifier, self.ports.ledger, self.ports.state)


async def conduct(
    job: str, body: Callable[[Work], Awaitable[str]], *, ports: Ports, key: str, terms: Terms, control: Control
) -> Report:
    """Run the body of a job under the lease of `key`, after finishing what an earlier run left open; return the report.

    The body returns its status. Raises LeaseHeld when another process is at it, Transient when the store is out of reach from
    the start; every other foreseeable fault ends in the report.
    """
    loop = asyncio.get_running_loop()
    begun, spent = loop.time(), _spent(ports.ledger)
    run_id = control.run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    owner = f"{socket.gethostname()}:{os.getpid()}:{run_id}"
    state, policy = ports.state, terms.retry
    affordable(terms.budget.day_cost, ports.classifier.price, name="IMAGESWEEP_DAY_COST")
    affordable(terms.budget.month_cost, ports.classifier.price, name="IMAGESWEEP_MONTH_COST")
    if terms.window is not None and not terms.window.holds(now := await retry(ports.clock.now, policy)):
        found = await retry(partial(state.get, Scan, key), policy)
        scan = found[0] if found else Scan()
        return closed(scan, terms.window, job=job, source=ports.source.key, run_id=run_id, now=now)
    hold = await acquire(state, ports.clock, key=key, owner=owner, seconds=terms.lease_seconds, policy=policy, sole=control.sole)
    run = _begun(run_id, owner, hold, ports=ports, terms=terms, control=control, begun=begun)
    control.watch(run.counts)
    started = hold.now()
    status = "failed"
    shared = "" if control.throttle else terms.quota  # whoever lends its throttle has a share of its own
    share = sharing(run.throttle, state, ports.clock, resource=shared, whole=terms.per_second, policy=policy)
    async with kept(hold, state, ports.clock, policy), share:
        place = await _place(state, key, hold, policy)
        work = Work(ports, run, hold, place)
        try:
            with telemetry.span("slice", job=job, source=ports.source.key, run=run_id):
                await take_over(work)
                await _afford(work)
                status = await body(work)
        except SweepError as error:
            run.halt(error)
        if run.halted is not None:
            status = _status(run.halted)
        await run.purse.close()
        ended = Ended(job, ports.source.key, status, started, loop.time() - begun, _spent(ports.ledger) - spent)
        report = reported(ended, run, place.scan, ahead=control.estimate)
        with suppress(SweepError):
            await put(state, f"{key}|{run_id}", report, None, policy)
    telemetry.reported(report, hold.now())
    log.info("run.end", extra={"report": asdict(report)})
    return report


def _begun(run_id: str, owner: str, hold: Hold, *, ports: Ports, terms: Terms, control: Control, begun: float) -> Run:
    """Return a run that begins work for as long as its lease outlives a call, and its time, window and budgets last."""
    loop, policy = asyncio.get_running_loop(), terms.retry
    throttle = control.throttle or Throttle(
        concurrency=terms.concurrency,
        max_bytes=terms.max_flying_bytes,
        per_second=terms.per_second,
        first=FIRST if ports.classifier.price else math.inf,
    )

    def covered() -> bool:
        return hold.left() > terms.call_seconds

    def may_go_on() -> bool:
        in_time = control.seconds is None or loop.time() - begun < control.seconds
        open_yet = terms.window is None or terms.window.holds(hold.now())
        return in_time and open_yet and not control.stopped() and covered()

    async def answers(hashes: Sequence[str]) -> Mapping[str, Record]:
        return await retry(partial(ports.ledger.answers, hashes, ports.classifier.asked), policy)

    run = Run(run_id, owner, terms, throttle, hold.now, Gather(answers), may_go_on=may_go_on, covered=covered)
    run.purse = purse(ports.state, ports.classifier, terms, hold.now)
    if control.finish_by is not None and control.estimate is not None:
        seconds = (control.finish_by - hold.now()).total_seconds()
        ahead = control.estimate
        each = ahead.calls / ahead.images if ahead.images else 1.0
        run.deadline = Deadline(control.finish_by, ahead.images, seconds, loop.time(), loop.time, terms.per_second, each)
    return run


def purse(state: State, classifier: Classifier, terms: Terms, now: Callable[[], datetime], *, block: int = BLOCK) -> Purse:
    """Return what a run may spend; nothing is counted where calls cost nothing and nothing is bounded."""
    if not classifier.price and not terms.budget.set:
        return Purse()
    return Purse(state, terms.budget, now, terms.retry, block)


async def _afford(work: Work) -> None:
    """Let a run admit nothing whose budget is spent already."""
    try:
        await work.run.purse.look(work.ports.classifier.price)
    except Spent as spent:
        work.run.exhaust(spent)


def _status(error: SweepError) -> str:
    match error:
        case Misconfigured():
            return "misconfigured"
        case LeaseLost() | Transient() | Halted():
            return "stopped"
        case _:
            return "failed"


async def _place(state: State, key: str, hold: Hold, policy: Policy) -> Place:
    """Read where the last sweep got to, and write our token there, so that its writer is refused from now on.

    Raises LeaseHeld when this process slept through its lease before it came here: the place may be another's.
    """
    held = LeaseHeld("sweep", key, "another process took it in this moment", hint="Try again later.")
    found = await retry(partial(state.get, Scan, key), policy)
    if hold.left() <= 0:
        raise held
    scan = replace(found[0] if found else Scan(), fence=hold.token)
    try:
        return Place(key, scan, await put(state, key, scan, found[1] if found else None, policy), state, policy)
    except Conflict as error:
        raise held from error


async def take_over(work: Work, dead: Callable[[OpenPage], bool] = lambda _: True) -> None:
    """Finish the pages that an earlier run left open: give its claims back, publish what it stored. Costs no call.

    The lease proves its owner `dead`; who works without one says which are.
    """
    policy = work.run.terms.retry
    for key, page, version in await retry(partial(work.ports.state.list, OpenPage, f"{work.place.key}|"), policy):
        if not dead(page):
            continue
        number = await _finish(work, key, page, version)
        log.info("sweep.takeover", extra={"page": key, "records": number})


async def _finish(work: Work, key: str, page: OpenPage, version: str) -> int:
    """Finish one page, once more where its owner came to claim meanwhile; return how many records it has."""
    state, policy = work.ports.state, work.run.terms.retry
    number = 0
    while True:
        # Marked first: an owner that wakes up now can no longer close it, which would lose what is published here and refused.
        try:
            version = await put(state, key, replace(page, taken=work.run.run_id), version, policy)
        except Conflict:
            log.info("sweep.contended", extra={"page": key})
        else:
            records = await _disowned(work, page)
            number = len(records)
            await hashes.disown(state, page.owner, policy)
            await publish(records, ledger=work.ports.ledger, index=work.ports.index, run=work.run)
            if await close(state, key, version, policy):
                return number
        found = await retry(partial(state.get, OpenPage, key), policy)
        if found is None:
            return number
        page, version = found


async def _disowned(work: Work, page: OpenPage) -> list[Record]:
    """Return the records of a page as they are once its owner has no claim left: whatever it writes from then on is refused.

    Those without a claim are written as they are, for the owner may be about to renew them by the versions that it has seen.
    """
    ledger, policy = work.ports.ledger, work.run.terms.retry
    touched: set[str] = set()
    while True:
        records = await retry(partial(ledger.look_up, page.ids, vectors=True), policy)
        claimed = [record for record in records.values() if record.claim is not None and record.claim.owner == page.owner]
        behind = [record for record in records.values() if record.id not in touched and record.claim is None]
        if not claimed and not behind:
            return list(records.values())
        now = work.run.now()
        written = await write(ledger, [*(decide.disown(record, now=now) for record in claimed), *behind], policy)
        touched.update(record.id for record in written if record is not None)


async def as_it_is(work: Work, record: Record) -> Blob:
    """Return the version that is there now; the recorded one, whose read will find it gone, when there is none."""
    async with work.run.throttle.permit(0):
        blob = await retry(partial(work.ports.source.head, record.name), work.run.terms.retry)
    return blob or decide.recorded(record)


async def settle_page(work: Work, blobs: Sequence[Blob], *, name: str) -> bool:
    """Take blobs through claim, answer, store and publish; say whether all of them were reached.

    Those that are settled and have categories of another taxonomy get new ones on the way. While the page is open, a takeover
    knows what to publish again. What was stored is published also when the lease is lost by now: the page may have been taken
    over before, and publishing only ever shows the newest revision.
    """
    with telemetry.span("page", page=name, blobs=len(blobs)):
        return await _settle_page(work, blobs, name)


async def _settle_page(work: Work, blobs: Sequence[Blob], name: str) -> bool:
    found = await triage(blobs, parts=work.parts, run=work.run)
    if not found.ids:
        return True
    key = f"{work.place.key}|{work.run.run_id}|{name}"
    policy = work.run.terms.retry
    opened = await put(work.ports.state, key, OpenPage(work.run.owner, found.ids), None, policy)
    renewed = await renew(found.behind, ledger=work.ports.ledger, run=work.run)
    taken = await claim(found.taken, parts=work.parts, run=work.run)
    opened = await _still_open(work, key, opened, found.ids)
    records = await settle(taken, parts=work.parts, run=work.run)
    await publish([*renewed, *records], ledger=work.ports.ledger, index=work.ports.index, run=work.run)
    if work.hold.lost:
        raise LeaseLost("settle", work.place.key, "another process took the source over")
    if len(records) < len(taken) and work.run.halted is not None:
        raise work.run.halted
    if not await close(work.ports.state, key, opened, policy):
        raise LeaseLost("settle", work.place.key, "another process took the page over")
    return not any(record.failure is not None and record.failure.failure_class == "interrupted" for record in records)


async def _still_open(work: Work, key: str, opened: str, ids: Sequence[str]) -> str:
    """Write the open page once more, behind the claims, and return its version.

    Whoever takes the page over finds these claims, or has removed the page before: then nobody would publish what we store.
    """
    try:
        return await put(work.ports.state, key, OpenPage(work.run.owner, tuple(ids)), opened, work.run.terms.retry)
    except Conflict as error:
        raise LeaseLost("settle", work.place.key, "another process took the page over") from error


def _spent(store: Ledger) -> float:
    """Return what the store was charged so far, which several runs may have shared."""
    return store.spent() if isinstance(store, Metered) else 0.0
