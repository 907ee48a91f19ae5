"""What must hold when all is quiet: each file is settled once and truly, store and index agree, nothing is left open."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping

from jobs.hashes import PREFIX
from jobs.model import Lease, OpenPage, Outcome, Record, Scan, shown
from jobs.wiring.kinds import Store
from tests.kills.archive import Archive
from tests.kills.counter import Counter
from tests.kills.stage import Stage, digest

OUTCOMES = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")


def count_faults(report: dict[str, object]) -> Iterator[str]:
    """Say what does not add up in the report of a sweep that was not killed."""
    if report["status"] != "complete":
        yield f"status {report['status']}: {report['message']}"
    parts = [number for name in OUTCOMES if isinstance(number := report[name], int)]
    if report["listed"] != sum(parts):
        yield f"{report['listed']} listed, {sum(parts)} accounted for"
    if report["unpublished"]:
        yield f"{report['unpublished']} documents were not published"


async def world_faults(archive: Archive, *, jobs: int = 1) -> list[str]:
    """Compare the files with the records, the records with the index; look for what was left behind by so many jobs."""
    async with archive.stage.opened() as (source, store, index):
        records = [record async for batch in store.scan(source.key) for record in batch]
        full = await store.look_up([record.id for record in records], vectors=True)
        documents = [document async for batch in index.revisions(source.key) for document in batch]
        etags = {name: blob.etag for name in archive.files if (blob := await source.head(name))}
        left = await _left_behind(store, jobs)
    shows = sorted((record.name, record.id, record.rev) for record in records if shown(record))
    return [
        *_file_faults(archive, list(full.values()), etags),
        *_pay_faults(records),
        *(f"the index lacks {name} at rev {rev}" for name, _, rev in set(shows) - set(documents)),
        *(f"the index has {name} at rev {rev}" for name, _, rev in set(documents) - set(shows)),
        *([f"{len(documents)} documents for {len(shows)} records"] if len(documents) != len(shows) else []),
        *left,
    ]


def paid_faults(archive: Archive, counter: Counter, paid: Mapping[str, int]) -> Iterator[str]:
    """Compare what the service says it was paid for with what was asked of it."""
    for content, times in paid.items():
        if times > len(counter.calls[content]):
            yield f"{content[:12]} was paid {times} times, and called for {len(counter.calls[content])} times"
    good = {digest(data) for data in archive.contents}
    yield from (f"paid for {content[:12]}, which is no good image" for content in paid.keys() - good)
    yield from (f"nobody paid for {name}" for name, data in archive.files.items() if digest(data) in good - paid.keys())


def _file_faults(archive: Archive, records: list[Record], etags: dict[str, str]) -> Iterator[str]:
    for name, times in Tally([record.name for record in records]).items():
        if times != 1 or name not in archive.files:
            yield f"{name} has {times} records, it is {'there' if name in archive.files else 'not there'}"
    known = {record.name: record for record in records}
    for name, data in archive.files.items():
        record = known.get(name)
        if record is None:
            yield f"{name} is lost"
        elif record.etag != etags.get(name):
            yield f"{name} is settled as {record.etag}, it is {etags.get(name)}"
        else:
            yield from _record_faults(archive.stage, record, data)


def _record_faults(stage: Stage, record: Record, data: bytes) -> Iterator[str]:
    refused = stage.refused(data)
    expected = (Outcome.DEAD,) if refused else (Outcome.CLASSIFIED, Outcome.REUSED)
    if record.outcome not in expected:
        yield f"{record.name} is {record.outcome}: {record.failure}"
    if record.claim is not None:
        yield f"{record.name} is still claimed by {record.claim.owner}"
    if record.unpublished is not None:
        yield f"{record.name} is unpublished: {record.unpublished}"
    if refused != (record.analysis is None) or (record.analysis is not None and not stage.true(data, record.analysis)):
        yield f"{record.name} does not have the answer of its bytes"
    if not refused and (record.analysed != record.etag or record.content_hash != digest(data)):
        yield f"{record.name} names another version or other bytes than it was made of"


def _pay_faults(records: list[Record]) -> Iterator[str]:
    paid = Tally(record.content_hash for record in records if record.outcome is Outcome.CLASSIFIED)
    yield from (f"{times} records say that they paid for {content}" for content, times in paid.items() if times > 1)


async def _left_behind(store: Store, jobs: int) -> list[str]:
    pages = [key for key, _, _ in await store.list(OpenPage, "")]
    claims = [key for key, _, _ in await store.list(Lease, PREFIX)]
    scans = await store.list(Scan, "")
    return [
        *(f"the page {key} is still open" for key in pages),
        *(f"the content {key} is still claimed" for key in claims),
        *(f"the scan of {key} is not complete" for key, scan, _ in scans if scan.checkpoint or not scan.watermark),
        *([f"{len(scans)} scans of one source by {jobs} jobs"] if len(scans) != jobs else []),
    ]
