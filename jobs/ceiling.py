"""Ceiling: the search for the rate that a service still serves. Pure: time comes in as seconds.

Between a rate that held and one that was refused it goes by halves, the last twentieth by a creep. Once the creep has reached the
place of the refusal it looks past it, and climbs ever faster as long as nothing is refused.
docs/adr/0007-throttle.md says why each number is what it is.
"""

from __future__ import annotations

import math
from typing import Final

CUT: Final = 0.01
"""Share that the first refusal takes off; it doubles while refusals follow each other, up to half."""
NEAR: Final = 0.95
"""From this share of the rate that was refused on, steps end and the creep begins."""
GROWTH: Final = 1.05
"""First factor of a climb; it is squared at each step."""
STEEP: Final = 1.5
"""Largest factor of a climb, and the one by which an unknown quota is approached."""
HOLD: Final = 2.0
"""Seconds that a step must hold, at least: long enough for a whole window of a second."""
LONGEST_HOLD: Final = 16.0
USED: Final = 0.8
"""Share of the rate that must have been used for a step to count as held."""
PROMPT: Final = 5.0
"""Seconds after a pause within which another refusal says that the cut was too small."""
GRACE: Final = 10.0
"""Seconds after a refused step in which further refusals are its aftermath: they punish what was sent, not what is sent now."""


class Ceiling:
    """The rate to send at, in calls a second, never above `most`. `first` is tried first; infinite: all there is, until a refusal.

    `period` is how many seconds the creep takes back to the place of a refusal.
    """

    def __init__(self, first: float, most: float | None) -> None:
        self.rate = most or first
        self.period = 0.0
        self.most = most or math.inf
        self._held = most or first / 2
        self._refused = math.inf
        self._growth = STEEP
        self._hold = HOLD
        self._step: tuple[float, int] | None = None
        self._looked: float | None = None
        self._base = 0.0
        self._streak = 0
        self._grace = -math.inf
        self._doubted = False

    @property
    def known(self) -> float | None:
        """The rate that was refused last, or `most`; None while there is neither."""
        known = min(self._refused, self.most)
        return known if known < math.inf else None

    @property
    def looking(self) -> bool:
        """Whether the rate has just gone past the place of the last refusal."""
        return self._looked is not None

    def bound(self, most: float) -> None:
        """Take another `most`; a rate that went up to the one before goes up to this one."""
        if self.rate >= self.most or self.rate > most:
            self.rate = self._held = most
        self.most = most

    def in_aftermath(self, now: float) -> bool:
        """Say whether refusals are the aftermath of a step."""
        return now <= self._grace

    def rise(self, now: float, started: int, latency: float) -> bool:
        """Raise the rate if it was used and held; `started` counts calls. Say whether that was a step."""
        if self._step is None:
            self._step = (now, started)
        since, count = self._step
        if self.rate >= NEAR * self._refused:
            self._step = (now, started)
            return self._creep(now - since)
        hold = HOLD if self._refused == math.inf else self._hold
        if now - since < max(hold, min(1.5 * latency, 10.0), 4 / self.rate):
            return False
        self._step = (now, started)
        if started - count < USED * self.rate * (now - since) or self.rate >= self.most:
            return False
        self._held, self._looked, self._streak = self.rate, None, 0
        if self._refused < math.inf:
            self._set(min((self.rate + self._refused) / 2, self.rate * STEEP))
        else:
            self._set(self.rate * self._growth)
            self._growth = min(self._growth**2, STEEP)
        return True

    def _creep(self, seconds: float) -> bool:
        """Rise towards the place of the refusal; an idle time counts as no more than two calls' worth."""
        slope = (self._refused - self._held) / self.period
        self._set(self.rate + slope * min(seconds, 2 / self.rate))
        if self.rate < min(self._refused, self.most):
            return False
        if self.rate >= self.most:
            return False
        self._looked, self._refused = self._refused, math.inf
        self._held = self._base = self.rate * (1 - CUT)
        self._growth, self._doubted = GROWTH**2, False
        self._set(self.rate * GROWTH)
        return True

    def refuse(self, now: float, resumed: float, measured: float) -> None:
        """Go back to the rate that held; if this is it, below it, the further the sooner after `resumed` it was refused.

        `measured` is the rate that was served, for a search that has not begun.
        """
        if self.rate == math.inf:
            self.rate = self._held = min(max(measured, 0.1), self.most)
            self._growth = GROWTH
        elif self._looked is not None:
            self._refused, self._looked = self._looked * (1 + CUT / 4), None
            self._set(self._held)
        elif self.rate >= NEAR * self._refused or (self.rate <= self._held and not self.in_aftermath(now)):
            self._lower(soon=now - resumed < max(PROMPT, PROMPT / self.rate))
        elif self.rate > self._held:
            self._refused, self._grace, self._doubted = self.rate, now + GRACE, False
            self._set(self._held)
        elif not self._doubted:
            self._doubted = True
            self._hold = min(2 * self._hold, LONGEST_HOLD)

    def _lower(self, *, soon: bool) -> None:
        self._streak = self._streak + 1 if soon else 0
        self._base, self._doubted = 0.0, False
        self._refused = self.rate
        self._set(self.rate * (1 - min(CUT * 2.0**self._streak, 0.5)))
        self._held = self.rate

    def resume(self, average: float | None, *, long: bool) -> None:
        """Go on after a pause; `average` is what was served since the last one, if that tells anything.

        After a `long` pause the quota is one of long windows: steps tell nothing of it, only the average does.
        """
        if long and average is not None:
            self._set(min(self.rate, average))
        elif self._doubted and max(average or 0, self._base):
            if self._base > (average or 0):
                self._refused = self.rate
            self._set(min(self.rate, max(average or 0, self._base)))
        self._held = self.rate
        self._step = None
        if long:
            self._refused = self.rate * (1 + CUT)

    def _set(self, rate: float) -> None:
        self.rate = min(rate, self.most)
