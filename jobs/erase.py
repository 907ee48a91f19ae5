"""Erase: what is to be forgotten, corrected or grouped changes in the store, then in the index; a crash in between is mended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.model import OpenPage, Record
from jobs.ports import Clock, Index, Ledger, State
from jobs.publish import publish
from jobs.retry import Policy, retry
from jobs.run import Run, Terms
from jobs.throttle import Throttle
from jobs.write import close, put, write


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where results are kept and shown."""

    ledger: Ledger
    state: State
    clock: Clock
    index: Index


async def errand(shelf: Shelf, policy: Policy) -> Run:
    """Begin a piece of work that settles nothing, needs no lease and reads no image; its time stands still."""
    now = await retry(shelf.clock.now, policy)
    name = f"erase-{uuid.uuid4().hex}"
    return Run(name, name, Terms(retry=policy), Throttle(concurrency=1, max_bytes=1), lambda: now)


async def erase(records: Sequence[Record], *, source: str, shelf: Shelf, run: Run) -> list[Record]:
    """Store these records, then make the index show them as they are, or not at all; return what was stored.

    A record that another process changed meanwhile loses and is left out. After a crash between store and index the next
    sweep of the whole source, which takes over its open pages, publishes them; below a prefix the next audit does.
    Every call has an open page of its own: whoever took over the one before may not be done with it.
    """
    policy = run.terms.retry
    key = f"{source}||{run.run_id}|{uuid.uuid4().hex}"  # where the sweep of this source without a prefix looks for open pages
    page = OpenPage(run.owner, tuple(record.id for record in records))
    opened = await put(shelf.state, key, page, None, policy)
    stored = [record for record in await write(shelf.ledger, records, policy) if record is not None]
    await publish(stored, ledger=shelf.ledger, index=shelf.index, run=run)
    await close(shelf.state, key, opened, policy)
    return stored
