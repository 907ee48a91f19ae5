"""Forget: remove an image's record, document and kept answers on a person's word, and remember not to take it again."""

from __future__ import annotations

from functools import partial

from jobs import decide
from jobs.erase import Shelf, erase, errand
from jobs.errors import StorageFailed
from jobs.model import Outcome, Record, blob_id
from jobs.publish import publish
from jobs.retry import Policy, retry
from jobs.run import Run
from jobs.write import write

ROUNDS = 10
"""How often a record may move under our hands before that is a fault of its own."""

STANDARD = Policy()


async def forget(*, source: str, name: str, shelf: Shelf, policy: Policy = STANDARD) -> Record:
    """Forget the image `name` of the source with this key; return what remains: that it is to stay out.

    Nothing of what was in it stays, and no version of it is taken again; a name that no sweep has met stays out as well. A run
    that is classifying it at this moment loses its answer. Forgetting it again changes nothing. Other images with the same bytes
    keep their own copies.

    Raises StorageFailed or Transient when the store or the index cannot be reached: then forget it again.
    """
    run = await errand(shelf, policy)
    key = blob_id(source, name)
    for _ in range(ROUNDS):
        found = (await retry(partial(shelf.ledger.look_up, [key]), policy)).get(key)
        if found is not None and found.outcome is Outcome.FORGOTTEN:
            await publish([found], ledger=shelf.ledger, index=shelf.index, run=run)
            return found
        record = found or Record(key, source, name, etag="", modified=run.now(), size=0)
        if not await _silence(record, shelf=shelf, run=run):
            continue
        stored = await erase([decide.forgotten(record, now=run.now())], source=source, shelf=shelf, run=run)
        if stored:
            return stored[0]
    raise StorageFailed("forget", name, "its record keeps changing", hint="Forget it again when the run that is at it has ended.")


async def _silence(record: Record, *, shelf: Shelf, run: Run) -> bool:
    """Leave no answer that was kept of this image, and none to be kept there later: what is there is never replaced.

    It comes before the record. Says whether nobody came in between.
    """
    policy = run.terms.retry
    kept = decide.keepsake(record)
    answers = {} if kept is None else {kept.id: kept}
    async for batch in shelf.ledger.scan(decide.KEEPSAKES, prefix=f"{record.id}/"):
        answers |= {answer.id: answer for answer in batch}
    emptied = [decide.forgotten(answer, now=run.now()) for answer in answers.values() if answer.outcome is not Outcome.FORGOTTEN]
    return all(await write(shelf.ledger, emptied, policy))
