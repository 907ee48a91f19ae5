"""Rounds: sweeps that are asked for by time or by HTTP, done by many calls, and joined by whoever asks meanwhile.

A round belongs to a track: all sources of the deployment, or one of them. There is one unfinished round to a track at most, since
its number is taken by a conditional write; it is carried on by one message at a time (`jobs.app.turns`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta

from jobs.errors import Conflict, Transient
from jobs.model import Leg, Report, Round
from jobs.ports import State

ALL = "all"
"""The track of rounds over all sources."""
ACTIVE = frozenset({"queued", "running"})
SEVERITY = ("complete", "partial", "stopped", "misconfigured", "failed")
_ID = re.compile(r"(all|[0-9a-f]{8})-([1-9][0-9]{0,8})", re.ASCII)
_TRIES = 20


def track_of(source: str | None) -> str:
    """Return the track of the rounds over one source, as the settings name it, or over all."""
    return ALL if source is None else hashlib.sha256(source.encode()).hexdigest()[:8]


async def find(state: State, round_id: str) -> tuple[Round, str] | None:
    """Return a round and the version of its document, None when there is none of that id."""
    matched = _ID.fullmatch(round_id)
    return await state.get(Round, _key(matched[1], int(matched[2]))) if matched else None


async def save(state: State, one: Round, version: str) -> str:
    """Write a round if it is still at `version`; return the new version. Raises Conflict otherwise."""
    track, _, number = one.id.partition("-")
    return await state.put(_key(track, int(number)), one, version)


async def ask(
    state: State, *, track: str, sources: Sequence[str], now: datetime, until: datetime | None = None
) -> tuple[Round, bool]:
    """Join the unfinished round of a track, or begin one; return it, and whether it is new.

    `until` is a time up to which everything is to be settled: where the round's pass began before it, there is another after it.
    """
    for _ in range(_TRIES):
        newest = await state.list(Round, f"{track}|", last=1)
        try:
            if newest and newest[0][1].status in ACTIVE:
                _, one, version = newest[0]
                joined = _joined(one, until)
                if joined != one:
                    await save(state, joined, version)
                return joined, False
            number = int(newest[0][1].id.partition("-")[2]) + 1 if newest else 1
            fresh = Round(f"{track}-{number}", "queued", now, now, now, tuple(Leg(source) for source in sources))
            await state.put(_key(track, number), fresh, None)
        except Conflict:
            continue
        return fresh, True
    raise Transient("begin", track, "its rounds keep changing", hint="Ask again.")


def _joined(one: Round, until: datetime | None) -> Round:
    if until is None or until <= one.begun:
        return one
    return replace(one, until=until if one.until is None else max(one.until, until))


def lifeless(one: Round, *, now: datetime, seconds: float) -> bool:
    """Say whether an unfinished round gave no sign of life for so long that its message must have been lost."""
    return one.status in ACTIVE and one.touched + timedelta(seconds=seconds) < now


def added(sofar: Report | None, slice_: Report) -> Report:
    """Return the report of a leg with one more slice: counts are summed, the rest is as of the last."""
    if sofar is None:
        return slice_
    sums = {
        one.name: round(getattr(sofar, one.name) + getattr(slice_, one.name), 6)
        for one in fields(Report)
        if isinstance(getattr(slice_, one.name), (int, float))
    }
    sums["images_per_second"] = round((sums["classified"] + sums["reused"]) / sums["seconds"], 1) if sums["seconds"] else 0.0
    sums["unread"] = slice_.unread  # each slice tells it for the whole scan
    return replace(slice_, **sums, started=sofar.started, run_id=sofar.run_id)


def worst(statuses: Iterable[str]) -> str:
    """Return the status of a round whose legs ended so."""
    return max(statuses, key=SEVERITY.index, default="complete")


def shown(one: Round) -> dict[str, object]:
    """Return what is told of a round: its counts over all sources, and each source's own report."""
    reports = [leg.report for leg in one.legs if leg.report is not None]
    summed = {
        field.name: round(sum(getattr(report, field.name) for report in reports), 6)
        for field in fields(Report)
        if field.type in ("int", "float") and field.name != "images_per_second"
    }
    seconds = summed["seconds"]
    rate = round((summed["classified"] + summed["reused"]) / seconds, 1) if seconds else 0.0
    return {
        "id": one.id,
        "status": one.status,
        "message": one.message,
        "asked": one.asked,
        "slices": one.turn,
        **summed,
        "images_per_second": rate,
        "sources": [
            {"source": leg.source, "done": leg.done, "report": asdict(leg.report) if leg.report else None} for leg in one.legs
        ],
    }


def _key(track: str, number: int) -> str:
    return f"{track}|{number:09}"
