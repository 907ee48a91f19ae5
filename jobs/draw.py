"""Draw: take the sketches of images that were classified without one, from their bytes. No classifier is called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from jobs.decide import recorded
from jobs.errors import Changed, Gone, Rejected, SweepError
from jobs.model import Blob, Outcome, Record
from jobs.ports import Ledger, Source
from jobs.retry import Policy, retry
from jobs.write import write

STANDARD = Policy()
Look = Callable[[Blob, bytes], Awaitable[str]]


class Later:
    """An image that was not begun, since it was to be stopped."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """How many sketches were taken, and how many could not be: the image has changed, is gone, or cannot be decoded here."""

    drawn: int = 0
    failed: int = 0
    stopped: bool = False


async def draw(
    *,
    source: Source,
    ledger: Ledger,
    look: Look,
    at_once: int,
    policy: Policy = STANDARD,
    stopped: Callable[[], bool] = lambda: False,
) -> Drawn:
    """Read every image of a source that has an analysis of the version that is there and no sketch, and store what `look` draws.

    At most `at_once` images are in memory. What is stored is not published: no document shows it. It may be stopped at any time
    and called again. Raises StorageFailed, Transient or Misconfigured as the source and the store do.
    """
    found = Drawn()
    gate = asyncio.Semaphore(at_once)

    async def one(record: Record) -> Record | SweepError | Later | None:
        async with gate:
            return Later() if stopped() else await _drawn(record, lambda blob: retry(partial(source.read, blob), policy), look)

    async with aclosing(ledger.scan(source.key, outcomes=(Outcome.CLASSIFIED, Outcome.REUSED))) as scan:
        async for batch in scan:
            todo = [record for record in batch if record.name.startswith(source.prefix) and _bare(record)]
            done = await asyncio.gather(*map(one, todo))
            ready = [record for record in done if isinstance(record, Record)]
            stored = [record for record in await write(ledger, ready, policy) if record is not None] if ready else []
            if faults := [error for error in done if isinstance(error, SweepError)]:
                raise faults[0]  # after what the others drew is stored
            later = sum(isinstance(one, Later) for one in done)
            found = Drawn(found.drawn + len(stored), found.failed + len(todo) - len(stored) - later)
            if stopped():
                return replace(found, stopped=True)
    return found


def _bare(record: Record) -> bool:
    """Say whether a record shows the version that is there, and nothing was drawn of it."""
    return record.analysis is not None and record.analysed == record.etag and not record.analysis.facts.sketch


async def _drawn(record: Record, read: Callable[[Blob], Awaitable[bytes]], look: Look) -> Record | SweepError | None:
    """Return the record with its sketch, None for an image that cannot be drawn, or the error that others would meet as well."""
    assert record.analysis is not None
    blob = recorded(record)
    try:
        sketch = await look(blob, await read(blob))
    except (Changed, Gone, Rejected):
        return None
    except SweepError as error:
        return error
    facts = replace(record.analysis.facts, sketch=sketch)
    return replace(record, analysis=replace(record.analysis, facts=facts))
