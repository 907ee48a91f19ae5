"""Write: conditional writes that survive a lost acknowledgement.

When a write fails in passing its effect may have happened all the same. The retry then loses against our own write, so a loser is
compared with what is stored: what is ours is no loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jobs.errors import Conflict, Transient
from jobs.model import OpenPage, Record
from jobs.ports import Document, Ledger, State
from jobs.retry import Policy, retry


async def write(ledger: Ledger, records: Sequence[Record], policy: Policy) -> list[Record | None]:
    """Write as `Ledger.write` does, embeddings included in what is returned; only another writer makes a record lose."""
    faults: list[Transient] = []
    written = list(await retry(partial(ledger.write, records), policy, failed=faults.append))
    lost = [record.id for record, kept in zip(records, written, strict=True) if kept is None] if faults else []
    stored = await retry(partial(ledger.look_up, lost, vectors=True), policy) if lost else {}
    for place, (ours, kept) in enumerate(zip(records, written, strict=True)):
        theirs = stored.get(ours.id)
        if kept is None and theirs is not None and _stamp(ours) == _stamp(theirs):
            written[place] = theirs
    return written


def _stamp(record: Record) -> tuple[object, ...]:
    """Return what no two writes of a record share: the run, and what it decided when."""
    return (
        record.run_id,
        record.rev,
        record.outcome,
        record.etag,
        record.claim,
        record.failure,
        record.settled,
        record.unpublished,
        record.derived,
        record.group,
        record.corrections,
        record.properties,
    )


async def close(state: State, key: str, opened: str, policy: Policy) -> bool:
    """Remove an open page that is at the version `opened`; say whether it is gone, and not another's to close."""
    try:
        await retry(partial(state.remove, OpenPage, key, opened), policy)
    except Conflict:
        return False
    return True


async def put(state: State, key: str, document: Document, version: str | None, policy: Policy) -> str:
    """Write as `State.put` does; raises Conflict only where another document is stored."""
    faults: list[Transient] = []
    try:
        return await retry(partial(state.put, key, document, version), policy, failed=faults.append)
    except Conflict:
        found = await retry(lambda: state.get(type(document), key), policy) if faults else None  # type: ignore[type-var]  # one of them
        if found is None or found[0] != document:
            raise
        return found[1]
