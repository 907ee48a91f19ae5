"""Event: settle one blob at once, on the word of a notification that it was written or deleted.

An event is a hint: it may be late, early, doubled or wrong. So it only names a blob; the record is read, the blob is asked for,
and what is there now is settled, by the same claims and conditional writes as a page of a sweep, beside which it may run. It
holds no lease: its right to pay is its claim, and its right to publish ends when that claim would.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

from jobs import decide
from jobs.choose import EVERYTHING, Chooser
from jobs.errors import Transient
from jobs.gather import Gather
from jobs.lease import Hold
from jobs.model import Blob, Lease, OpenPage, Outcome, Record, Scan, blob_id
from jobs.publish import publish
from jobs.retry import retry
from jobs.run import Run, Terms
from jobs.throttle import Throttle
from jobs.work import Place, Ports, Work, purse, settle_page, take_over
from jobs.write import close, put, write

ROUNDS = 5
"""How often a blob may change under the hands of one event before that is left to the next one."""

_STAMP = "%Y%m%dT%H%M%SZ"


class Answer(StrEnum):
    """What became of an event."""

    SETTLED = "settled"
    """The version that is there was brought to an outcome, by this event."""
    UNCHANGED = "unchanged"
    """It was settled before: an event that came twice, or after a sweep."""
    WAITING = "waiting"
    """Another run has claimed it, or it is to be tried again later, or a budget is spent: a sweep sees to it."""
    SKIPPED = "skipped"
    """It is no image, outside of the source, or chosen out."""
    BURIED = "buried"
    """It is not there: its record is a tombstone now, and its document is gone."""
    ABSENT = "absent"
    """It is not there, and nothing was known of it."""


async def settle_event(
    name: str, *, ports: Ports, terms: Terms, choose: Chooser = EVERYTHING, throttle: Throttle | None = None
) -> Answer:
    """Settle what is there now under this name; return what became of it.

    `throttle` is what several events in one process share. Raises Transient when the store, the source or the index is out of
    reach, or an earlier attempt at this blob may be alive: then the event is to be delivered again, which is safe at any time.
    Raises Misconfigured, Refused or StorageFailed for what every other event would meet as well.
    """
    if not name.startswith(ports.source.prefix):
        return Answer.SKIPPED
    work = await _alone(ports, terms, throttle, key=f"{_area(ports)}|{blob_id(ports.source.key, name)}")
    await _take_over(work)
    for _ in range(ROUNDS):
        answer = await _settle(work, name, choose)
        if answer is not None:
            if answer is Answer.WAITING and await _pages(work):
                cause = "an earlier attempt at it may be alive"
                raise Transient("settle", name, cause, retry_after=terms.claim_seconds, failure_class="claimed")
            return answer
    return Answer.WAITING


async def finish_events(*, ports: Ports, terms: Terms) -> None:
    """Publish what events stored and did not come to publish, where their time is over. Costs no call."""
    await _take_over(await _alone(ports, terms, None, key=_area(ports)))


async def _settle(work: Work, name: str, choose: Chooser) -> Answer | None:
    """Settle what is there; None when it became something else meanwhile."""
    ports, policy = work.ports, work.run.terms.retry
    key = blob_id(ports.source.key, name)
    record = (await retry(partial(ports.ledger.look_up, [key], vectors=True), policy)).get(key)
    async with work.run.throttle.permit(0):
        blob = await retry(partial(ports.source.head, name), policy)
    if blob is None:
        return await _bury(work, record)
    if not choose.chosen(name):
        return Answer.SKIPPED
    return await _page_of_one(work, blob)


async def _page_of_one(work: Work, blob: Blob) -> Answer | None:
    counts = work.run.counts
    reached = await settle_page(work, [blob], name="event")
    await work.run.purse.close()
    if work.run.halted is not None:
        raise work.run.halted
    if work.run.exhausted:
        counts.deferred = 0
        return Answer.WAITING
    if not reached:
        raise Transient("settle", blob.name, "the time of this event was over", retry_after=work.run.terms.claim_seconds)
    if counts.skipped:
        return Answer.SKIPPED
    if counts.unchanged:
        return Answer.UNCHANGED
    if counts.gone:
        return Answer.BURIED
    if not counts.deferred:
        return Answer.SETTLED
    found = (await retry(partial(work.ports.ledger.look_up, [blob.id]), work.run.terms.retry)).get(blob.id)
    changed = found is not None and found.failure is not None and found.failure.failure_class == "changed"
    counts.deferred = 0
    return None if changed else Answer.WAITING


async def _bury(work: Work, record: Record | None) -> Answer | None:
    """Make a tombstone, unless the record moved since it was read, which was before the blob was asked for."""
    if record is None or record.outcome in (None, Outcome.GONE, Outcome.FORGOTTEN):
        return Answer.ABSENT
    run, state, policy = work.run, work.ports.state, work.run.terms.retry
    key = f"{work.place.key}|{run.run_id}|grave"
    opened = await put(state, key, OpenPage(run.owner, (record.id,)), None, policy)
    kept = decide.keepsake(record)
    if kept is not None:
        await write(work.ports.ledger, [kept], policy)
    [buried] = await write(work.ports.ledger, [replace(decide.gone(record, now=run.now()), run_id=run.run_id)], policy)
    if buried is not None:
        run.counts.settle(Outcome.GONE)
        await publish([buried], ledger=work.ports.ledger, index=work.ports.index, run=run)
    await close(state, key, opened, policy)
    return Answer.BURIED if buried is not None else None


def _area(ports: Ports) -> str:
    return f"event|{ports.source.key}"


async def _alone(ports: Ports, terms: Terms, throttle: Throttle | None, *, key: str) -> Work:
    """Return a piece of work that is steered by no lease: it may begin calls for as long as its claims surely outlive them."""
    policy, loop = terms.retry, asyncio.get_running_loop()
    asked = loop.time()
    told = await retry(ports.clock.now, policy)
    expires = told + timedelta(seconds=terms.claim_seconds)
    owner = f"event:{expires.astimezone(UTC):{_STAMP}}:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    hold = Hold(key, Lease(owner, 0, expires), "", seconds=terms.claim_seconds, asked=asked, told=told)

    async def answers(hashes: Sequence[str]) -> Mapping[str, Record]:
        return await retry(partial(ports.ledger.answers, hashes, ports.classifier.asked), policy)

    def covered() -> bool:
        return hold.left() > terms.call_seconds

    shared = throttle or Throttle(concurrency=1, max_bytes=terms.max_flying_bytes, per_second=terms.per_second)
    run = Run(owner, owner, terms, shared, hold.now, Gather(answers), may_go_on=covered, covered=covered)
    run.purse = purse(ports.state, ports.classifier, terms, hold.now, block=1)
    return Work(ports, run, hold, Place(key, Scan(), "", ports.state, policy))


async def _take_over(work: Work) -> None:
    now = work.run.now()
    await take_over(work, lambda page: _expired(page, now))


async def _pages(work: Work) -> bool:
    """Say whether another event has a page open for this blob."""
    return bool(await retry(partial(work.ports.state.list, OpenPage, f"{work.place.key}|"), work.run.terms.retry))


def _expired(page: OpenPage, now: datetime) -> bool:
    """Say whether the claims of a page's owner are over by now, and with them its right to go on."""
    try:
        expires = datetime.strptime(page.owner.split(":")[1], _STAMP).replace(tzinfo=UTC)
    except (IndexError, ValueError):
        return True
    return expires <= now
