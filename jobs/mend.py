"""Mend what an audit found. A finding is a hint: the record is read and the blob asked for again; what is there now counts.

Every change is conditional, and no batch begins once the run may not go on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from jobs import decide
from jobs.compare import Kind, claimed
from jobs.errors import Changed, Gone, LeaseLost, Rejected, Transient
from jobs.findings import Finding, Findings, Spill
from jobs.model import Blob, OpenPage, Outcome, Record, shown
from jobs.publish import publish
from jobs.retry import retry
from jobs.taxonomy import outdated
from jobs.work import Work, settle_page
from jobs.write import close, put, write

PAGE = 500
"""Findings in memory at once, with the embeddings of their records."""

READ = 1000
"""Blobs that a dry audit reads, at most, to tell which of the missing were moved."""

REMEMBERED = 100_000
"""Orphans whose size and hash are held in memory, some 20 MB, to tell which of the missing were moved."""

_STORM = 20


async def confirm(work: Work, found: Findings) -> bool:
    """Count the orphans that are orphans yet; say whether all could be looked at. Changes nothing."""
    for batch in _while_admitted(work, found.lists[Kind.ORPHANED_STORE]):
        gone, there = await _orphans(work, found, batch)
        found.unlisted += there
        for finding in batch:
            if finding.id in gone:
                found.note(Kind.ORPHANED_STORE, finding.name)
                found.orphans[Kind.ORPHANED_STORE].add(finding)
    for batch in _while_admitted(work, found.lists[Kind.ORPHANED_INDEX]):
        records = await _records(work, batch)
        for finding in batch:
            if not _shows(records, finding):
                found.note(Kind.ORPHANED_INDEX, finding.name)
                found.orphans[Kind.ORPHANED_INDEX].add(finding)
    return work.run.admits()


async def settle_found(work: Work, found: Findings) -> bool:
    """Settle what is missing or stale, as it is now; say whether all of it was reached."""
    lists = (
        (Kind.MISSING, "missing", found.lists[Kind.MISSING]),
        (Kind.MISSING, "doubtful", found.doubtful),
        (Kind.STALE, "stale", found.lists[Kind.STALE]),
    )
    orphans = {finding.content_hash for finding in _remembered(found)}
    reached = True
    for kind, label, spill in lists:
        for number, batch in enumerate(_while_admitted(work, spill)):
            there = [blob for blob in (await _now(work, found, batch)).values() if blob is not None]
            reached &= await settle_page(work, there, name=f"{label}{number:06}")
            records = await _records(work, batch)
            await _unlist(work, [finding for finding in batch if finding.indexed])
            for blob in there:
                _note_settled(found, kind, records.get(blob.id), blob, doubtful=spill is found.doubtful, orphans=orphans)
    return reached and work.run.admits()


async def renew_found(work: Work, found: Findings) -> bool:
    """Give what has categories of another taxonomy those of today's; say whether all of it was reached.

    Goes by the records alone: no blob is asked for or read.
    """
    taxonomy = work.run.terms.taxonomy
    for number, batch in enumerate(_while_admitted(work, found.lists[Kind.OUTDATED])):
        behind = [decide.recorded(record) for record in (await _records(work, batch)).values() if outdated(record, taxonomy)]
        await settle_page(work, behind, name=f"outdated{number:06}")
        records = await _records(work, batch)
        found.repaired[Kind.OUTDATED] += sum(one.id in records and not outdated(records[one.id], taxonomy) for one in batch)
    return work.run.admits()


def _note_settled(
    found: Findings, kind: Kind, record: Record | None, blob: Blob, *, doubtful: bool, orphans: set[str | None]
) -> None:
    if record is None or record.outcome in (None, Outcome.GONE, Outcome.FORGOTTEN) or record.etag != blob.etag:
        return
    if doubtful:
        found.note(kind, blob.name)
    found.repaired[kind] += 1
    if kind is Kind.MISSING and record.outcome is Outcome.REUSED and record.content_hash in orphans:
        found.note(Kind.MOVED, blob.name)
        found.repaired[Kind.MOVED] += 1


async def guess_moved(work: Work, found: Findings) -> None:
    """Count what was surely moved, without settling it: the missing blobs of an orphan's size and bytes. Reads `READ` at most."""
    sizes = {finding.size for finding in _remembered(found)}
    orphans = {finding.content_hash for finding in _remembered(found)}
    left = READ
    for batch in _while_admitted(work, found.lists[Kind.MISSING]) if orphans else ():
        alike = [finding for finding in batch if finding.size in sizes][:left]
        left -= len(alike)
        blobs = [blob for blob in (await _now(work, found, alike)).values() if blob is not None]
        hashes = await asyncio.gather(*(_hash(work, blob) for blob in blobs))
        for blob, content_hash in zip(blobs, hashes, strict=True):
            if content_hash is not None and content_hash in orphans:
                found.note(Kind.MOVED, blob.name)
        if left <= 0:
            return


async def _hash(work: Work, blob: Blob) -> str | None:
    if blob.archived or decide.refusal(blob, work.ports.classifier.limits):
        return None
    async with work.run.throttle.permit(blob.size):
        try:
            data = await retry(partial(work.ports.source.read, blob), work.run.terms.retry)
        except (Changed, Gone, Rejected, Transient):
            return None
        return hashlib.sha256(data).hexdigest()


def _remembered(found: Findings) -> Iterator[Finding]:
    left = REMEMBERED
    for batch in found.orphans[Kind.ORPHANED_STORE].batches(PAGE):
        yield from (finding for finding in batch if finding.content_hash is not None)
        left -= len(batch)
        if left <= 0:
            return


async def delete(work: Work, found: Findings) -> bool:
    """Bury the orphaned records and take the orphaned documents away; say whether all were reached."""
    for number, batch in enumerate(_while_admitted(work, found.orphans[Kind.ORPHANED_STORE])):
        gone, there = await _orphans(work, found, batch, vectors=True)
        await _bury(work, list(gone.values()), name=f"orphans{number:06}")
        found.repaired[Kind.ORPHANED_STORE] += len(gone) + there
    for batch in _while_admitted(work, found.orphans[Kind.ORPHANED_INDEX]):
        await _unlist(work, batch)
        found.repaired[Kind.ORPHANED_INDEX] += len(batch)
    return work.run.admits()


async def republish(work: Work, found: Findings) -> bool:
    """Publish from the store what the index lacks or has at another revision; say whether all were reached."""
    for batch in _while_admitted(work, found.lists[Kind.UNPUBLISHED]):
        records = await _records(work, batch, vectors=True)
        await publish(
            [one for one in records.values() if shown(one)], ledger=work.ports.ledger, index=work.ports.index, run=work.run
        )
        now = await _records(work, batch)
        found.repaired[Kind.UNPUBLISHED] += sum(not _shows(now, one) or now[one.id].unpublished is None for one in batch)
    return work.run.admits()


def _while_admitted(work: Work, spill: Spill) -> Iterator[Sequence[Finding]]:
    for batch in spill.batches(PAGE):
        if not work.run.admits():
            return
        yield batch


async def _records(work: Work, batch: Sequence[Finding], *, vectors: bool = False) -> Mapping[str, Record]:
    look_up = partial(work.ports.ledger.look_up, [finding.id for finding in batch], vectors=vectors)
    return await retry(look_up, work.run.terms.retry)


def _shows(records: Mapping[str, Record], finding: Finding) -> bool:
    return finding.id in records and shown(records[finding.id])


async def _now(work: Work, found: Findings, batch: Sequence[Finding]) -> dict[str, Blob | None]:
    """Return by id what is there under each name; one that cannot be asked for is left out. Raises Transient when most cannot."""
    failures: list[Transient] = []

    async def ask(finding: Finding) -> tuple[str, Blob | None] | None:
        async with work.run.throttle.permit(0):
            try:
                return finding.id, await retry(partial(work.ports.source.head, finding.name), work.run.terms.retry)
            except Transient as error:
                failures.append(error)
                return None

    answers = await asyncio.gather(*(ask(finding) for finding in batch))
    if failures:
        found.unsure = failures[-1]
        if len(failures) > max(_STORM, len(batch) // 2):
            raise failures[-1]
    return dict(answer for answer in answers if answer is not None)


async def _orphans(
    work: Work, found: Findings, batch: Sequence[Finding], *, vectors: bool = False
) -> tuple[dict[str, Record], int]:
    """Return the records, by id, that have no blob now, and the number of blobs that are there after all.

    Those are left alone: they may be chosen out, and what came back is listed by the next sweep. The record is read before the
    blob is asked for: what is settled in between makes the write lose.
    """
    now = work.run.now()
    records = await _records(work, batch, vectors=vectors)
    settled = (None, Outcome.GONE, Outcome.FORGOTTEN)
    live = {key: one for key, one in records.items() if one.outcome not in settled and not claimed(one, now)}
    blobs = await _now(work, found, [finding for finding in batch if finding.id in live])
    gone = {key: live[key] for key, blob in blobs.items() if blob is None}
    return gone, len(blobs) - len(gone)


async def _bury(work: Work, records: Sequence[Record], *, name: str) -> None:
    """Make tombstones, and take their documents away. The answers stay, for the same bytes under another name.

    While the page is open, the next sweep of the whole source, which takes over its open pages, knows what to publish again.
    """
    run, policy = work.run, work.run.terms.retry
    if not records or not run.admits():
        return
    key = f"{work.ports.source.key}||{run.run_id}|{name}"
    opened = await put(work.ports.state, key, OpenPage(run.owner, tuple(one.id for one in records)), None, policy)
    kept = {one.id: one for record in records if (one := decide.keepsake(record)) is not None}
    await write(work.ports.ledger, list(kept.values()), policy)
    graves = [replace(decide.gone(record, now=run.now()), run_id=run.run_id) for record in records]
    buried = [one for one in await write(work.ports.ledger, graves, policy) if one is not None]
    run.counts.settle(Outcome.GONE, len(buried))
    await publish(buried, ledger=work.ports.ledger, index=work.ports.index, run=run)
    if work.hold.lost:
        raise LeaseLost("delete", work.place.key, "another process took the source over")
    await close(work.ports.state, key, opened, policy)


async def _unlist(work: Work, batch: Sequence[Finding]) -> None:
    """Remove the documents whose records show nothing, and put those back whose records came to show something meanwhile."""
    records = await _records(work, batch) if batch else {}
    drop = [finding for finding in batch if not _shows(records, finding)]
    if not drop or not work.run.admits():
        return
    await retry(partial(work.ports.index.remove, [finding.id for finding in drop]), work.run.terms.retry)
    work.run.counts.removed += len(drop)
    back = [one for one in (await _records(work, drop, vectors=True)).values() if shown(one)]
    await publish(back, ledger=work.ports.ledger, index=work.ports.index, run=work.run)
