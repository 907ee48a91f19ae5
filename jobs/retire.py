"""Retire: remove the results of images that are older than an operator keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jobs import decide
from jobs.erase import Shelf, erase, errand
from jobs.model import Failure, Outcome, Record
from jobs.retry import Policy
from jobs.run import Run
from jobs.write import write

STANDARD = Policy()
_HOLDING = (Outcome.CLASSIFIED, Outcome.REUSED, Outcome.DEFERRED)


async def retire(*, areas: Sequence[tuple[str, str]], older_than: timedelta, shelf: Shelf, policy: Policy = STANDARD) -> int:
    """Retire what images showed that were last changed longer ago than `older_than`; return how many.

    `areas` are keys of sources, each with what the names begin with: another deployment may keep the rest of a source for longer.

    An image that is too old leaves store and index as if it had been forgotten, and this version of it is not taken again. So do
    answers kept of versions that are too old, whatever source they are of. The age is that of the blob version by the store's
    clock, not that of the result: a backfill of an archive that is older than this pays for what the next call retires. Dead
    letters and tombstones hold no result and stay. What a live run has claimed is left to the next call. It can be stopped at
    any time and called again.
    """
    run = await errand(shelf, policy)
    every = dict.fromkeys((*areas, (decide.KEEPSAKES, "")))
    return sum([await _retire(source, prefix, run.now() - older_than, shelf=shelf, run=run) for source, prefix in every])


async def _retire(source: str, prefix: str, limit: datetime, *, shelf: Shelf, run: Run) -> int:
    retired = 0
    async for batch in shelf.ledger.scan(source, outcomes=_HOLDING, prefix=prefix):
        old = [_stripped(record, limit, run=run) for record in batch if _outlived(record, limit, now=run.now())]
        if source == decide.KEEPSAKES:
            stored = [kept for kept in await write(shelf.ledger, old, run.terms.retry) if kept is not None]
        elif old:
            stored = await erase(old, source=source, shelf=shelf, run=run)
        else:
            stored = []
        retired += len(stored)
    return retired


def _outlived(record: Record, limit: datetime, *, now: datetime) -> bool:
    claimed = record.claim is not None and record.claim.expires > now
    return record.analysis is not None and record.modified < limit and not claimed


def _stripped(record: Record, limit: datetime, *, run: Run) -> Record:
    reason = f"last changed before {limit:%Y-%m-%d %H:%M:%S} UTC, older than results are kept"
    return replace(decide.forgotten(record, now=run.now()), failure=Failure(decide.RETIRED, reason, 0))
