"""Deadline: calls spread so that the work ahead is done in time, and no faster than that needs."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

log = logging.getLogger("imagesweep")

MARGIN: Final = 0.01
"""Share of the time that is left over at the end: for the last answers to be stored and published."""
PRIOR: Final = 20
"""Images that are taken for calls before anything is known of how many need none."""
PATIENCE: Final = 0.05
"""Share of the time after which the pace so far tells something."""
BEHIND: Final = 0.1
"""Share of the time that is left by which a run may be behind before it says so."""
GLANCE: Final = 1.0
"""Seconds between two looks whether the run goes on, while a call waits for its turn."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: images `settled` for good, those of them that needed a call, and calls `begun`."""

    settled: int
    called: int
    begun: int


@dataclass(slots=True)
class Deadline:
    """The pace of one run that is to be done by `at`, with at most `ahead` images to settle when it began, `each` calls for one.

    `begun` and what `clock` tells are seconds of one clock, `seconds` is the time from then to `at`; `most` is the ceiling of calls
    a second, where one is set. How many of the images ahead need no call shows as the run goes, and the pace is taken back
    accordingly. `late` is when it will be done, once it is known that this is after `at`.
    """

    at: datetime
    ahead: int
    seconds: float
    begun: float
    clock: Callable[[], float]
    most: float | None = None
    each: float = 1.0
    late: datetime | None = None
    last: float = -math.inf
    line: asyncio.Lock = field(default_factory=asyncio.Lock)

    def calls_left(self, done: Progress) -> float:
        """Return how many calls are ahead, as far as can be told by now; those under way count as ahead."""
        share = (done.called + PRIOR) / (done.settled + PRIOR)
        return max((self.ahead * share - done.called) * self.each, 1.0)

    def rate(self, done: Progress) -> float | None:
        """Return the calls a second that are needed from now on; None when the time is over, and only speed helps."""
        left = self.seconds * (1 - MARGIN) - (self.clock() - self.begun)
        return self.calls_left(done) / left if left > 0 else None

    def expected(self, done: Progress) -> datetime | None:
        """Return when a run that is behind will be done; None while it is in time, or not to be told yet.

        It is behind when calls go out slower than is needed now, whatever holds them up, or when the ceiling is too low.
        """
        took = self.clock() - self.begun
        more = max(self.calls_left(done) - (done.begun - done.called * self.each), 0.0)
        paces = [self.most] if self.most else []
        if took > PATIENCE * self.seconds and done.begun > PRIOR:
            paces.append(done.begun / took)
        needed = max((more / pace for pace in paces), default=0.0)
        left = self.seconds - took
        return self.at + timedelta(seconds=needed - left) if needed > max(left, 0.0) * (1 + BEHIND) else None

    async def turn(self, progress: Callable[[], Progress], goes_on: Callable[[], bool]) -> None:
        """Wait for the next call's turn, in even steps; at once when the time is over, or when the run does not go on."""
        async with self.line:
            self._tell(progress())
            while goes_on() and (rate := self.rate(progress())) is not None:
                left = self.last + 1 / rate - self.clock()
                if left <= 0:
                    break
                await asyncio.sleep(min(left, GLANCE))
            self.last = self.clock()

    def _tell(self, done: Progress) -> None:
        """Say once, and early, that it cannot be done."""
        if self.late is None and (end := self.expected(done)) is not None:
            self.late = end
            reason = f"it cannot be done by {self.at:%Y-%m-%d %H:%M} UTC at this pace: expected end {end:%Y-%m-%d %H:%M} UTC"
            log.warning("late:", extra={"key": "deadline", "reason": reason})
