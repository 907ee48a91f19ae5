"""Renew: bring the categories and properties of settled versions up to date, from what is stored. Free: no image is read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jobs import decide
from jobs.model import Blob, Record
from jobs.ports import Ledger
from jobs.retry import retry
from jobs.run import Run
from jobs.taxonomy import untaught
from jobs.write import write

ROUNDS = 3
"""How often a record that moves under our hands is tried; after that it is left to whoever meets it next."""


async def renew(behind: Sequence[tuple[Blob, Record]], *, ledger: Ledger, run: Run) -> list[Record]:
    """Store what has changed of these records; return those whose documents have changed with it, embeddings included.

    Each write is conditional: what another process has settled meanwhile is looked at again and stands if it is up to date.
    """
    terms = run.terms
    vectors = bool(terms.taxonomy.taught)
    waiting = {record.id: (blob, record) for blob, record in behind}
    if vectors and waiting:  # a page is looked up without vectors, and examples go by them
        whole = await retry(partial(ledger.look_up, list(waiting), vectors=True), terms.retry)
        blobs = {key: blob for key, (blob, _) in waiting.items()}
        waiting = {key: (blobs[key], one) for key, one in whole.items() if decide.behind(blobs[key], one, terms.taxonomy)}
    changed: list[Record] = []
    for _ in range(ROUNDS):
        if not waiting:
            break
        fresh = [decide.renewed(record, blob, terms.taxonomy) for blob, record in waiting.values()]
        written = await write(ledger, fresh, terms.retry)
        stored = {record.id: record for record in written if record is not None}
        run.counts.rederived += len(stored)
        run.untaught += sum(untaught(record, terms.taxonomy) for record in stored.values())
        changed += [record for key, record in stored.items() if record.rev != waiting[key][1].rev]
        lost = [key for key in waiting if key not in stored]
        current = await retry(partial(ledger.look_up, lost, vectors=vectors), terms.retry) if lost else {}
        if not run.covered():
            break  # whoever has the lease by now may have seen to this page already
        blobs = {key: waiting[key][0] for key in current}
        waiting = {key: (blobs[key], one) for key, one in current.items() if decide.behind(blobs[key], one, terms.taxonomy)}
    return changed
