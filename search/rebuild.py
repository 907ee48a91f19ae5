"""Rebuild: fill an index from the ledger, of which it is only a projection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from jobs.errors import StorageFailed, Transient
from jobs.model import Record, shown, standing
from jobs.ports import Index, Ledger
from jobs.retry import Policy, retry
from jobs.write import write

BATCH = 500
"""Records in memory at once, with their embeddings."""

ROUNDS = 10
"""How often a record may move under the hands of one batch before that is a fault of its own."""

STANDARD = Policy()


async def rebuild(
    *,
    ledger: Ledger,
    index: Index,
    sources: Iterable[str],
    policy: Policy = STANDARD,
    told: Callable[[int], Awaitable[None]] | None = None,
) -> int:
    """Publish what the ledger shows of these sources, at its newest revision; return how many documents the index took.

    `told` hears how many records each batch had. Leaves alone what the index holds beside that: rebuild into an empty one.
    """
    taken = 0
    for source in sources:
        async for ids in _batches(ledger, source, policy):
            taken += await send(ids, ledger=ledger, index=index, policy=policy)
            if told is not None:
                await told(len(ids))
    return taken


async def _batches(ledger: Ledger, source: str, policy: Policy) -> AsyncIterator[Sequence[str]]:
    ids: list[str] = []
    async for records in _scanned(ledger, source, policy):
        ids.extend(record.id for record in records)
        while len(ids) >= BATCH:
            yield ids[:BATCH]
            ids = ids[BATCH:]
    if ids:
        yield ids


async def _scanned(ledger: Ledger, source: str, policy: Policy) -> AsyncIterator[Sequence[Record]]:
    """Scan a source; a passing fault begins it again behind the last name, as often as the policy says."""
    last: str | None = None
    stream: AsyncGenerator[Sequence[Record], None] | None = None

    async def following() -> Sequence[Record] | None:
        nonlocal stream
        if stream is None:
            stream = ledger.scan(source, after=last)
        try:
            return await anext(stream, None)
        except Transient:
            stream = None
            raise

    while (records := await retry(following, policy)) is not None:
        yield records
        last = records[-1].name if records else last


async def send(ids: Sequence[str], *, ledger: Ledger, index: Index, policy: Policy = STANDARD) -> int:
    """Make the index show these records as they are, and return how many it took; again what changed meanwhile.

    Another's upload of what changed may have come before ours. A document that the index refuses for good is marked as
    `unpublished`, with the reason; a mark that is there already stays, for the index in use may be another one.
    """
    taken: dict[str, bool] = {}
    for _ in range(ROUNDS):
        records = await retry(partial(ledger.look_up, ids, vectors=True), policy)
        refused = await _upload(ids, list(records.values()), index=index, policy=policy)
        taken |= {key: key in records and shown(records[key]) and key not in refused for key in ids}
        seen = {key: record.version for key, record in records.items()}
        current = await retry(partial(ledger.look_up, ids, seen=seen), policy)
        moved = [key for key, record in current.items() if key not in records or standing(record) != standing(records[key])]
        still = {key: current.get(key, records[key]) for key in refused if key not in moved}
        marks = [replace(record, unpublished=refused[key]) for key, record in still.items() if record.unpublished is None]
        written = await write(ledger, marks, policy) if marks else []
        ids = moved + [mark.id for mark, kept in zip(marks, written, strict=True) if kept is None]
        if not ids:
            return sum(taken.values())
    raise StorageFailed("rebuild", ids[0], "its record keeps changing while it is published", hint="Run the rebuild again.")


async def _upload(ids: Sequence[str], records: Sequence[Record], *, index: Index, policy: Policy) -> dict[str, str]:
    """Publish what is shown and remove what is not; return by id the reasons of what the index refuses for good."""
    show = [record for record in records if shown(record)]
    reasons = await retry(partial(index.publish, show), policy) if show else []
    refused = {record.id: reason for record, reason in zip(show, reasons, strict=True) if reason is not None}
    there = {record.id for record in show} - refused.keys()
    drop = [key for key in ids if key not in there]
    if drop:
        await retry(partial(index.remove, drop), policy)
    return refused
