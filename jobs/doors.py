"""Doors: which endpoint the next call goes to, by the pace of each and by how it fared. Pure: time comes in as seconds.

A call goes where it may start now, to the one that had the fewest. Who fails several times in a row, while there are others, is
rested, and then tried again by single calls; each rest is twice as long as the one before, until a call is served.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from jobs.pace import Pace
from jobs.steps import Door

FAULTS: Final = 3
"""Faults in a row after which a door is rested."""
REST: Final = 5.0
LONGEST_REST: Final = 300.0
"""Seconds that a door is rested, from and to."""


@dataclass(slots=True)
class Way:
    """What is known of one door."""

    pace: Pace
    faults: int = 0
    rest: float = REST
    until: float = -math.inf
    trying: bool = False

    def admit(self, now: float) -> float:
        """Start a call as `Pace.admit` does; only one after a rest, until that has ended."""
        if now < self.until:
            return self.until
        if self.trying:
            return math.inf
        at = self.pace.admit(now)
        self.trying = at <= now and self.until > -math.inf
        return at

    def fault(self, now: float, faults: int) -> None:
        """Count faults; rest when there are enough of them, and again when the trial fails."""
        self.faults += faults
        if self.trying or (self.faults >= FAULTS and now >= self.until):
            self.until, self.rest, self.trying = now + self.rest, min(2 * self.rest, LONGEST_REST), False

    def well(self) -> None:
        """Forget all faults: a call was served."""
        self.faults, self.rest, self.until, self.trying = 0, REST, -math.inf, False


class Doors:
    """The paces of all doors, each made when its door is first asked for.

    `per_second` is the quota of the doors that name none of their own.
    """

    def __init__(self, paced: Callable[[float | None], Pace], per_second: float | None = None) -> None:
        self._paced = paced
        self._per_second = per_second
        self._ways: dict[Door, Way] = {}
        self._shared: tuple[float, float] | None = None

    @property
    def started(self) -> int:
        """How many calls were started."""
        return sum(way.pace.started for way in self._ways.values())

    def share(self, part: float, until: float) -> None:
        """Bound the pace of every door that has a quota to this part of it, as `Pace.bound` does."""
        self._shared = part, until
        for door in self._ways:
            self._limit(door)

    def pace(self, door: Door) -> Pace:
        """Return the pace of a door."""
        return self._way(door).pace

    def admit(self, among: Sequence[Door], now: float) -> tuple[float, Door]:
        """Start a call at one of these doors if the time that is returned is not after `now`; else say when to ask again."""
        soonest, nearest = math.inf, among[0]
        for door in sorted(among, key=lambda door: self._way(door).pace.started) if len(among) > 1 else among:
            at = self._way(door).admit(now)
            if at <= now:
                return at, door
            if at < soonest:
                soonest, nearest = at, door
        return soonest, nearest

    def answered(self, door: Door, now: float, started: float) -> None:
        """Learn that a call was served."""
        way = self._way(door)
        way.pace.answered(now, started)
        way.well()

    def throttled(self, door: Door, now: float, started: float, retry_after: float | None) -> None:
        """Learn that a call was refused for the quota: whoever says so is well."""
        way = self._way(door)
        way.pace.throttled(now, started, retry_after)
        way.well()

    def failed(self, door: Door, among: Sequence[Door], now: float, *, faults: int) -> bool:
        """Learn that a call failed, none of `faults` when that says nothing of the door; say whether another door is open now."""
        way = self._way(door)
        way.pace.dropped()
        if len(among) > 1 and faults:
            way.fault(now, faults)
        else:
            way.trying = False
        return any(self._way(other).until <= now for other in among if other != door)

    def _way(self, door: Door) -> Way:
        if door not in self._ways:
            self._ways[door] = Way(self._paced(self._quota(door)))
            self._limit(door)
        return self._ways[door]

    def _quota(self, door: Door) -> float | None:
        return door.per_second or self._per_second

    def _limit(self, door: Door) -> None:
        quota = self._quota(door)
        if self._shared is not None and quota is not None:
            part, until = self._shared
            self._ways[door].pace.bound(quota * part, until)
