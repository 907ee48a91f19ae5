"""Summary: what the runs of a period did, and what the images that they settled show, against all before. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jobs.corrections import seen
from jobs.model import Record, Report
from jobs.ports import Ledger, State, Tally

RUNS = 1000
"""The most reports of one source and job that are looked at, the newest."""

SHOWN = 25
"""Tags of each list."""

JOBS = ("backfill", "redrive", "audit")
_LEAST = 3


class Books(Ledger, State, Tally, Protocol):
    """A store, as far as a report reads it."""


@dataclass(frozen=True, slots=True)
class Period:
    """Which runs are meant: those that began from `after` (inclusive) to `before` (exclusive), or the one with an id."""

    after: datetime | None = None
    before: datetime | None = None
    run_id: str = ""

    def has(self, report: Report) -> bool:
        """Say whether a run is meant."""
        if self.run_id:
            return report.run_id == self.run_id
        return (self.after is None or report.started >= self.after) and (self.before is None or report.started < self.before)


@dataclass(frozen=True, slots=True)
class TagCount:
    """A tag, on how many of the period's images it is, and its share of them and of the images settled before, from 0 to 1."""

    tag: str
    images: int
    share: float
    share_before: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a period did. `runs` are newest first; `images` is how many the period's runs settled last and still show.

    `frequent` are the tags on most of these, `new` those that no image settled before has, `drift` those whose share moved most.
    `failures` are dead and deferred now, by class.
    """

    runs: Sequence[Report]
    images: int
    images_before: int
    frequent: Sequence[TagCount]
    new: Sequence[TagCount]
    drift: Sequence[TagCount]
    failures: Mapping[str, int]


async def summary(*, store: Books, areas: Sequence[tuple[str, str]], period: Period) -> Summary:
    """Return the summary of a period over the sources with these (key, prefix); reads each record once, and keeps only counts."""
    runs = await _runs(store, areas, period)
    ids = {run.run_id for run in runs}
    begin = min((run.started for run in runs), default=None)
    inside, before = _Tags(), _Tags()
    for key in dict.fromkeys(key for key, _ in areas):
        async for batch in store.scan(key):
            for record in batch:
                if record.run_id in ids:
                    inside.add(record)
                elif begin is not None and record.settled is not None and record.settled < begin:
                    before.add(record)
    failures: Counter[str] = Counter()
    for key in dict.fromkeys(key for key, _ in areas):
        failures.update({name: count for (_, name), count in (await store.tally(key)).items() if name})
    counts = [_count(tag, inside, before) for tag in inside.counts.keys() | before.counts.keys()]
    return Summary(
        runs=runs,
        images=inside.images,
        images_before=before.images,
        frequent=_first([one for one in counts if one.images], lambda one: one.images),
        new=_first([one for one in counts if one.images and not one.share_before], lambda one: one.images) if before.images else (),
        drift=_drift(counts) if before.images and inside.images else (),
        failures=dict(failures.most_common()),
    )


class _Tags:
    """How often each tag occurs."""

    def __init__(self) -> None:
        self.images = 0
        self.counts: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Count the tags of an image, if it has any answer."""
        found = seen(record)
        if found is not None:
            self.images += 1
            self.counts.update({tag.name for tag in found.tags})

    def share(self, tag: str) -> float:
        """Return the share of images that have a tag."""
        return self.counts[tag] / self.images if self.images else 0.0


async def _runs(store: State, areas: Sequence[tuple[str, str]], period: Period) -> Sequence[Report]:
    found: dict[str, Report] = {}
    for key, area in areas:
        for prefix in (f"{key}|{area}|", *(f"{job}|{key}|" for job in JOBS)):
            found |= {one.run_id: one for _, one, _ in await store.list(Report, prefix, last=RUNS) if period.has(one)}
    return sorted(found.values(), key=lambda run: run.started, reverse=True)


def _count(tag: str, inside: _Tags, before: _Tags) -> TagCount:
    return TagCount(tag, inside.counts[tag], inside.share(tag), before.share(tag))


def _drift(counts: Sequence[TagCount]) -> Sequence[TagCount]:
    """Return the tags whose share moved most, of those that are on enough images to say so."""
    moved = [one for one in counts if one.images >= _LEAST or one.share_before]
    return _first([one for one in moved if one.share != one.share_before], lambda one: abs(one.share - one.share_before))


def _first(counts: Sequence[TagCount], by: Callable[[TagCount], float]) -> Sequence[TagCount]:
    return sorted(counts, key=lambda one: (-by(one), one.tag))[:SHOWN]
