"""What the timers and the queue call: begin a round, carry one on, end one that cannot be, and audit."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, replace

from jobs import wiring
from jobs.app.desk import Desk
from jobs.app.rounds import ALL, ask, find, lifeless, save
from jobs.app.turns import RoundFailed, Turn, fail, read_turn, take_turn
from jobs.audit import Audit, audit
from jobs.erase import Shelf
from jobs.errors import Conflict, LeaseHeld, SweepError
from jobs.group import group
from jobs.model import Round
from jobs.retire import retire
from jobs.work import Control

log = logging.getLogger("imagesweep")

AGAIN = 60.0
"""Seconds until a slice is tried again that failed where no host would try it again."""
_SLACK = 300.0
"""Seconds that a host may take to deliver a message and start a call, on top of what a slice takes."""


def silence(desk: Desk) -> float:
    """Return for how many seconds a round may give no sign of life while its message is under way."""
    return desk.settings.slice_seconds + desk.settings.call_seconds + _SLACK


async def nightly(desk: Desk) -> str:
    """Begin a round over all sources and do its first slice; one that is unfinished is joined, and needs no help unless lifeless.

    Raises what went wrong; the slice is then tried again by a message.
    """
    store = await desk.store()
    one, fresh = await ask(store, track=ALL, sources=desk.sources, now=await store.now())
    if not fresh:
        await revive(desk, one)
        log.info("round.joined", extra={"key": one.id})
        return one.status
    turn = Turn(one.id, one.turn)
    try:
        return await take_turn(desk, turn)
    except RoundFailed:
        raise
    except Exception:
        await (await desk.queue()).put(turn.text(), delay=AGAIN)
        raise


async def begin(desk: Desk, one: Round) -> None:
    """Have the first slice of a new round done by a message."""
    await (await desk.queue()).put(Turn(one.id, one.turn).text())


async def revive(desk: Desk, one: Round) -> None:
    """Send an unfinished round's message again when it must have been lost; nothing else happens otherwise."""
    store = await desk.store()
    now = await store.now()
    if not lifeless(one, now=now, seconds=silence(desk)):
        return
    found = await find(store, one.id)
    if found is None or found[0] != one:
        return
    try:
        await save(store, replace(one, touched=now), found[1])
    except Conflict:
        return
    log.warning("round.revived", extra={"key": one.id, "turn": one.turn})
    await begin(desk, one)


async def carry_on(desk: Desk, message: str) -> str:
    """Do the slice that a message asks for. Raises ValueError for what is no message of ours."""
    return await take_turn(desk, read_turn(message))


async def give_up(desk: Desk, message: str) -> None:
    """End the round of a message that failed too often, where all can see it."""
    log.error("round.poisoned", extra={"reason": message[:500]})
    try:
        turn = read_turn(message)
    except ValueError:
        return
    await fail(
        desk, turn, f"slice {turn.turn} failed too often: the log of continue_sweep says why. The next sweep goes on from here."
    )


async def weekly(desk: Desk) -> list[Audit]:
    """Audit every source, mend what differs, retire what is too old, and group near-duplicates.

    Raises RoundFailed when an audit did not come to its end.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + desk.settings.slice_seconds
    audits, failures = [], []
    for named in desk.sources:
        try:
            audits.append(await _audit(desk, named, seconds=max(end - loop.time(), 1.0)))
        except LeaseHeld as error:
            log.info("audit.held", extra={"key": named, "reason": str(error)})
        except SweepError as error:
            failures.append(f"{named}: {error}")
    failures += [f"{one.report.source}: {_said(one)}" for one in audits if one.report.status not in ("complete", "partial")]
    if failures:
        raise RoundFailed("audit", "", "; ".join(failures))
    await _retire(desk)
    await _group(desk, end)
    return audits


async def _audit(desk: Desk, named: str, *, seconds: float) -> Audit:
    ports = await desk.ports(named)
    guarded = desk.settings.guard_calls if ports.classifier.price else None
    async with wiring.sole(desk.settings, f"audit|{ports.source.key}") as sole:
        control = Control(seconds=seconds, sole=sole, throttle=await desk.throttle())
        one = await audit(ports=ports, terms=desk.terms(max_calls=guarded), repair=True, control=control)
    found = {name: value for name, value in asdict(one).items() if isinstance(value, int)}
    log.info("audit.end", extra={"key": one.report.source, "status": one.report.status, **found})
    return one


def _said(one: Audit) -> str:
    """Say why an audit did not come to its end, and what to do where it is the time of a call that is too short."""
    if one.report.status == "stopped":
        return f"{one.message or 'stopped early'} An archive this large needs `imagesweep audit --repair`, which has no time limit."
    return one.message


async def _group(desk: Desk, end: float) -> None:
    """Bring the groups of near-duplicates up to date; what is left at the end of the time waits for the next one."""
    loop = asyncio.get_running_loop()
    store, index = await desk.store(), await desk.index()
    shelf = Shelf(store, store, store, index)
    found = await group(sources=await wiring.keys(desk.settings), shelf=shelf, stopped=lambda: loop.time() >= end)
    log.info("group.end", extra=asdict(found))


async def _retire(desk: Desk) -> None:
    settings = desk.settings
    if settings.retention is not None:
        store, index = await desk.store(), await desk.index()
        await retire(areas=await wiring.areas(settings), older_than=settings.retention, shelf=Shelf(store, store, store, index))
