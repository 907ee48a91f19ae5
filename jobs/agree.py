"""Agree: compare an index with the ledger, by ids and revisions in name order, and send again what differs until nothing does.

A batch of each side is in memory at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from jobs.compare import indexed, stored
from jobs.decide import KEEPSAKES
from jobs.errors import StorageFailed
from jobs.model import Record, shown
from jobs.ports import Index, Ledger, Tally
from jobs.retry import Policy, retry
from search.rebuild import BATCH, send

ROUNDS = 10
"""How often an index is compared before what still differs is a fault."""

REMEMBERED = 100_000
"""Revisions that were sent again and are held in memory, some 20 MB, to tell whether they are shown by the next round."""

LONGEST = 15.0
"""Seconds between two rounds, at most: what an index has acknowledged may take some until it is found."""


@dataclass(slots=True)
class Compared:
    """What one comparison of an index with the ledger has seen so far."""

    documents: int = 0
    records: int = 0
    differ: int = 0


@dataclass(slots=True)
class Agreement:
    """What was compared last, and how many documents were sent again until then."""

    last: Compared = field(default_factory=Compared)
    repaired: int = 0


async def sources_of(tally: Tally) -> Sequence[str]:
    """Return the keys of the sources whose records are shown in an index."""
    return [key for key in await tally.sources() if key != KEEPSAKES]


async def differences(
    source: str, *, ledger: Ledger, index: Index, policy: Policy, seen: Compared
) -> AsyncGenerator[tuple[str, int | None]]:
    """Yield id and revision (None: nothing to show) of every record that the index does not show as it is; counts in `seen`.

    What is marked `unpublished` may be there or not. Raises StorageFailed when a side is out of order.
    """
    store, shelf = stored(source, ledger, policy), indexed(source, index, policy)
    try:
        while True:
            await store.fill()
            await shelf.fill()
            if store.disorder or shelf.disorder:
                raise StorageFailed("compare", source, f"names are out of order: {store.disorder or shelf.disorder}")
            heads = [side.head for side in (store, shelf) if side.head is not None]
            if not heads:
                return
            record, document = store.take(min(heads)), shelf.take(min(heads))
            seen.documents += document is not None
            seen.records += record is not None and shown(record)
            if _differs(record, document):
                seen.differ += 1
                yield _named(record, document)
    finally:
        await store.close()
        await shelf.close()


def _named(record: Record | None, document: tuple[str, int] | None) -> tuple[str, int | None]:
    if record is not None and shown(record):
        return record.id, record.rev
    assert document is not None, "nothing differs where neither side shows anything"
    return document[0], None


def _differs(record: Record | None, document: tuple[str, int] | None) -> bool:
    if record is None or not shown(record):
        return document is not None
    if document is None:
        return record.unpublished is None
    return document != (record.id, record.rev)


async def agree(
    *,
    ledger: Ledger,
    tally: Tally,
    index: Index,
    policy: Policy,
    told: Callable[[Compared], Awaitable[None]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Agreement:
    """Compare and send again what differs, until a round finds nothing that was sent before and is not shown yet.

    What differs for the first time in a later round is being published at this moment, and was sent as well. `told` is handed
    the live figures of each round. Raises StorageFailed when something goes on differing.
    """
    agreement = Agreement()
    sent: set[tuple[str, int | None]] = set()
    for number in range(ROUNDS):
        seen, again = Compared(), 0
        await told(seen)
        async for batch in _batches(ledger, tally, index, policy, seen):
            again += sum(one in sent for one in batch)
            sent.update(batch[: REMEMBERED - len(sent)])
            await send([key for key, _ in batch], ledger=ledger, index=index, policy=policy)
            agreement.repaired += len(batch)
        agreement.last = seen
        if not seen.differ or (number and not again and len(sent) < REMEMBERED):
            return agreement
        await sleep(min(2.0**number, LONGEST))
    cause = f"{seen.differ:,} documents differ from the store, also after they were sent again"
    raise StorageFailed("compare", "the new index", cause, hint="Nothing was switched. Run `imagesweep index rebuild` again.")


async def _batches(
    ledger: Ledger, tally: Tally, index: Index, policy: Policy, seen: Compared
) -> AsyncIterator[list[tuple[str, int | None]]]:
    """Yield what differs in all sources, in batches."""
    batch: list[tuple[str, int | None]] = []
    for source in await retry(partial(sources_of, tally), policy):
        async with aclosing(differences(source, ledger=ledger, index=index, policy=policy, seen=seen)) as found:
            async for one in found:
                batch.append(one)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
    if batch:
        yield batch
