"""Plan: list without classifying, and say what the next sweep would do, cost and take."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jobs import decide
from jobs.choose import within
from jobs.errors import Changed, Gone, Rejected, Transient
from jobs.model import Blob, Image, Limits, Outcome, Record, Report, Scan
from jobs.ports import Classifier, Clock, Ledger, Source, State
from jobs.retry import retry
from jobs.run import Terms
from jobs.sniff import promises_image, sniff
from jobs.taxonomy import outdated
from jobs.watermark import begin

TIMED = 16
"""Images that a free classifier is timed on when no run has been reported yet."""


PREFIXES = 1000
"""Prefixes that are counted apart; what comes after them is counted together."""

OTHERS = "(others)"
"""What the rest of the prefixes is counted under."""

_SETTLED = (Outcome.CLASSIFIED, Outcome.REUSED, Outcome.DEAD)


@dataclass(slots=True)
class Part:
    """What there is to do below one prefix: the first part of the names with its slash, empty for names without one.

    `stale` and `rederive` include what is older than the sweep looks.
    """

    new: int = 0
    changed: int = 0
    stale: int = 0
    rederive: int = 0


@dataclass(slots=True)
class Plan:
    """What the next sweep would meet. `listed` is the sum of the counts from `new` to `skipped`.

    `new`, `changed` and `stale` (classified under another fingerprint) need a call each; `duplicate` ones are copied,
    `unreadable` ones will be dead letters. `rederive` are those of the unchanged that get other categories or properties, for
    free. `cost` is in the currency of the classifier's price; `seconds` is None when unknown.

    `older_stale` and `older_rederive` are the same of what is older than the sweep looks: a sweep leaves them, and
    `backfill --stale` takes them, at `older_cost`. `by_prefix` is empty unless it was asked for.
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
    rederive: int = 0
    older_stale: int = 0
    older_rederive: int = 0
    older_cost: float = 0.0
    unread: int = 0
    bytes: int = 0
    calls: int = 0
    cost: float = 0.0
    seconds: float | None = None
    shortened: bool = False
    by_prefix: dict[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """The ports and terms of one planning, and what is remembered of the bytes that were read."""

    source: Source
    classifier: Classifier
    ledger: Ledger
    terms: Terms
    by_prefix: bool
    hashes: set[str] = field(default_factory=set)
    sample: list[Image] = field(default_factory=list)


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
    by_prefix: bool = False,
    enough: int | None = None,
) -> Plan:
    """Count what the next sweep of a source would do. Classifies nothing that is paid, writes nothing.

    With `read`, the bytes of what is to be taken are read and hashed, so that duplicates and unreadable images are known;
    without, each counts as a call. Stops listing, `shortened`, when `enough` calls are ahead; then what is older than the sweep
    looks is not looked up either.
    """
    prefix = within(source, prefix)
    found = await state.get(Scan, f"{source.key}|{prefix}")
    scan = begin(found[0] if found else Scan(), now=await source.now(), scope=terms.scope, lookback=terms.lookback)
    lower = scan.checkpoint.lower if scan.checkpoint else None
    result = Plan(source.key)
    look = Look(source, classifier, ledger, terms, by_prefix)
    async for page in source.pages(prefix=prefix):
        result.unread += sum(odd.unread for odd in page.odd)
        _count(result, "skipped", sum(not odd.unread for odd in page.odd))
        young = [blob for blob in page.blobs if lower is None or blob.modified >= lower]
        old = [blob for blob in page.blobs if lower is not None and blob.modified < lower]
        _count(result, "unchanged", len(old))
        if old and enough is None:
            await _older(result, look, old)
        await _page(result, look, young, now=await clock.now(), read=read)
        if enough is not None and result.calls > enough:
            result.shortened = True
            break
    result.cost = round(result.calls * classifier.price, 6)
    result.older_cost = round(result.older_stale * classifier.price, 6)
    result.seconds = await _seconds(result, look, state)
    return result


def _count(result: Plan, count: str, number: int = 1) -> None:
    setattr(result, count, getattr(result, count) + number)
    result.listed += number


async def _page(result: Plan, look: Look, blobs: Sequence[Blob], *, now: datetime, read: bool) -> None:
    known = await retry(lambda: look.ledger.look_up([blob.id for blob in blobs]), look.terms.retry)
    for blob in blobs:
        record = known.get(blob.id)
        match decide.judge(blob, record, asked=look.classifier.asked, now=now):
            case decide.Verdict.UNCHANGED:
                _count(result, "unchanged")
                if record is not None and decide.behind(blob, record, look.terms.taxonomy):
                    result.rederive += 1
                    _note(result, look, blob, "rederive")
            case decide.Verdict.WAIT:
                _count(result, "deferred")
            case decide.Verdict.SKIP:
                _count(result, "skipped")
            case decide.Verdict.TAKE:
                await _take(result, look, blob, record, read=read)


async def _older(result: Plan, look: Look, blobs: Sequence[Blob]) -> None:
    """Count what a changed model or taxonomy touches of the versions that the sweep takes for settled."""
    known = await retry(lambda: look.ledger.look_up([blob.id for blob in blobs]), look.terms.retry)
    for blob in blobs:
        record = known.get(blob.id)
        if record is None or record.outcome not in _SETTLED:
            continue
        if record.asked != look.classifier.asked:
            result.older_stale += 1
            _note(result, look, blob, "stale")
        elif outdated(record, look.terms.taxonomy):
            result.older_rederive += 1
            _note(result, look, blob, "rederive")


def _note(result: Plan, look: Look, blob: Blob, count: str) -> None:
    """Count a blob for its prefix."""
    if not look.by_prefix:
        return
    first, slash, _ = blob.name.partition("/")
    prefix = first + slash if slash else ""
    if prefix not in result.by_prefix and len(result.by_prefix) >= PREFIXES:
        prefix = OTHERS
    part = result.by_prefix.setdefault(prefix, Part())
    setattr(part, count, getattr(part, count) + 1)


async def _take(result: Plan, look: Look, blob: Blob, record: Record | None, *, read: bool) -> None:
    if record is None and not promises_image(blob.name, blob.content_type) and not await _image(look, blob):
        _count(result, "skipped")
        return
    if blob.archived:
        _count(result, "deferred")
        return
    if decide.refusal(blob, look.classifier.limits):
        _count(result, "unreadable")
        return
    count = await _unpaid(look, blob) if read else None
    if count is None:
        count = _kind(blob, record)
        result.calls += 1
        result.bytes += blob.size
        _note(result, look, blob, count)
    _count(result, count)


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
