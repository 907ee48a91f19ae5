"""Ahead: what a sweep would make of one version, without a call that is paid."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from jobs.errors import Changed, Gone, Rejected, Transient
from jobs.model import Blob, Image, Limits, Outcome, Record
from jobs.ports import Classifier, Ledger, Source
from jobs.prepare import prepared
from jobs.retry import retry
from jobs.run import Terms
from jobs.sniff import sniff
from jobs.steps import Done

TIMED = 16
"""Images that are kept to time a free classifier on, when no run has been reported yet."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A version that the sweep would take: what it counts as if it needs a call, and whether its name leaves it open what it is."""

    blob: Blob
    kind: str
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Look:
    """The ports and terms of one planning, whether bytes are read, and what is remembered of those that were."""

    source: Source
    classifier: Classifier
    ledger: Ledger
    terms: Terms
    read: bool
    hashes: set[str] = field(default_factory=set)
    sample: list[Image] = field(default_factory=list)


def kind_of(blob: Blob, record: Record | None) -> str:
    """Return what a version counts as that needs a call: new, stale (asked otherwise before) or changed."""
    if record is None or (record.outcome is Outcome.DEFERRED and record.analysed is None):
        return "new"
    return "stale" if record.etag == blob.etag else "changed"


async def becomes(look: Look, taken: Taken) -> str:
    """Return the count that a version goes to."""
    if taken.doubtful and not await _image(look, taken.blob):
        return "skipped"
    return (await _unpaid(look, taken.blob) if look.read else None) or taken.kind


async def _image(look: Look, blob: Blob) -> bool:
    try:
        return sniff(await look.source.read(blob, limit=64)) is not None
    except (Gone, Rejected):
        return False
    except (Changed, Transient):
        return True


async def _unpaid(look: Look, blob: Blob) -> str | None:
    """Read an image; return the count that it goes to when it will need no call, None when it will."""
    try:
        data = await retry(lambda: look.source.read(blob), look.terms.retry)
    except (Changed, Transient):
        return None
    except (Gone, Rejected):
        return "unreadable"
    content_hash = hashlib.sha256(data).hexdigest()
    if content_hash in look.hashes or await look.ledger.answers([content_hash], look.classifier.asked):
        return "duplicate"
    image = Image(blob.name, data, blob)
    try:
        await asyncio.to_thread(_inspect, data, look.classifier.limits)
        free = look.classifier.price > 0 and isinstance(await prepared(look.classifier, image), Done)
    except Rejected:
        return "unreadable"
    except (Changed, Gone, Transient):
        free = False
    look.hashes.add(content_hash)
    if len(look.sample) < TIMED:
        look.sample.append(image)
    return "local" if free else None


def _inspect(data: bytes, limits: Limits) -> None:
    from jobs.pixels import inspect  # noqa: PLC0415 Pillow takes a tenth of a second to import, which a sweep's parent never needs

    inspect(data, limits=limits)
