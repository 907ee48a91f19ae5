"""Turns: one slice of a round, then the message that asks for the next one, then the round's new place.

In this order: a crash after the message leaves two deliveries, of which the second finds its turn over; a crash before it has this
call's own message delivered again. So a round is never left without a message, and never has two that both count.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobs import wiring
from jobs.app.desk import Desk
from jobs.app.rounds import ACTIVE, added, find, save, worst
from jobs.errors import Conflict, LeaseHeld, Misconfigured, SweepError, Transient
from jobs.event import finish_events
from jobs.model import Leg, Report, Round
from jobs.sweep import sweep
from jobs.work import Control

log = logging.getLogger("imagesweep")

HELD = 120.0
"""Seconds until a source that another process sweeps is asked for again."""
AHEAD = 15.0
"""Seconds until a message that came before its round was moved on is delivered again."""
MOST_IDLE = 24
"""Slices in a row that may get nowhere; with the waits between them, about six hours of a service that is away."""
MOST_WAIT = 900.0
_SAVES = 20


class RoundFailed(SweepError):
    """A round ended as `failed` or `misconfigured`: the call that found out is to be seen as failed. Nothing is tried again."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a message asks for: the slice `turn` of a round."""

    round_id: str
    turn: int

    def text(self) -> str:
        """Return the message."""
        return json.dumps({"round": self.round_id, "turn": self.turn})


def read_turn(text: str) -> Turn:
    """Return what a message asks for. Raises ValueError when it is none of ours."""
    try:
        found = json.loads(text)
        turn = Turn(found["round"], found["turn"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"no message of a round: {text[:200]!r}") from error
    if not isinstance(turn.round_id, str) or type(turn.turn) is not int or turn.turn < 0:
        raise ValueError(f"no message of a round: {text[:200]!r}")
    return turn


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice came to: the legs as they are now, and whether its time was used up.

    `held` says that another process sweeps one of the sources, `reason` why one could not be swept at all.
    """

    legs: tuple[Leg, ...]
    full: bool
    held: bool = False
    reason: str = ""


async def take_turn(desk: Desk, turn: Turn) -> str:
    """Do one slice of a round and see to it that the next one is asked for; return the round's status, or why nothing was done.

    Raises RoundFailed once when a round ends badly; what else is raised is to be delivered again.
    """
    store, queue = await desk.store(), await desk.queue()
    found = await find(store, turn.round_id)
    if found is None:
        log.error("round.unknown", extra={"key": turn.round_id})
        return "unknown"
    one, _ = found
    if one.status not in ACTIVE or turn.turn < one.turn:
        return "over"
    if turn.turn > one.turn:
        await queue.put(turn.text(), delay=AHEAD)
        return "ahead"
    done = await _slice(desk, one)
    now = await store.now()
    after, wait = follow(one, done, now=now, budget=desk.settings.sweep_calls)
    return await _move_on(desk, one, replace(after, touched=now + timedelta(seconds=wait or 0)), wait)


async def _move_on(desk: Desk, before: Round, after: Round, wait: float | None) -> str:
    """Ask for the next slice, then save the round; what was joined to it meanwhile is kept."""
    store, queue = await desk.store(), await desk.queue()
    asked = False
    for _ in range(_SAVES):
        found = await find(store, before.id)
        if found is None or found[0].turn != before.turn or found[0].status not in ACTIVE:
            return "over"
        current, version = found
        merged, pause = _merged(after, wait, current, before)
        if pause is not None and not asked:
            await queue.put(Turn(merged.id, merged.turn).text(), delay=pause)
            asked = True
        try:
            await save(store, merged, version)
        except Conflict:
            continue
        return _ended(merged)
    raise Conflict("save", before.id, "it keeps changing")


def _merged(after: Round, wait: float | None, current: Round, before: Round) -> tuple[Round, float | None]:
    """Return the round with the wish that somebody added while the slice ran; a round that would be over goes on for it."""
    if current.until is None or current.until == before.until or current.until <= after.begun:
        return after, wait
    if after.status in ("complete", "partial"):
        return _another(replace(after, turn=before.turn + 1), now=after.touched), 0.0
    return replace(after, until=current.until), wait


def _ended(one: Round) -> str:
    if one.status in ACTIVE:
        log.info("round.slice", extra={"key": one.id, "turn": one.turn, "idle": one.idle})
        return one.status
    extra = {"key": one.id, "status": one.status, "reason": one.message, "turn": one.turn}
    log.log(logging.ERROR if one.status in ("failed", "misconfigured") else logging.INFO, "round.end", extra=extra)
    if one.status in ("failed", "misconfigured"):
        raise RoundFailed("sweep", one.id, one.message)
    return one.status


async def fail(desk: Desk, turn: Turn, reason: str) -> None:
    """End a round whose slices cannot be done."""
    store = await desk.store()
    for _ in range(_SAVES):
        found = await find(store, turn.round_id)
        if found is None or found[0].status not in ACTIVE:
            return
        try:
            await save(store, replace(found[0], status="failed", message=reason, touched=await store.now()), found[1])
        except Conflict:
            continue
        return


async def _slice(desk: Desk, one: Round) -> Slice:
    """Sweep the sources that are left, one after the other, within the time of a slice."""
    loop = asyncio.get_running_loop()
    end = loop.time() + desk.settings.slice_seconds
    legs = list(one.legs)
    held, reason = False, ""
    for number, leg in enumerate(legs):
        left = end - loop.time()
        budget = _left(desk.settings.sweep_calls, legs)
        if leg.done or left <= 0 or budget == 0:
            continue
        try:
            legs[number] = await _sweep(desk, leg, seconds=left, max_calls=budget)
        except LeaseHeld as error:
            log.info("round.held", extra={"key": leg.source, "reason": str(error)})
            held = True
        except Transient as error:
            log.warning("round.away", extra={"key": leg.source, "reason": str(error)})
            reason = str(error)
    return Slice(tuple(legs), loop.time() >= end, held, reason)


async def _sweep(desk: Desk, leg: Leg, *, seconds: float, max_calls: int | None) -> Leg:
    """Sweep one source for so long; return the leg with what was done."""
    now = (await (await desk.store()).now()) if leg.since is None else leg.since
    if leg.source not in desk.sources:
        return _closed(leg, Misconfigured("sweep", leg.source, "it is not in IMAGESWEEP_SOURCE any more"), now=now)
    try:
        ports = await desk.ports(leg.source)
        since = leg.since or await ports.source.now()
        terms = desk.terms(max_calls=max_calls)
        async with wiring.sole(desk.settings, ports.source.key) as sole:
            await finish_events(ports=ports, terms=terms)
            report = await sweep(ports=ports, terms=terms, control=Control(seconds=seconds, sole=sole))
    except (LeaseHeld, Transient):
        raise
    except SweepError as error:
        return _closed(leg, error, now=now)
    return Leg(leg.source, since, _done(report, since), added(leg.report, report))


def _done(report: Report, since: datetime) -> bool:
    """Say whether a leg is over: its source was listed to the end by a scan that began when the round was here, or cannot be."""
    match report.status:
        case "complete":
            return report.watermark is None or report.watermark >= since
        case "stopped":
            return False
        case _:
            return True


def _closed(leg: Leg, error: SweepError, *, now: datetime) -> Leg:
    status = "misconfigured" if isinstance(error, Misconfigured) else "failed"
    failed = Report("", "sweep", leg.source, status, now, message=str(error))
    return replace(leg, done=True, report=added(leg.report, failed))


def _left(budget: int | None, legs: Sequence[Leg]) -> int | None:
    return None if budget is None else max(0, budget - sum(leg.report.calls for leg in legs if leg.report))


def follow(one: Round, done: Slice, *, now: datetime, budget: int | None) -> tuple[Round, float | None]:
    """Return the round after a slice, and the seconds until the next one; None when it is over. Pure."""
    moved = replace(one, legs=done.legs, turn=one.turn + 1, touched=now, status="running")
    if all(leg.done for leg in done.legs):
        ended = worst(leg.report.status for leg in done.legs if leg.report)
        if one.until is not None and ended in ("complete", "partial"):
            return _another(moved, now=now), 0.0
        return replace(moved, status=ended, idle=0, message=_why(done.legs, ended)), None
    if _left(budget, done.legs) == 0:
        reason = f"The budget of {budget:,} calls is spent. The next sweep goes on from here."
        return replace(moved, status="stopped", idle=0, message=reason), None
    if done.held and not _progress(one.legs, done.legs):
        return replace(one, legs=done.legs, touched=now, status="running"), HELD
    idle = 0 if _progress(one.legs, done.legs) else one.idle + 1
    if idle > MOST_IDLE:
        reason = f"{idle} slices in a row got nowhere: {done.reason or _why(done.legs, 'stopped')}"
        return replace(moved, status="failed", idle=idle, message=reason), None
    return replace(moved, idle=idle), _pause(done, idle)


def _pause(done: Slice, idle: int) -> float:
    """Return the seconds to wait before the next slice: none where the last one ended because its time was up."""
    stalled = done.held or done.reason or any(leg.report and leg.report.status == "stopped" for leg in done.legs if not leg.done)
    return min(60.0 * 2 ** min(idle, 10), MOST_WAIT) if stalled and not done.full else 0.0


def _another(one: Round, *, now: datetime) -> Round:
    """Return a round that has passed over its sources and is to do so once more, for what was written meanwhile."""
    legs = tuple(replace(leg, since=None, done=False) for leg in one.legs)
    return replace(one, legs=legs, begun=now, until=None, idle=0, status="running", message="", touched=now)


def _progress(before: Sequence[Leg], after: Sequence[Leg]) -> bool:
    """Say whether a slice brought any leg on: to its end, to another checkpoint, or to outcomes that are not deferrals."""
    return any(_place(old) != _place(new) for old, new in zip(before, after, strict=True))


def _place(leg: Leg) -> tuple[object, ...]:
    report = leg.report
    if report is None:
        return (leg.done,)
    settled = report.classified + report.reused + report.dead + report.gone
    return (leg.done, report.watermark, report.checkpoint, settled)


def _why(legs: Sequence[Leg], status: str) -> str:
    said = [leg.report.message for leg in legs if leg.report and leg.report.status == status and leg.report.message]
    return " ".join(dict.fromkeys(said))
