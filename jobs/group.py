"""Group: say of every image which near-duplicates it has, by the sketches that are stored. Free: no image is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby, islice

from jobs.alike import Change, Firsts, Pictures, Stopped, changes, grouped, sketched
from jobs.erase import Shelf, erase, errand
from jobs.model import Outcome, Record, shown
from jobs.retry import Policy, retry
from jobs.run import Run

STANDARD = Policy()
BATCH = 200
"""Records that are looked up with their vectors, written and published at once."""

_SHOWN = (Outcome.CLASSIFIED, Outcome.REUSED, Outcome.DEFERRED)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a grouping found and did: `images` that are shown, of which `without` have no sketch and so no group.

    `groups` have two images or more; `copies` are those in them that are not the first. `changed` records were written and
    published; `left` ones were others' at that moment, and are left to the next grouping. `stopped`: it did not come to the end.
    """

    images: int = 0
    without: int = 0
    groups: int = 0
    copies: int = 0
    changed: int = 0
    left: int = 0
    stopped: bool = False


async def group(
    *,
    sources: Sequence[str],
    shelf: Shelf,
    policy: Policy = STANDARD,
    stopped: Callable[[], bool] = lambda: False,
    aside: Callable[[Callable[[Pictures], Firsts], Pictures], Awaitable[Firsts]] = asyncio.to_thread,
) -> Grouping:
    """Find the near-duplicates among all images of these sources, and bring records and documents up to that.

    Writes are conditional, and only where the group is another; what a live run has claimed is left to it. It may be stopped at any
    time and called again, and a second call changes nothing. What takes long is computed `aside`. Raises StorageFailed or
    Transient as the store and the index do.
    """
    run = await errand(shelf, policy)
    try:
        pictures, astray, images = await _collected(sources, shelf, stopped)
        firsts = await aside(partial(grouped, stopped=stopped), pictures)
    except Stopped:
        return Grouping(stopped=True)
    copies = [first for at, first in enumerate(firsts.tolist()) if first != at]
    found = Grouping(images, images - len(pictures), groups=len(set(copies)), copies=len(copies))
    for batch in _batches(chain(changes(pictures, firsts), astray)):
        if stopped():
            return replace(found, stopped=True)
        written = await _write({change.id: change for change in batch}, shelf=shelf, run=run)
        found = replace(found, changed=found.changed + written, left=found.left + len(batch) - written)
    return found


async def _collected(sources: Sequence[str], shelf: Shelf, stopped: Callable[[], bool]) -> tuple[Pictures, list[Change], int]:
    """Return the pictures that have sketches, what has a group and no sketch, and the number of all images that are shown."""
    some: list[Pictures] = [Pictures.of(())]
    astray: list[Change] = []
    images = 0
    for source in sources:
        async with aclosing(shelf.ledger.scan(source, outcomes=_SHOWN)) as scan:
            async for batch in scan:
                if stopped():
                    raise Stopped
                seen = [record for record in batch if shown(record)]
                images += len(seen)
                some.append(Pictures.of([record for record in seen if sketched(record)]))
                astray += [Change(record.id, "", "") for record in seen if record.group and not sketched(record)]
    return Pictures.joined(some), astray, images


async def _write(wanted: Mapping[str, Change], *, shelf: Shelf, run: Run) -> int:
    """Give these records their groups, and publish them; return how many there were."""
    current = await retry(partial(shelf.ledger.look_up, list(wanted), vectors=True), run.terms.retry)
    fresh = [
        replace(record, group=wanted[key].group, rev=record.rev + 1)
        for key, record in current.items()
        if _stands(record, wanted[key]) and not (record.claim is not None and record.claim.expires > run.now())
    ]
    fresh.sort(key=lambda record: record.source)
    number = 0
    for source, records in groupby(fresh, key=lambda record: record.source):
        number += len(await erase(list(records), source=source, shelf=shelf, run=run))  # stores and publishes whatever is shown
    return number


def _stands(record: Record, change: Change) -> bool:
    """Say whether a change is about the picture that its record shows by now."""
    return shown(record) and record.analysis is not None and sketched(record) == change.sketch and record.group != change.group


def _batches(some: Iterator[Change]) -> Iterator[Sequence[Change]]:
    while batch := list(islice(some, BATCH)):
        yield batch
