"""Pace: when the next call may start, learned from how the service answers. Pure: time comes in as seconds, decisions go out.

Calls start evenly, at the rate that `jobs.ceiling` finds. A refusal makes a pause, as long as the service asks or until a single
trial is served; the pause over, calls go on at a rate that refusal and average say. docs/adr/0007-throttle.md gives the reasons.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from jobs.allowance import Allowance
from jobs.ceiling import PROMPT, Ceiling

SLACK: Final = 0.03
"""Seconds by which a late start is made up for: what an event loop is late by, and less than a burst."""
GRAIN: Final = 1.0
"""Seconds of a pause that say nothing of the quota, at least: Retry-After is in whole seconds, and trials are seldom."""
LONG: Final = 2.5
"""Seconds of a pause from which the quota is taken for one of long windows."""
SPAN: Final = 60
"""Seconds over which the served rate is averaged: the longest window that is usual."""
PAUSE: Final = 0.2
"""Seconds without calls after a refusal that asks for none; doubled while trials are refused, up to LONGEST_PAUSE."""
LONGEST_PAUSE: Final = 4.0
HEADROOM: Final = 2.0
"""Calls in flight, as a multiple of rate times latency (Little's law)."""

Why = Literal["refused", "resumed", "rose"]


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a hook is told when the pace was changed: calls a second, and at once. `ceiling` is configured, or was refused last.

    `started` and `refused` count the calls since the beginning.
    """

    why: Why
    rate: float
    ceiling: float | None
    limit: int
    started: int
    refused: int

    @property
    def refused_share(self) -> float:
        """Calls refused as a share of those started."""
        return self.refused / self.started if self.started else 0.0


class Pace:
    """Says when calls may start. Each call begins by `admit`, and ends by `answered`, `throttled` or `dropped`.

    `first` is the rate to begin with, infinite where nothing is to be paced before the first refusal; `most` is the rate that is
    never passed, and begun with. At most `concurrency` calls are in flight, fewer where rate and latency ask for fewer.
    Raises ValueError for numbers that are not positive.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        first: float = math.inf,
        most: float | None = None,
        told: Callable[[Pacing], None] = lambda _: None,
    ) -> None:
        if not first > 0 or (most is not None and not 0 < most < math.inf) or concurrency < 1:
            raise ValueError(f"a pace needs positive numbers, not {first=}, {most=}, {concurrency=}")
        self.flying = 0
        self.started = 0
        self.refused = 0
        self._ceiling = Ceiling(first, most)
        self._allowance = Allowance()
        self._concurrency = concurrency
        self._told = told
        self._next = self._hold = self._cut_at = self._resumed = -math.inf
        self._waited = False
        self._latency = 0.0
        self._echo = PAUSE / 2
        self._blocked: float | None = None
        self._tried: float | None = None
        self._pause = PAUSE
        self._grain = GRAIN
        self._cost = 0
        self._past: deque[tuple[float, int]] = deque(maxlen=SPAN)
        self._left: tuple[int, float] | None = None
        self._until = math.inf

    @property
    def rate(self) -> float:
        """Calls a second, infinite while nothing is paced."""
        return self._ceiling.rate

    @property
    def limit(self) -> int:
        """How many calls may be in flight: rate times latency with headroom, never more than `concurrency`."""
        if self.rate == math.inf or not self._latency:
            return self._concurrency
        return min(self._concurrency, math.ceil(self.rate * self._latency * HEADROOM) + 4)

    def bound(self, most: float, until: float) -> None:
        """Take another `most` for a while: calls start until then, or not at all where it is not positive.

        A rate that went up to the one before goes up to this one.
        """
        if most > 0:
            self._ceiling.bound(most)
            self._until = until
        else:
            self._until = -math.inf

    def admit(self, now: float) -> float:
        """Start a call if one may start, which is so when the answer is not after `now`; else say when to ask again.

        Infinity means: when a call has ended, or another bound is given.
        """
        if self.flying >= self.limit or now >= self._until:
            return math.inf
        if now < self._hold:
            return self._hold
        self._go_on(now)
        if now < self._next:
            self._waited = True
            return self._next
        self._start(now)
        return now

    def answered(self, now: float, started: float) -> None:
        """Learn that a call which started then was served."""
        self.flying -= 1
        latency = max(now - started, 1e-3)
        self._latency += (latency - self._latency) * (0.1 if self._latency else 1.0)

    def dropped(self) -> None:
        """Learn that a call ended without telling anything of the quota: a fault, or a caller that went away."""
        self.flying -= 1

    def throttled(self, now: float, started: float, retry_after: float | None = None) -> None:
        """Learn that a call was refused for the quota, and for how many seconds no call is wanted, if the service said so.

        Calls that were in flight when the pace was cut are no news of the rate: one round trip of feedback makes one cut. No or
        less than no seconds are as if the service had said nothing.
        """
        self.flying -= 1
        self.refused += 1
        self._echo = max(now - started, 0.9 * self._echo)
        asked = retry_after if retry_after is not None and retry_after > 0 else None
        if asked is not None:
            self._hold = max(self._hold, now + asked)
            self._grain = GRAIN
        if self._blocked is None:
            if started <= self._cut_at:
                return
            self._cut(now)
        elif self._tried is not None and started >= self._tried:
            self._tried = None
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._cost += 1
        if asked is None and self._tried is None:
            self._hold = max(self._hold, now + self._pause)
            self._grain = max(GRAIN, self._pause / 2)

    def told(self, now: float, remaining: int, reset: float) -> None:
        """Take what the headers of an answer say: so many calls remain of a window that ends in `reset` seconds."""
        end = now + max(reset, 0.0)
        left = max(remaining - self.flying, 0)
        self._left = (left, end)
        if not left:
            self._hold = max(self._hold, end)

    def _start(self, now: float) -> None:
        self.flying += 1
        self.started += 1
        if self._blocked is not None and self._tried is None:
            self._tried = now
            self._next = now + max(1 / self.rate, 2 * self._echo)
            return
        if not self._past or now - self._past[-1][0] >= 1:
            self._past.append((now, self.started - self.refused - 1))
        self._next = max(self._next, now - SLACK * self._waited) + self._gap(now)
        self._waited = False

    def _gap(self, now: float) -> float:
        """Return the seconds to the next start: by the rate, and by what is left of a window that the service told of."""
        gap = 1 / self.rate
        if self._left is None or now >= self._left[1]:
            return gap
        left, end = self._left
        self._left = (left - 1, end)
        return max(gap, (end - now) / max(left, 1))

    def _go_on(self, now: float) -> None:
        """Leave a pause behind, or raise the rate, when it is time to."""
        if self.rate == math.inf:
            return
        if self._blocked is not None:
            if self._tried is not None and now >= self._next:
                self._resume(now, self._blocked)
        elif self._ceiling.rise(now, self.started, self._latency):
            if self._ceiling.looking:
                self._past.clear()
            self._tell("rose")

    def _cut(self, now: float) -> None:
        since, count = self._past[0] if self._past else (now, 0)
        served = self.started - self.refused - self.flying - count
        self._ceiling.refuse(now, self._resumed, served / max(now - since, 1.0))
        self._blocked, self._tried, self._cut_at = now, None, now
        self._pause = max(PAUSE, 2 * self._echo)
        self._cost = 0
        self._tell("refused")

    def _resume(self, now: float, begun: float) -> None:
        """Go on after a pause: the trial was not refused in the time that a refusal takes."""
        length = now - begun
        average = None
        if self._past and (begun - self._past[0][0] >= PROMPT or length > 2 * PROMPT):
            since, count = self._past[0]
            average = (self.started - self.refused - count) / (begun - since + max(length - self._grain, 0.0))
        self._ceiling.resume(average, long=length > LONG)
        passed = now - self._resumed
        self._ceiling.period = self._allowance.spend(refused=self._cost, paused=length, rate=self.rate, passed=passed)
        if not self._ceiling.in_aftermath(now):
            self._past.clear()
        self._blocked, self._resumed = None, now
        self._tell("resumed")

    def _tell(self, why: Why) -> None:
        self._told(Pacing(why, self.rate, self._ceiling.known, self.limit, self.started, self.refused))
