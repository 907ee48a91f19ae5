"""Redrive: dead letters or deferred blobs of one class, back through settle as they are now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from jobs.choose import within
from jobs.decide import recorded
from jobs.listing import Listed, key_of, walk
from jobs.model import Blob, Failure, Outcome, Page, Record, Report
from jobs.ports import Ledger, Source
from jobs.run import Terms
from jobs.work import STEADY, Control, Ports, Work, as_it_is, conduct
from jobs.write import write

REDRIVEN = "redriven"
"""The class of what a redrive has given another chance: deferred, due now, its attempts forgiven."""


async def redrive(*, ports: Ports, terms: Terms, failure_class: str, prefix: str = "", control: Control = STEADY) -> Report:
    """Settle again what is dead or deferred with `failure_class`; return what was done, as a sweep does.

    Attempts count from the start again. What a live run has claimed is left to it and counts as deferred. A stopped redrive
    goes on from there when it is called again; what it had marked by then is due, so the next sweep takes it if it comes
    first. Where there is nothing of the class, the message names the classes that there are. Raises LeaseHeld when another
    process redrives this very class.
    """
    met: set[str] = set()
    prefix = within(ports.source, prefix)

    async def body(work: Work) -> str:
        return await walk(work, partial(_failed, work, failure_class, met), prefix=prefix)

    key = key_of("redrive", ports.source.key, failure_class, prefix)
    report = await conduct("redrive", body, ports=ports, key=key, terms=terms, control=control)
    if report.status == "complete" and not report.listed:
        return replace(report, message=_nothing(failure_class, met))
    return report


def ahead(*, source: Source, ledger: Ledger, failure_class: str) -> Source:
    """Return the source as a redrive will list it, marking nothing and looking nothing up: for estimates and progress."""

    async def known(after: str | None, prefix: str) -> AsyncGenerator[Page, None]:
        async for batch in _batches(ledger, source, after, prefix):
            yield Page(tuple(recorded(record) for record in batch if _has(record, failure_class)), last=batch[-1].name)

    return Listed(source, known)


async def _failed(work: Work, failure_class: str, met: set[str], after: str | None, prefix: str) -> AsyncGenerator[Page, None]:
    """List what failed with the class, marked as deferred and due; `met` collects the classes of all that failed."""
    async for batch in _batches(work.ports.ledger, work.ports.source, after, prefix):
        met |= {record.failure.failure_class for record in batch if record.failure}
        chosen = [record for record in batch if _has(record, failure_class)]
        work.run.counts.retried += len(chosen)
        yield Page(tuple(await _given_back(work, chosen)), last=batch[-1].name)


def _batches(ledger: Ledger, source: Source, after: str | None, prefix: str) -> AsyncIterator[Sequence[Record]]:
    return ledger.scan(source.key, outcomes=[Outcome.DEAD, Outcome.DEFERRED], prefix=prefix, after=after)


def _has(record: Record, failure_class: str) -> bool:
    """Say whether a record is of the class, or was given another chance by a redrive that was stopped."""
    return record.failure is not None and record.failure.failure_class in (failure_class, REDRIVEN)


async def _given_back(work: Work, records: Sequence[Record]) -> Sequence[Blob]:
    """Mark records as due; return their blobs as they are now, or as they are recorded where a live run is at them."""
    now = work.run.now()
    busy: list[Record] = []
    free: list[Record] = []
    for record in records:
        (busy if record.claim is not None and record.claim.expires > now else free).append(record)
    marked = [_chance(work, record) for record in free if record.failure and record.failure.failure_class != REDRIVEN]
    await write(work.ports.ledger, marked, work.run.terms.retry)
    return [*map(recorded, busy), *await asyncio.gather(*(as_it_is(work, record) for record in free))]


def _chance(work: Work, record: Record) -> Record:
    """Return the record as deferred and due now, with no attempts made; the reason keeps what it had failed of."""
    now, failure = work.run.now(), record.failure
    assert failure is not None
    assert record.outcome is not None
    reason = f"was {record.outcome.value} as {failure.failure_class}: {failure.reason}"
    again = Failure(REDRIVEN, reason, 0, now)
    return replace(record, outcome=Outcome.DEFERRED, failure=again, claim=None, run_id=work.run.run_id, settled=now)


def _nothing(failure_class: str, met: set[str]) -> str:
    there = f"There are: {', '.join(sorted(met))}." if met else "Nothing is dead or deferred."
    return f"Nothing is dead or deferred with class {failure_class!r}. {there}" if met else there
