"""The decisions of a settlement, pure: what to do with a blob, and what its record becomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from jobs.corrections import seen
from jobs.model import Analysis, Blob, Claim, Failure, Limits, Outcome, Record, blob_id
from jobs.taxonomy import Taxonomy, categories, outdated

KEEPSAKES = "answers"
"""The source of records that hold answers whose blob has moved on."""

RETIRED = "retired"
"""The failure class of what was forgotten for its age: a new version of it is taken again."""


GRAIN = timedelta(seconds=2)
"""How far a store's clock may seem to go back from one look to the next: that of Cosmos DB tells whole seconds.

What is due at once must be due for whoever looks next; it was left for the next sweep otherwise.
"""
_REHYDRATION = timedelta(hours=6)


class Verdict(StrEnum):
    """What the ledger says of a listed version: settled already, to be waited for, to be taken, or to be left out."""

    UNCHANGED = "unchanged"
    WAIT = "wait"
    TAKE = "take"
    SKIP = "skip"


def judge(blob: Blob, record: Record | None, *, asked: str, now: datetime) -> Verdict:
    """Decide from the record alone; `now` is the store's time, `asked` the fingerprint of the classifier in use."""
    if record is not None and record.outcome is Outcome.FORGOTTEN:
        retired = record.failure is not None and record.failure.failure_class == RETIRED
        return Verdict.TAKE if retired and record.etag != blob.etag else Verdict.SKIP
    if record is None or record.etag != blob.etag:
        return Verdict.TAKE
    if record.outcome is Outcome.DEFERRED:
        due = record.failure is None or record.failure.next_try is None or record.failure.next_try <= now
        return Verdict.TAKE if due else Verdict.WAIT
    if record.outcome in (None, Outcome.GONE) or record.asked != asked:
        return Verdict.TAKE
    return Verdict.UNCHANGED


def behind(blob: Blob, record: Record, taxonomy: Taxonomy) -> bool:
    """Say whether a settled version has categories of another taxonomy, or its blob other properties by now."""
    settled = record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED) and record.etag == blob.etag
    return settled and (outdated(record, taxonomy) or record.properties != blob.properties)


def claim(blob: Blob, record: Record | None, mark: Claim, *, run_id: str) -> Record:
    """Return the record that says this version is about to be paid for.

    It is a deferral that is due when the claim expires: a version whose claimant died is found like any other deferred one.
    What the index shows of an older version stays.
    """
    base = record or Record(blob.id, blob.source, blob.name, blob.etag, blob.modified, blob.size)
    attempts = base.failure.attempts if base.failure and base.outcome is Outcome.DEFERRED and base.etag == blob.etag else 0
    return replace(
        base,
        etag=blob.etag,
        modified=blob.modified,
        size=blob.size,
        asked=mark.asked,
        outcome=Outcome.DEFERRED,
        content_hash=base.content_hash if base.etag == blob.etag else None,
        failure=Failure("claimed", f"being classified by run {run_id}", attempts, mark.expires),
        claim=mark,
        run_id=run_id,
        properties=blob.properties,
    )


def keepsake(record: Record) -> Record | None:
    """Return a record that keeps a paid answer findable by its content hash when its blob moves on to another version."""
    if record.analysis is None or record.content_hash is None or record.outcome not in (Outcome.CLASSIFIED, Outcome.REUSED):
        return None
    name = f"{record.id}/{record.asked}/{record.content_hash}"
    return replace(
        record,
        id=blob_id(KEEPSAKES, name),
        source=KEEPSAKES,
        name=name,
        etag=record.content_hash,
        analysed=record.content_hash,
        outcome=Outcome.CLASSIFIED,
        rev=0,
        properties=(),
        categories=(),
        derived="",
        group="",
        corrections=(),
        version=None,
    )


def answered(record: Record, analysis: Analysis, *, content_hash: str, reused: bool, now: datetime, taxonomy: Taxonomy) -> Record:
    """Return the record of a version that has its analysis, and by it its categories.

    It leaves the group of a picture that looked otherwise; which it belongs to now, the next grouping says.
    """
    fresh = replace(
        record,
        outcome=Outcome.REUSED if reused else Outcome.CLASSIFIED,
        content_hash=content_hash,
        analysis=analysis,
        analysed=record.etag,
        failure=None,
        claim=None,
        rev=record.rev + 1,
        settled=now,
        unpublished=None,
        derived=taxonomy.fingerprint,
        group=record.group if record.analysis is not None and record.analysis.facts.sketch == analysis.facts.sketch else "",
    )
    found = _categories(fresh, taxonomy)
    return fresh if found == fresh.categories else replace(fresh, categories=found)


def derived(record: Record, taxonomy: Taxonomy) -> Record:
    """Return the record with the categories of this taxonomy. Its revision moves if they are others.

    By examples nothing is said of a deferred version: what it was asked as by now is not what its older vector is of.
    """
    if record.analysis is None or record.derived == taxonomy.fingerprint:
        return record
    if taxonomy.taught and record.outcome is Outcome.DEFERRED:
        return record
    found = _categories(record, taxonomy)
    return replace(record, categories=found, derived=taxonomy.fingerprint, rev=record.rev + (found != record.categories))


def _categories(record: Record, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Return the categories of an image as people see it."""
    found = seen(record) if taxonomy.fingerprint else None
    return categories(taxonomy, found, record.asked) if found is not None else ()


def renewed(record: Record, blob: Blob, taxonomy: Taxonomy) -> Record:
    """Return the record of a settled version with the categories of this taxonomy and what its blob comes with by now."""
    fresh = derived(record, taxonomy)
    if record.properties == blob.properties:
        return fresh
    return replace(fresh, properties=blob.properties, rev=record.rev + 1)


def recorded(record: Record) -> Blob:
    """Return the version that a record is about, whether it is there yet or not."""
    about = (record.source, record.name, record.etag, record.modified, record.size)
    return Blob(*about, properties=record.properties)


def dead(record: Record, failure_class: str, reason: str, *, now: datetime, content_hash: str | None = None) -> Record:
    """Return the record of a version that cannot be classified. What the index showed of an older version goes."""
    return replace(
        record,
        outcome=Outcome.DEAD,
        content_hash=content_hash,
        analysis=None,
        analysed=None,
        failure=Failure(failure_class, reason, _attempts(record) + 1),
        claim=None,
        rev=record.rev + (record.analysis is not None),
        settled=now,
        unpublished=None,
        categories=(),
        derived="",
        group="",
    )


def gone(record: Record, *, now: datetime) -> Record:
    """Return the tombstone of a blob that is not there any more."""
    return replace(
        record,
        outcome=Outcome.GONE,
        analysis=None,
        analysed=None,
        failure=None,
        claim=None,
        rev=record.rev + (record.analysis is not None),
        settled=now,
        unpublished=None,
        categories=(),
        derived="",
        group="",
    )


def forgotten(record: Record, *, now: datetime) -> Record:
    """Return what remains of an image that is to stay out: its name and that it was forgotten, nothing of what was in it."""
    return replace(
        gone(record, now=now), outcome=Outcome.FORGOTTEN, content_hash=None, properties=(), corrections=(), rev=record.rev + 1
    )


def deferred(
    record: Record, failure_class: str, reason: str, *, now: datetime, distance: timedelta = timedelta(), counts: bool = True
) -> Record:
    """Return the record of a version to try again after `distance`, at once for none.

    `counts` is false when the attempt proves nothing.
    """
    failure = Failure(failure_class, reason, _attempts(record) + counts, now + (distance or -GRAIN))
    return replace(record, outcome=Outcome.DEFERRED, failure=failure, claim=None, settled=now)


def archived(record: Record, why: str, *, now: datetime) -> Record:
    """Return the record of a version whose bytes cannot be read now; rehydration takes hours and moves neither etag nor time."""
    return deferred(record, "archived", why, now=now, distance=_REHYDRATION, counts=False)


def disown(record: Record, *, now: datetime) -> Record:
    """Return the record without the claim of an owner that is known to be dead, due at once."""
    failure = record.failure and replace(record.failure, failure_class="interrupted", reason="its run died", next_try=now - GRAIN)
    return replace(record, claim=None, failure=failure)


def distance(attempts: int, *, first: timedelta = timedelta(minutes=1), most: timedelta = timedelta(days=1)) -> timedelta:
    """Return how long to wait after so many failed attempts (from 1): `first`, growing fourfold, at most `most`."""
    factor: int = 4 ** min(max(attempts, 1) - 1, 12)
    return min(most, first * factor)


def refusal(blob: Blob, limits: Limits) -> tuple[str, str] | None:
    """Return (failure class, reason) when the listing alone tells that this image cannot be classified."""
    if blob.size == 0:
        return "empty", "the file is empty"
    if blob.size > limits.max_bytes:
        return "too-large", f"{blob.size:,} bytes, more than the {limits.max_bytes:,} that the classifier takes"
    return None


def _attempts(record: Record) -> int:
    return record.failure.attempts if record.failure else 0
