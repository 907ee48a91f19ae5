"""Turns: one slice of a round, then the message that asks for the next one, then the round's new place.

In this order: a crash after the message leaves two deliveries, of which the second finds its turn over; a crash before it has this
call's own message delivered again. So a round is never left without a message, and never has two that both count.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobs import wiring
from jobs.app.desk import Desk
from jobs.app.follow import Slice, another, follow, left_of
from jobs.app.rounds import ACTIVE, added, find, save
from jobs.errors import Conflict, LeaseHeld, Misconfigured, SweepError, Transient
from jobs.event import finish_events
from jobs.model import Leg, Report, Round
from jobs.sweep import sweep
from jobs.work import Control

log = logging.getLogger("imagesweep")

AHEAD = 15.0
"""Seconds until a message that came before its round was moved on is delivered again."""
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
        return another(replace(after, turn=before.turn + 1), now=after.touched), 0.0
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
        budget = left_of(desk.settings.sweep_calls, legs)
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
            throttle = await desk.throttle()
            await finish_events(ports=ports, terms=terms)
            report = await sweep(ports=ports, terms=terms, control=Control(seconds=seconds, sole=sole, throttle=throttle))
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
