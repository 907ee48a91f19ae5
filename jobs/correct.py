"""Correct: write what a person says of an image's labels, and show it at once; give what was said out as a training set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from functools import partial

from jobs.corrections import Said, corrected, seen, standing
from jobs.erase import Shelf, erase, errand
from jobs.errors import Misconfigured, StorageFailed
from jobs.model import Outcome, Record
from jobs.ports import Ledger
from jobs.retry import Policy, retry
from jobs.taxonomy import Taxonomy, categories

ROUNDS = 10
"""How often a record may move under our hands before that is a fault of its own."""

STANDARD = Policy()


@dataclass(frozen=True, slots=True)
class Example:
    """What a person said of an image, for training: its labels as people see them, and what of them was said by whom.

    `machine` is what the classifier said of each label, by its confidence.
    """

    source: str
    name: str
    version: str
    content_hash: str
    labels: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    pinned: tuple[str, ...]
    machine: dict[str, float]


async def correct(
    *, key: str, label: str, says: Said | None, by: str, taxonomy: Taxonomy, shelf: Shelf, policy: Policy = STANDARD
) -> Record:
    """Say that the image with this id has a label (`added`), has it not (`removed`), or keeps it (`pinned`); None takes it back.

    The image's categories follow, its document is published, and no classifier is called. Raises Misconfigured where there is no
    such image or label, StorageFailed or Transient when the store or the index cannot be reached: then say it again.
    """
    run = await errand(shelf, policy)
    for _ in range(ROUNDS):
        record = (await retry(partial(shelf.ledger.look_up, [key], vectors=True), policy)).get(key)
        if record is None or record.outcome is Outcome.FORGOTTEN:
            raise Misconfigured("correct", key, "there is no such image")
        changed = corrected(record, label, says, by=by, now=run.now())
        if changed is record:
            return record
        found = seen(changed)
        if found is not None and changed.derived == taxonomy.fingerprint:
            changed = replace(changed, categories=categories(taxonomy, found, changed.asked))
        stored = await erase([changed], source=record.source, shelf=shelf, run=run)  # stores and publishes whatever is shown
        if stored:
            return stored[0]
    raise StorageFailed("correct", key, "its record keeps changing", hint="Say it again when the run that is at it has ended.")


async def examples(*, ledger: Ledger, sources: Iterable[str]) -> AsyncIterator[Example]:
    """Yield every image of which somebody said something, in the order of the names."""
    for source in sources:
        async for batch in ledger.scan(source):
            for record in batch:
                if record.analysis is not None and standing(record):
                    yield _example(record)


def _example(record: Record) -> Example:
    found, said = seen(record), standing(record)
    assert found is not None
    assert record.analysis is not None

    def labels(says: Said) -> tuple[str, ...]:
        return tuple(label for label, one in said.items() if one.says == says)

    return Example(
        source=record.source,
        name=record.name,
        version=record.analysed or record.etag,
        content_hash=record.content_hash or "",
        labels=tuple(dict.fromkeys(tag.name for tag in found.tags)),
        added=labels("added"),
        removed=labels("removed"),
        pinned=labels("pinned"),
        machine={tag.name: tag.confidence for tag in record.analysis.tags},
    )
