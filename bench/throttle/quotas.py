"""Quotas as services enforce them. `take` admits a call that arrives now, or says in how many seconds one would be admitted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

Rate = Callable[[float], float]
"""The quota in calls a second by the service's time."""


class Quota(Protocol):
    """One quota. Refused calls do not count against it."""

    def take(self, now: float) -> float:
        """Admit a call (0), or return the seconds after which one would be admitted."""
        ...


class Bucket:
    """A token bucket that holds what it is refilled by in `depth` seconds, one token at least."""

    def __init__(self, rate: Rate, depth: float) -> None:
        self._rate = rate
        self._depth = depth
        self._tokens = max(rate(0.0) * depth, 1.0)
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take a token."""
        rate = self._rate(now)
        self._tokens = min(self._tokens + (now - self._at) * rate, max(rate * self._depth, 1.0))
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return 0.0


class Fixed:
    """Windows of `seconds` by the service's clock, which is `phase` seconds ahead of ours."""

    def __init__(self, rate: Rate, seconds: float, phase: float) -> None:
        self._rate = rate
        self._seconds = seconds
        self._phase = phase % seconds
        self._window = -1
        self._taken = 0

    def take(self, now: float) -> float:
        """Count a call in its window."""
        window, passed = divmod(now + self._phase, self._seconds)
        if window != self._window:
            self._window, self._taken = int(window), 0
        if self._taken >= round(self._rate(now) * self._seconds):
            return self._seconds - passed
        self._taken += 1
        return 0.0


class Sliding:
    """No more than the quota of `seconds` in any stretch of so many seconds."""

    def __init__(self, rate: Rate, seconds: float) -> None:
        self._rate = rate
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def take(self, now: float) -> float:
        """Count a call, and forget those that are out of the window."""
        taken = self._taken
        while taken and taken[0] <= now - self._seconds:
            taken.popleft()
        if len(taken) >= round(self._rate(now) * self._seconds):
            return taken[0] + self._seconds - now
        taken.append(now)
        return 0.0
