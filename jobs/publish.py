"""Publish: make the index show what the store holds, at its newest revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from jobs.errors import StorageFailed
from jobs.model import Record, shown, standing
from jobs.ports import Index, Ledger
from jobs.retry import retry
from jobs.run import Run
from jobs.write import write

ROUNDS = 10
"""How often a record may move under the hands of one publish before that is a fault of its own."""


async def publish(records: Sequence[Record], *, ledger: Ledger, index: Index, run: Run) -> None:
    """Upload what is shown and remove what is not, then compare with the store and publish again what moved meanwhile.

    `records` carry their embeddings. A document that the index will never take is marked `unpublished`, with the reason.
    Raises Transient or StorageFailed when the index or the store cannot be reached: then nothing may be checkpointed.
    """
    todo = [record for record in records if record.rev > 0]
    for _ in range(ROUNDS):
        if not todo:
            return
        refused = await _upload(todo, index=index, run=run)
        seen = {record.id: record.version for record in todo}
        current = await retry(partial(ledger.look_up, list(seen), seen=seen), run.terms.retry)
        moved = [record.id for record in todo if record.id in current and standing(current[record.id]) != standing(record)]
        still = [current.get(record.id, record) for record in todo if record.id not in moved]
        marks = [
            replace(record, unpublished=refused.get(record.id)) for record in still if record.unpublished != refused.get(record.id)
        ]
        if marks:
            written = await write(ledger, marks, run.terms.retry)
            moved += [ours.id for ours, kept in zip(marks, written, strict=True) if kept is None]
        todo = list((await retry(partial(ledger.look_up, moved, vectors=True), run.terms.retry)).values()) if moved else []
    raise StorageFailed("publish", todo[0].name, "its record keeps changing while it is published", hint="Run the sweep again.")


async def _upload(todo: Sequence[Record], *, index: Index, run: Run) -> dict[str, str]:
    """Send one round; return the reasons of the documents that the index refuses for good, by id."""
    show = [record for record in todo if shown(record)]
    drop = [record.id for record in todo if not shown(record)]
    removed = len(drop)
    refused: dict[str, str] = {}
    if show:
        reasons = await retry(partial(index.publish, show), run.terms.retry)
        refused = {record.id: reason for record, reason in zip(show, reasons, strict=True) if reason is not None}
    drop += refused  # what the index holds of an older revision is not true any more
    if drop:
        await retry(partial(index.remove, drop), run.terms.retry)
    run.counts.published += len(show) - len(refused)
    run.counts.unpublished += len(refused)
    run.counts.removed += removed
    return refused
