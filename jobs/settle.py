"""Settle: bring blob versions to an outcome, a page at a time: claim, read, hash, reuse or classify, store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from jobs import decide
from jobs.answer import answer, answered
from jobs.errors import Changed, Gone, Halted, Rejected, StorageFailed, SweepError, Transient
from jobs.model import Blob, Claim, Image, Outcome, Record
from jobs.retry import retry
from jobs.run import Parts, Run
from jobs.sniff import promises_image, sniff
from jobs.taxonomy import untaught
from jobs.write import write

SNIFF_BYTES = 64

_ANSWERED = (Outcome.CLASSIFIED, Outcome.REUSED)

ROUNDS = 10
"""How often a page is claimed against other writers before that is a fault of its own."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A blob version with the record that claims it."""

    blob: Blob
    record: Record


@dataclass(frozen=True, slots=True)
class Triaged:
    """What there is to do on a page: versions to be settled, and settled ones whose categories or properties are behind."""

    taken: Sequence[tuple[Blob, Record | None]]
    behind: Sequence[tuple[Blob, Record]]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all of them."""
        return tuple(blob.id for blob, _ in (*self.taken, *self.behind))


async def triage(blobs: Sequence[Blob], *, parts: Parts, run: Run) -> Triaged:
    """Look a page up in the ledger, count what is settled, waited for or no image, and return what there is to do."""
    known = await retry(lambda: parts.ledger.look_up([blob.id for blob in blobs]), run.terms.retry)
    blobs = await _current(blobs, known, parts=parts, run=run)
    now = run.now()
    taken: list[tuple[Blob, Record | None]] = []
    behind: list[tuple[Blob, Record]] = []
    doubtful: list[tuple[Blob, Record | None]] = []
    for blob in blobs:
        record = known.get(blob.id)
        match decide.judge(blob, record, asked=parts.classifier.asked, now=now):
            case decide.Verdict.UNCHANGED:
                run.counts.leave()
                if record is not None and decide.behind(blob, record, run.terms.taxonomy):
                    behind.append((blob, record))
            case decide.Verdict.WAIT:
                run.counts.settle(Outcome.DEFERRED)
            case decide.Verdict.SKIP:
                run.counts.skip()
            case decide.Verdict.TAKE:
                seen = record is not None and record.outcome not in (None, Outcome.GONE)
                certain = seen or blob.archived or promises_image(blob.name, blob.content_type)
                (taken if certain else doubtful).append((blob, record))
    taken += await _images(doubtful, parts=parts, run=run)
    return Triaged(taken, behind)


async def _current(blobs: Sequence[Blob], known: Mapping[str, Record], *, parts: Parts, run: Run) -> Sequence[Blob]:
    """Return the versions to judge: where listing and ledger name different ones, the one that is there now.

    Which of the two is newer cannot be told from their times, and another settler may have been here since the listing.
    """

    async def look(blob: Blob) -> Blob:
        async with run.throttle.permit(0):
            try:
                return await parts.source.head(blob.name) or blob
            except Transient:
                return blob

    moved = [blob for blob in blobs if (record := known.get(blob.id)) is not None and record.etag != blob.etag]
    heads = dict(zip(moved, await asyncio.gather(*map(look, moved)), strict=True)) if moved else {}
    return [heads.get(blob, blob) for blob in blobs] if heads else blobs


async def _images(doubtful: Sequence[tuple[Blob, Record | None]], *, parts: Parts, run: Run) -> list[tuple[Blob, Record | None]]:
    """Keep what its first bytes call an image, though its name does not; count the rest as skipped."""

    async def look(blob: Blob) -> bool:
        async with run.throttle.permit(0):
            try:
                head = await retry(partial(parts.source.read, blob, limit=SNIFF_BYTES), run.terms.retry)
            except (Changed, Transient):
                return True  # settled like an image: deferred, and looked at again
            except (Gone, Rejected):
                return False
            return sniff(head) is not None

    verdicts = await asyncio.gather(*(look(blob) for blob, _ in doubtful))
    run.counts.skip(verdicts.count(False))
    return [pair for pair, image in zip(doubtful, verdicts, strict=True) if image]


async def claim(pairs: Sequence[tuple[Blob, Record | None]], *, parts: Parts, run: Run) -> list[Taken]:
    """Claim a page in one bulk write. Where another process wrote in this moment, the ledger is asked again what is to be taken.

    For it may have claimed this version, or stored what became of an older one. Raises StorageFailed when it goes on writing.
    """
    taken: list[Taken] = []
    for _ in range(ROUNDS):
        stored = await _claim(pairs, parts=parts, run=run) if pairs else []
        taken += [Taken(blob, record) for (blob, _), record in zip(pairs, stored, strict=True) if record is not None]
        lost = [blob for (blob, _), record in zip(pairs, stored, strict=True) if record is None]
        if not lost:
            return taken
        pairs = (await triage(lost, parts=parts, run=run)).taken
    raise StorageFailed("claim", lost[0].name, "its record keeps changing while it is claimed", hint="Run the sweep again.")


async def _claim(pairs: Sequence[tuple[Blob, Record | None]], *, parts: Parts, run: Run) -> list[Record | None]:
    now = run.now()
    asked = parts.classifier.asked
    await _keep(
        [record for blob, record in pairs if record and (record.etag, record.asked) != (blob.etag, asked)], parts=parts, run=run
    )
    expires = now + timedelta(seconds=run.terms.claim_seconds)
    marked = [decide.claim(blob, record, Claim(run.owner, blob.etag, asked, expires), run_id=run.run_id) for blob, record in pairs]
    return await write(parts.ledger, marked, run.terms.retry)


async def _keep(records: Sequence[Record], *, parts: Parts, run: Run) -> None:
    """Keep the answers of versions that are about to be replaced: what was paid once is never paid again."""
    ids = [record.id for record in records if record.analysis is not None]
    if ids:
        full = await retry(partial(parts.ledger.look_up, ids, vectors=True), run.terms.retry)
        kept = {one.id: one for record in full.values() if (one := decide.keepsake(record)) is not None}
        await write(parts.ledger, list(kept.values()), run.terms.retry)


async def settle(taken: Sequence[Taken], *, parts: Parts, run: Run) -> list[Record]:
    """Bring claimed versions to an outcome and store it; return what was stored, embeddings included.

    Whatever stops the run shows in `run.halted`; answers that were paid for are stored all the same, and what was not begun is
    given back. Anything that is not a SweepError is a bug and escapes.
    """
    done: asyncio.Queue[Record] = asyncio.Queue()

    async def one(item: Taken) -> None:
        async with run.throttle.permit(item.blob.size):
            record = decide.derived(await _outcome(item, parts=parts, run=run), run.terms.taxonomy)
            await run.buffer.acquire()
        done.put_nowait(record)

    async with asyncio.TaskGroup() as group:
        writer = group.create_task(_store(done, len(taken), parts=parts, run=run))
        for item in sorted(taken, key=lambda item: item.record.id):  # neighbours by id share a partition of the store, and a batch
            group.create_task(one(item))
    return writer.result()


async def _store(done: asyncio.Queue[Record], expected: int, *, parts: Parts, run: Run) -> list[Record]:
    """Write finished records in batches until all `expected` came; a batch waits at most `linger` seconds to fill.

    A batch that cannot be stored halts the run; those after it are tried all the same, for their answers are paid.
    """
    stored: list[Record] = []
    while expected:
        batch = await _batch(done, min(expected, run.terms.write_batch), linger=run.terms.linger)
        expected -= len(batch)
        try:
            stored += await _write(batch, parts=parts, run=run)
        except SweepError as error:
            run.halt(error)
        for _ in batch:
            run.buffer.release()
    return stored


async def _batch(done: asyncio.Queue[Record], most: int, *, linger: float) -> list[Record]:
    batch = [await done.get()]
    try:
        async with asyncio.timeout(linger):
            while len(batch) < most:
                batch.append(await done.get())
    except TimeoutError:
        pass
    return batch


async def _write(batch: Sequence[Record], *, parts: Parts, run: Run) -> list[Record]:
    """Store a batch; where a record moved under us, what another process did stands, unless our claim is still on it."""
    pending = list(batch)
    stored: list[Record] = []
    while pending:
        written = await write(parts.ledger, pending, run.terms.retry)
        lost = [ours for ours, theirs in zip(pending, written, strict=True) if theirs is None]
        for kept in written:
            if kept is not None and kept.outcome is not None:
                run.counts.settle(kept.outcome)
                stored.append(kept)
                run.untaught += untaught(kept, run.terms.taxonomy)
        current = await retry(partial(parts.ledger.look_up, [record.id for record in lost]), run.terms.retry) if lost else {}
        pending = []
        await _keep_lost([ours for ours in lost if not _forgotten(current.get(ours.id))], parts=parts, run=run)
        for ours in lost:
            theirs = current.get(ours.id)
            if theirs is not None and theirs.claim is not None and theirs.claim.owner == run.owner:
                pending.append(replace(ours, version=theirs.version, rev=max(ours.rev, theirs.rev + 1)))
            else:
                run.counts.settle(Outcome.DEFERRED)
    contents = [record.content_hash for record in batch if record.content_hash is not None and record.outcome in _ANSWERED]
    await asyncio.gather(*(answered(content, parts=parts, run=run) for content in contents))
    return stored


def _forgotten(record: Record | None) -> bool:
    return record is not None and record.outcome is Outcome.FORGOTTEN


async def _keep_lost(lost: Sequence[Record], *, parts: Parts, run: Run) -> None:
    """Keep answers that were paid for a version which is another's by now: its bytes may come again."""
    kept = {one.id: one for record in lost if (one := decide.keepsake(record)) is not None}
    if kept:
        await write(parts.ledger, list(kept.values()), run.terms.retry)


async def _outcome(item: Taken, *, parts: Parts, run: Run) -> Record:
    """Settle one claimed version; every expected failure becomes an outcome here."""
    try:
        if not run.admits():
            raise Halted("classify", item.blob.name, "the run stopped before its turn")
        if item.blob.archived:
            return decide.archived(item.record, item.blob.archived, now=run.now())
        return await _settled(item, parts=parts, run=run)
    except SweepError as error:
        return _failed(item.record, error, run=run, now=run.now())


def _failed(record: Record, error: SweepError, *, run: Run, now: datetime) -> Record:
    """Return the record of a version that got no answer; what is not the image's fault, and does not pass, halts the run."""
    match error:
        case Rejected():
            return decide.dead(record, error.failure_class, error.cause, now=now)
        case Gone():
            return decide.gone(record, now=now)
        case Changed():
            return decide.deferred(record, "changed", error.cause, now=now, counts=False)
        case Transient():
            if error.failure_class == "archived":
                return decide.archived(record, error.cause, now=now)
            return _again(record, error, run=run, now=now)
        case Halted():
            pass
        case _:
            run.halt(error)
    return decide.deferred(record, "interrupted", "the run stopped before its turn", now=now, counts=False)


def _again(record: Record, error: Transient, *, run: Run, now: datetime) -> Record:
    """Defer a version after a passing failure; dead after too many, of which only those count that were not everybody's."""
    counts = run.successes > 0 and error.failure_class != "claimed"
    attempts = (record.failure.attempts if record.failure else 0) + counts
    if attempts >= run.terms.attempts:
        return decide.dead(record, error.failure_class, f"given up after {attempts} attempts: {error.cause}", now=now)
    wait = decide.distance(attempts)
    return decide.deferred(record, error.failure_class, error.cause, now=now, distance=wait, counts=counts)


async def _settled(item: Taken, *, parts: Parts, run: Run) -> Record:
    """Read the bytes of exactly this version, and have them answered."""
    blob = item.blob
    promised = promises_image(blob.name, blob.content_type)
    refused = decide.refusal(blob, parts.classifier.limits)
    if refused and (promised or blob.size):
        raise Rejected("classify", blob.name, refused[1], failure_class=refused[0])
    data = await retry(lambda: parts.source.read(blob), run.terms.retry)
    if not promised and sniff(data) is None:
        raise Gone("classify", blob.name, "it is no image after all")  # its first bytes could not be read when it was listed
    content_hash = hashlib.sha256(data).hexdigest()
    analysis, reused = await answer(Image(blob.name, data, blob), content_hash, parts=parts, run=run)
    return decide.answered(
        item.record, analysis, content_hash=content_hash, reused=reused, now=run.now(), taxonomy=run.terms.taxonomy
    )
