"""Plan: list without classifying, and say what the next sweep would do, cost and take."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobs import decide
from jobs.errors import Changed, Gone, Rejected, Transient
from jobs.model import Blob, Image, Limits, Outcome, Record, Report, Scan
from jobs.ports import Classifier, Clock, Ledger, Source, State
from jobs.retry import retry
from jobs.run import Terms
from jobs.sniff import named_image, sniff
from jobs.watermark import begin

TIMED = 16
"""Images that a free classifier is timed on when no run has been reported yet."""


@dataclass(slots=True)
class Plan:
    """What the next sweep would meet. `listed` is the sum of the counts from `new` to `skipped`.

    `new`, `changed` and `stale` (classified under another fingerprint) need a call each; `duplicate` ones are copied,
    `unreadable` ones will be dead letters. `cost` is in the currency of the classifier's price; `seconds` is None when unknown.
    """

    source: str
    listed: int = 0
    new: int = 0
    changed: int = 0
    stale: int = 0
    duplicate: int = 0
    unreadable: int = 0
    deferred: int = 0
    unchanged: int = 0
    skipped: int = 0
    unread: int = 0
    bytes: int = 0
    calls: int = 0
    cost: float = 0.0
    seconds: float | None = None
    shortened: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """The ports and terms of one planning."""

    source: Source
    classifier: Classifier
    ledger: Ledger
    terms: Terms
    hashes: set[str]
    sample: list[Image]


async def plan(
    *,
    source: Source,
    classifier: Classifier,
    ledger: Ledger,
    state: State,
    clock: Clock,
    terms: Terms,
    prefix: str = "",
    read: bool = True,
    enough: int | None = None,
) -> Plan:
    """Count what the next sweep of a source would do. Classifies nothing that is paid, writes nothing.

    With `read`, the bytes of what is to be taken are read and hashed, so that duplicates and unreadable images are known;
    without, each counts as a call. Stops listing, `shortened`, when `enough` calls are ahead.
    """
    found = await state.get(Scan, f"{source.key}|{prefix}")
    scan = begin(found[0] if found else Scan(), now=await source.now(), scope=terms.scope, lookback=terms.lookback)
    lower = scan.checkpoint.lower if scan.checkpoint else None
    result = Plan(source.key)
    look = Look(source, classifier, ledger, terms, set(), [])
    async for page in source.pages(prefix=prefix):
        result.unread += sum(odd.unread for odd in page.odd)
        _count(result, "skipped", sum(not odd.unread for odd in page.odd))
        young = [blob for blob in page.blobs if lower is None or blob.modified >= lower]
        _count(result, "unchanged", len(page.blobs) - len(young))
        await _page(result, look, young, now=await clock.now(), read=read)
        if enough is not None and result.calls > enough:
            result.shortened = True
            break
    result.cost = round(result.calls * classifier.price, 6)
    result.seconds = await _seconds(result, look, state)
    return result


def _count(result: Plan, field: str, number: int = 1) -> None:
    setattr(result, field, getattr(result, field) + number)
    result.listed += number


async def _page(result: Plan, look: Look, blobs: Sequence[Blob], *, now: datetime, read: bool) -> None:
    known = await retry(lambda: look.ledger.look_up([blob.id for blob in blobs]), look.terms.retry)
    for blob in blobs:
        record = known.get(blob.id)
        match decide.judge(blob, record, asked=look.classifier.asked, now=now):
            case decide.Verdict.UNCHANGED:
                _count(result, "unchanged")
            case decide.Verdict.WAIT:
                _count(result, "deferred")
            case decide.Verdict.SKIP:
                _count(result, "skipped")
            case decide.Verdict.TAKE:
                await _take(result, look, blob, record, read=read)


async def _take(result: Plan, look: Look, blob: Blob, record: Record | None, *, read: bool) -> None:
    if record is None and not named_image(blob.name) and not await _image(look, blob):
        _count(result, "skipped")
        return
    if decide.refusal(blob, look.classifier.limits):
        _count(result, "unreadable")
        return
    field = await _unpaid(look, blob) if read else None
    if field is None:
        field = _kind(blob, record)
        result.calls += 1
        result.bytes += blob.size
    _count(result, field)


def _kind(blob: Blob, record: Record | None) -> str:
    if record is None or (record.outcome is Outcome.DEFERRED and record.analysed is None):
        return "new"
    return "stale" if record.etag == blob.etag else "changed"


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
    try:
        await asyncio.to_thread(_inspect, data, look.classifier.limits)
    except Rejected:
        return "unreadable"
    look.hashes.add(content_hash)
    if len(look.sample) < TIMED:
        look.sample.append(Image(blob.name, data))
    return None


def _inspect(data: bytes, limits: Limits) -> None:
    from jobs.pixels import inspect  # noqa: PLC0415 Pillow takes a tenth of a second to import, which a sweep's parent never needs

    inspect(data, limits=limits)


async def _seconds(result: Plan, look: Look, state: State) -> float | None:
    """Estimate from the set rate, else from the last run, else by timing a few images where that is free."""
    if not result.calls:
        return 0.0
    if look.terms.per_second:
        return round(result.calls / look.terms.per_second, 1)
    for _, report, _ in reversed(await state.list(Report, f"{look.source.key}|", last=5)):
        if report.images_per_second:
            return round(result.calls / report.images_per_second, 1)
    if look.classifier.price or not look.sample:
        return None
    await asyncio.gather(*(look.classifier.classify(image) for image in look.sample[:1]), return_exceptions=True)
    begun = time.monotonic()
    await asyncio.gather(*(look.classifier.classify(image) for image in look.sample), return_exceptions=True)
    return round((time.monotonic() - begun) / len(look.sample) * result.calls, 1)
