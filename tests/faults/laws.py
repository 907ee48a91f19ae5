"""What must hold once the services are well and sweeps find nothing more to do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator

from jobs.hashes import PREFIX
from jobs.model import Lease, OpenPage, Outcome, Record, Scan, shown
from tests.faults.world import DEAD, SKIPPED, World


async def faults(world: World, *, repeats: int = 0, dead: Collection[str] = (), hidden: Collection[str] = ()) -> list[str]:
    """Say what does not hold. `repeats` calls may have been repeated besides those whose answer was lost on the way.

    `dead` are the names of images that a service refuses for good, `hidden` of those whose document the index refuses for good.
    """
    records = [record async for batch in world.ports.ledger.scan(world.ports.source.key) for record in batch]
    etags = {name: blob.etag for name in world.images if (blob := await world.ports.source.head(name))}
    shows = sorted((one.name, one.id, one.rev) for one in records if shown(one) and one.name not in hidden)
    documents = [document async for batch in world.ports.index.revisions(world.ports.source.key) for document in batch]
    return [
        *_settled(world, records, etags, dead={*DEAD, *dead}, hidden=set(hidden)),
        *_paid(world, repeats),
        *([] if shows == documents else [f"the store shows {shows}, the index {documents}"]),
        *await _left_behind(world),
    ]


def _settled(world: World, records: list[Record], etags: dict[str, str], *, dead: set[str], hidden: set[str]) -> Iterator[str]:
    records = [
        one for one in records if one.name not in SKIPPED or one.outcome is not Outcome.GONE
    ]  # taken, and no image after all
    names = Counter(record.name for record in records)
    expected = Counter(world.images.keys() - SKIPPED)
    if names != expected:
        yield f"records without an image: {names - expected}, images without a record: {expected - names}"
    for record in records:
        if (record.unpublished is None) == (record.name in hidden):
            yield f"{record.name} is unpublished: {record.unpublished}"
        if record.etag != etags.get(record.name) or record.claim is not None:
            yield f"{record.name} of {etags.get(record.name)} is left as {record}"
        if record.name in dead:
            if record.outcome is not Outcome.DEAD or record.analysis is not None:
                yield f"{record.name} is to be refused, and is {record.outcome}"
        elif record.name in expected:
            yield from _true(record, world.images[record.name])


def _true(record: Record, data: bytes) -> Iterator[str]:
    digest = hashlib.sha256(data).hexdigest()
    if record.outcome not in (Outcome.CLASSIFIED, Outcome.REUSED):
        yield f"{record.name} is {record.outcome}: {record.failure}"
    elif record.analysis is None or record.analysis.caption != f"a picture of {digest[:8]}" or record.content_hash != digest:
        yield f"{record.name} does not have the answer of its bytes"


def _paid(world: World, repeats: int) -> Iterator[str]:
    """Demand that each content was paid once, and again only where its answer was lost on the way; and that reports tell of it."""
    paid, reports = world.vision.counts.paid, world.reports
    extra = sum(max(number - 1 - world.lost[content], 0) for content, number in paid.items())
    if extra > repeats:
        yield f"{extra} calls repeated though their answers came, {repeats} may be"
    good = {hashlib.sha256(data).hexdigest() for name, data in world.images.items() if name not in DEAD | SKIPPED}
    if set(paid) - good:
        yield f"paid for what is no good image: {set(paid) - good}"
    unknown = sum(report.unknown_calls for report in reports)
    if unknown < world.lost.total():
        yield f"{world.lost.total()} answers were lost, the reports tell of {unknown} calls of unknown outcome"
    told, made = sum(report.calls for report in reports), len(world.ways["vision"].seen)
    if told != made:
        yield f"the reports tell of {told} calls, {made} were made"


async def _left_behind(world: World) -> list[str]:
    state = world.ports.state
    pages = [key for key, _, _ in await state.list(OpenPage, world.ports.source.key)]
    claims = [key for key, _, _ in await state.list(Lease, PREFIX)]
    [(_, scan, _)] = await state.list(Scan, world.ports.source.key)
    whole = scan.watermark is not None and scan.checkpoint is None
    return [
        *(f"the page {key} is still open" for key in pages),
        *(f"the content {key} is still claimed" for key in claims),
        *([] if whole else [f"the scan is not complete: {scan}"]),
    ]
