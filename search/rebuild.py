"""Rebuild: fill an index from the ledger, of which it is only a projection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from jobs.errors import StorageFailed
from jobs.model import Record, shown
from jobs.ports import Index, Ledger

BATCH = 500
"""Records in memory at once, with their embeddings."""

ROUNDS = 10
"""How often a record may move under the hands of one batch before that is a fault of its own."""


async def rebuild(*, ledger: Ledger, index: Index, sources: Iterable[str]) -> int:
    """Publish what the ledger shows of these sources, at its newest revision; return how many documents the index took.

    Leaves alone what the index holds beside that: rebuild into an empty one to be rid of it.
    """
    taken = 0
    for source in sources:
        async for ids in _batches(ledger, source):
            taken += await _publish(ids, ledger=ledger, index=index)
    return taken


async def _batches(ledger: Ledger, source: str) -> AsyncIterator[Sequence[str]]:
    ids: list[str] = []
    async for records in ledger.scan(source):
        ids.extend(record.id for record in records)
        while len(ids) >= BATCH:
            yield ids[:BATCH]
            ids = ids[BATCH:]
    if ids:
        yield ids


async def _publish(ids: Sequence[str], *, ledger: Ledger, index: Index) -> int:
    """Send one batch, and again what a sweep changed meanwhile: its own upload may have come before ours."""
    taken: dict[str, bool] = {}
    for _ in range(ROUNDS):
        records = await ledger.look_up(ids, vectors=True)
        taken |= await _upload(list(records.values()), index=index)
        current = await ledger.look_up(ids)
        ids = [key for key, record in current.items() if key not in records or record.rev != records[key].rev]
        if not ids:
            return sum(taken.values())
    raise StorageFailed("rebuild", ids[0], "its record keeps changing while it is published", hint="Run the rebuild again.")


async def _upload(records: Sequence[Record], *, index: Index) -> dict[str, bool]:
    """Publish what is shown and remove what is not; say of each id whether the index has it now."""
    show = [record for record in records if shown(record)]
    drop = [record.id for record in records if not shown(record)]
    reasons = await index.publish(show) if show else []
    if drop:
        await index.remove(drop)
    return {record.id: reason is None for record, reason in zip(show, reasons, strict=True)} | dict.fromkeys(drop, False)
