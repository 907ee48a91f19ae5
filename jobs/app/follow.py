"""Follow: what a round becomes after a slice, and when the next one is due. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobs.app.rounds import worst
from jobs.model import Leg, Round

HELD = 120.0
"""Seconds until a source that another process sweeps is asked for again."""
MOST_IDLE = 24
"""Slices in a row that may get nowhere; with the waits between them, about six hours of a service that is away."""
MOST_WAIT = 900.0
MOST_REST = 12 * 3600.0
"""Seconds that a round rests until a budget begins again or the hours of work come; for longer it ends."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice came to: the legs as they are now, and whether its time was used up.

    `held` says that another process sweeps one of the sources, `reason` why one could not be swept at all.
    """

    legs: tuple[Leg, ...]
    full: bool
    held: bool = False
    reason: str = ""


def follow(one: Round, done: Slice, *, now: datetime, budget: int | None) -> tuple[Round, float | None]:
    """Return the round after a slice, and the seconds until the next one; None when it is over."""
    moved = replace(one, legs=done.legs, turn=one.turn + 1, touched=now, status="running")
    if all(leg.done for leg in done.legs):
        return _all_done(moved, now=now)
    rest = _rest(done.legs, now)
    if left_of(budget, done.legs) == 0:
        return _ended(moved, "stopped", f"The budget of {budget:,} calls is spent. The next sweep goes on from here.")
    if rest is not None:
        moved = replace(moved, idle=0)
        return (moved, rest) if rest <= MOST_REST else _ended(moved, "stopped", _why(done.legs, "stopped"))
    return _going_on(one, moved, done, now=now)


def _all_done(moved: Round, *, now: datetime) -> tuple[Round, float | None]:
    status = worst(leg.report.status for leg in moved.legs if leg.report)
    if moved.until is not None and status in ("complete", "partial"):
        return another(moved, now=now), 0.0
    return _ended(moved, status, _why(moved.legs, status))


def _going_on(one: Round, moved: Round, done: Slice, *, now: datetime) -> tuple[Round, float | None]:
    progress = _progress(one.legs, done.legs)
    if done.held and not progress:
        return replace(one, legs=done.legs, touched=now, status="running"), HELD
    idle = 0 if progress else one.idle + 1
    if idle > MOST_IDLE:
        reason = f"{idle} slices in a row got nowhere: {done.reason or _why(done.legs, 'stopped')}"
        return _ended(replace(moved, idle=idle), "failed", reason)
    return replace(moved, idle=idle), _pause(done, idle)


def _ended(one: Round, status: str, message: str) -> tuple[Round, None]:
    return replace(one, status=status, message=message), None


def _rest(legs: Sequence[Leg], now: datetime) -> float | None:
    """Return the seconds until the first source may go on, where each that is left has spent a budget or left its hours."""
    again = [leg.report.goes_on if leg.report is not None else None for leg in legs if not leg.done]
    known = [when for when in again if when is not None]
    return max(0.0, (min(known) - now).total_seconds()) if len(known) == len(again) else None


def _pause(done: Slice, idle: int) -> float:
    """Return the seconds to wait before the next slice: none where the last one ended because its time was up."""
    stalled = done.held or done.reason or any(leg.report and leg.report.status == "stopped" for leg in done.legs if not leg.done)
    return min(60.0 * 2 ** min(idle, 10), MOST_WAIT) if stalled and not done.full else 0.0


def another(one: Round, *, now: datetime) -> Round:
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


def left_of(budget: int | None, legs: Sequence[Leg]) -> int | None:
    """Return the calls that are left of a budget; None where there is none."""
    return None if budget is None else max(0, budget - sum(leg.report.calls for leg in legs if leg.report))
