"""Plan: list without classifying, and say what the next sweep would do, cost and take."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jobs import decide
from jobs.ahead import TIMED, Look, Taken, becomes, kind_of
from jobs.budget import balance
from jobs.choose import within
from jobs.model import Blob, Estimate, Outcome, Record, Report, Scan
from jobs.ports import Classifier, Clock, Ledger, Source, State
from jobs.prices import Line, Tariff
from jobs.retry import retry
from jobs.run import Terms
from jobs.sample import BySize, parted, shares
from jobs.sniff import promises_image
from jobs.taxonomy import outdated
from jobs.watermark import begin

PREFIXES = 1000
"""Prefixes that are counted apart; what comes after them is counted together."""

OTHERS = "(others)"
"""What the rest of the prefixes is counted under."""

KINDS = ("new", "changed", "stale")
"""What needs a call."""
FREE = ("duplicate", "local", "unreadable", "skipped")
ESTIMATED = (*KINDS, *FREE)
"""What a sample tells of."""

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

    `new`, `changed` and `stale` (classified under another fingerprint) are to be classified; `duplicate` ones are copied, `local`
    ones answered by the free part of a cascade, `unreadable` ones will be dead letters, `archived` ones wait to be rehydrated.
    `rederive` are those of the unchanged that get other categories or properties, for free.

    `calls` are the requests that this takes, `cost` is theirs in the currency of the prices, `features` says for what, at which
    tier; `prices` where the prices are from. `seconds` is None when unknown; `pace` says what it is reckoned by.

    `older_stale` and `older_rederive` are the same of what is older than the sweep looks: a sweep leaves them, and
    `backfill --stale` takes them, at `older_cost`. `by_prefix` is empty unless it was asked for.

    Where only a sample was read, `sampled` images of `candidates`, the counts are estimates; `ranges` has the lowest and the
    highest that each may be, of 95 of 100 samples.
    """

    source: str
    listed: int = 0
    new: int = 0
    changed: int = 0
    stale: int = 0
    duplicate: int = 0
    local: int = 0
    unreadable: int = 0
    archived: int = 0
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
    features: list[Line] = field(default_factory=list)
    prices: str = ""
    seconds: float | None = None
    pace: str = ""
    shortened: bool = False
    sampled: int = 0
    candidates: int = 0
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    by_prefix: dict[str, Part] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many are to be classified."""
        return self.new + self.changed + self.stale

    @property
    def estimate(self) -> Estimate:
        """What a run that follows is measured by."""
        return Estimate(self.calls, self.cost, self.seconds, not self.shortened, self.images)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many images to read of those that are to be taken, about, and the seed that the choice is made by."""

    most: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """How versions are looked at, whether prefixes are counted apart, and the sample where one is drawn."""

    ahead: Look
    by_prefix: bool
    drawn: BySize[Taken] | None


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
    tariff: Tariff | None = None,
    sampling: Sampling | None = None,
) -> Plan:
    """Count what the next sweep of a source would do. Makes no call that is paid, writes nothing.

    With `read`, the bytes of what is to be taken are read and hashed, so that duplicates and unreadable images are known; with
    `sampling` only those of a part, from which the rest is estimated; without, each counts as a call. Stops listing,
    `shortened`, when `enough` calls are ahead; then what is older than the sweep looks is not looked up either.
    """
    prefix = within(source, prefix)
    found = await state.get(Scan, f"{source.key}|{prefix}")
    scan = begin(found[0] if found else Scan(), now=await source.now(), scope=terms.scope, lookback=terms.lookback)
    lower = scan.checkpoint.lower if scan.checkpoint else None
    result = Plan(source.key)
    drawn: BySize[Taken] | None = BySize(sampling.most, sampling.seed) if sampling else None
    look = Sight(Look(source, classifier, ledger, terms, read), by_prefix, drawn)
    async for page in source.pages(prefix=prefix):
        result.unread += sum(odd.unread for odd in page.odd)
        _count(result, "skipped", sum(not odd.unread for odd in page.odd))
        young = [blob for blob in page.blobs if lower is None or blob.modified >= lower]
        old = [blob for blob in page.blobs if lower is not None and blob.modified < lower]
        _count(result, "unchanged", len(old))
        if old and enough is None:
            await _older(result, look, old)
        await _page(result, look, young, now=await clock.now())
        if enough is not None and result.images > enough:
            result.shortened = True
            break
    await _extrapolate(result, look)
    await _price(result, classifier, tariff, state, terms, now=await clock.now())
    result.seconds, result.pace = await _seconds(result, look, state)
    return result


def _count(result: Plan, count: str, number: int = 1) -> None:
    setattr(result, count, getattr(result, count) + number)
    result.listed += number


async def _page(result: Plan, look: Sight, blobs: Sequence[Blob], *, now: datetime) -> None:
    known = await retry(lambda: look.ahead.ledger.look_up([blob.id for blob in blobs]), look.ahead.terms.retry)
    for blob in blobs:
        record = known.get(blob.id)
        match decide.judge(blob, record, asked=look.ahead.classifier.asked, now=now):
            case decide.Verdict.UNCHANGED:
                _count(result, "unchanged")
                if record is not None and decide.behind(blob, record, look.ahead.terms.taxonomy):
                    result.rederive += 1
                    _note(result, look, blob, "rederive")
            case decide.Verdict.WAIT:
                _count(result, "deferred")
            case decide.Verdict.SKIP:
                _count(result, "skipped")
            case decide.Verdict.TAKE:
                await _take(result, look, blob, record)


async def _older(result: Plan, look: Sight, blobs: Sequence[Blob]) -> None:
    """Count what a changed model or taxonomy touches of the versions that the sweep takes for settled."""
    known = await retry(lambda: look.ahead.ledger.look_up([blob.id for blob in blobs]), look.ahead.terms.retry)
    for blob in blobs:
        record = known.get(blob.id)
        if record is None or record.outcome not in _SETTLED:
            continue
        if record.asked != look.ahead.classifier.asked:
            result.older_stale += 1
            _note(result, look, blob, "stale")
        elif outdated(record, look.ahead.terms.taxonomy):
            result.older_rederive += 1
            _note(result, look, blob, "rederive")


def _note(result: Plan, look: Sight, blob: Blob, count: str) -> None:
    """Count a blob for its prefix."""
    if not look.by_prefix:
        return
    first, slash, _ = blob.name.partition("/")
    prefix = first + slash if slash else ""
    if prefix not in result.by_prefix and len(result.by_prefix) >= PREFIXES:
        prefix = OTHERS
    part = result.by_prefix.setdefault(prefix, Part())
    setattr(part, count, getattr(part, count) + 1)


async def _take(result: Plan, look: Sight, blob: Blob, record: Record | None) -> None:
    if blob.archived:
        _count(result, "archived")
        return
    if decide.refusal(blob, look.ahead.classifier.limits):
        _count(result, "unreadable")
        return
    taken = Taken(blob, kind_of(blob, record), record is None and not promises_image(blob.name, blob.content_type))
    if look.drawn is not None:
        look.drawn.offer(blob.size, taken)
        _count(result, "candidates")
        result.bytes += blob.size
        _note(result, look, blob, taken.kind)
        return
    count = await becomes(look.ahead, taken)
    if count == taken.kind:
        result.bytes += blob.size
        _note(result, look, blob, count)
    _count(result, count)


async def _extrapolate(result: Plan, look: Sight) -> None:
    """Read the sample, and part the candidates by what became of it."""
    if look.drawn is None:
        return
    clusters = [Counter([await becomes(look.ahead, taken) for taken in cluster]) for cluster in look.drawn.clusters()]
    total = result.candidates
    result.sampled = sum(cluster.total() for cluster in clusters)
    found = shares(clusters, ESTIMATED, total=total)
    needing = [
        Counter({"call": sum(cluster[kind] for kind in KINDS), "none": sum(cluster[kind] for kind in FREE)}) for cluster in clusters
    ]
    call = shares(needing, ["call"], total=total)["call"]
    result.ranges = {name: (round(total * one.low), round(total * one.high)) for name, one in found.items()}
    result.ranges["images"] = (round(total * call.low), round(total * call.high))
    for name, number in (parted(total, found) if result.sampled else {"new": total}).items():
        setattr(result, name, getattr(result, name) + number)
    result.bytes = round(result.bytes * call.share)


async def _price(result: Plan, classifier: Classifier, tariff: Tariff | None, state: State, terms: Terms, *, now: datetime) -> None:
    """Say what the calls cost, from the tier on that this month has come to."""
    requests = tariff.requests if tariff else 1
    before = (await balance(state, now, terms.retry))["month"].calls // requests if tariff else 0

    def cost(images: float) -> float:
        return round(tariff.cost(round(images), before) if tariff else images * classifier.price, 6)

    result.calls = result.images * requests
    result.cost = cost(result.images)
    result.older_cost = cost(result.older_stale)
    if tariff is not None:
        result.features, result.prices = tariff.lines(result.images, before), f"{tariff.currency}, {tariff.said}"
    if result.ranges:
        low, high = result.ranges.pop("images")
        result.ranges |= {"calls": (low * requests, high * requests), "cost": (cost(low), cost(high))}


async def _seconds(result: Plan, look: Sight, state: State) -> tuple[float | None, str]:
    """Estimate from the set rate, else from the last run, else by timing a few images where that is free."""
    if not result.calls:
        return 0.0, ""
    if look.ahead.terms.per_second:
        return round(result.calls / look.ahead.terms.per_second, 1), f"at the ceiling of {look.ahead.terms.per_second:g} calls/s"
    for _, report, _ in reversed(await state.list(Report, f"{look.ahead.source.key}|", last=5)):
        if report.calls >= TIMED and report.seconds:
            rate = report.calls / report.seconds
            return round(result.calls / rate, 1), f"at the pace of the last run, {rate:,.1f} calls/s"
    if look.ahead.classifier.price or not look.ahead.sample:
        return None, ""
    await asyncio.gather(*(look.ahead.classifier.classify(image) for image in look.ahead.sample[:1]), return_exceptions=True)
    begun = time.monotonic()
    await asyncio.gather(*(look.ahead.classifier.classify(image) for image in look.ahead.sample), return_exceptions=True)
    return round(
        (time.monotonic() - begun) / len(look.ahead.sample) * result.calls, 1
    ), "at the pace of a few images that were tried"
