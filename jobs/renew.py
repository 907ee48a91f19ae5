"""Renew: bring the categories and properties of settled versions up to date, from what is stored. Free: no image is read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jobs import decide
from jobs.model import Blob, Record
from jobs.ports import Ledger
from jobs.retry import retry
from jobs.run import Run
from jobs.write import write

ROUNDS = 3
"""How often a record that moves under our hands is tried; after that it is left to whoever meets it next."""


async def renew(behind: Sequence[tuple[Blob, Record]], *, ledger: Ledger, run: Run) -> list[Record]:
    """Store what has changed of these records; return those whose documents have changed with it, embeddings included.

    Each write is conditional: what another process has settled meanwhile is looked at again and stands if it is up to date.
    """
    terms = run.terms
    waiting = {record.id: (blob, record) for blob, record in behind}
    changed: list[Record] = []
    for _ in range(ROUNDS):
        if not waiting:
            break
        fresh = [decide.renewed(record, blob, terms.taxonomy) for blob, record in waiting.values()]
        written = await write(ledger, fresh, terms.retry)
        stored = {record.id: record for record in written if record is not None}
        run.counts.rederived += len(stored)
        changed += [record for key, record in stored.items() if record.rev != waiting[key][1].rev]
        lost = [key for key in waiting if key not in stored]
        current = await retry(partial(ledger.look_up, lost), terms.retry) if lost else {}
        if not run.covered():
            break  # whoever has the lease by now may have seen to this page already
        blobs = {key: waiting[key][0] for key in current}
        waiting = {key: (blobs[key], one) for key, one in current.items() if decide.behind(blobs[key], one, terms.taxonomy)}
    return changed
