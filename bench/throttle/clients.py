"""Clients by what they do about a quota: ours, which is the production core, and what else is written or recommended."""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict, deque
from typing import Protocol

from jobs.pace import SLACK, Pace
from jobs.retry import Policy, backoff

SLOTS = 48
"""Calls at once that every client may have in flight, as the product's default."""
FIRST = 10.0
"""Calls a second that a client which learns begins with, as the product does."""


class Client(Protocol):
    """Decides when calls start; there is always another one to make."""

    def admit(self, now: float) -> float:
        """Start a call if the answer is not after `now`; else say when to ask again, infinity: after the next answer."""
        ...

    def answered(self, now: float, started: float) -> None:
        """Learn that a call was served."""
        ...

    def throttled(self, now: float, started: float, retry_after: float | None = None) -> None:
        """Learn that a call was refused."""
        ...


def ours() -> Client:
    """Return the product's own core, unchanged."""
    return Pace(concurrency=SLOTS, first=FIRST)


class RetryOnly:
    """A fixed number of calls at once; each that is refused backs off with full jitter, or as Retry-After asks."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ready = [(0.0, 0)] * SLOTS
        self._flying: defaultdict[float, deque[int]] = defaultdict(deque)

    def admit(self, now: float) -> float:
        """Start the call whose slot has been ready for longest."""
        if not self._ready:
            return math.inf
        at, attempt = self._ready[0]
        if at > now:
            return at
        at = self.gate(now)
        if at > now:
            return at
        heapq.heappop(self._ready)
        self._flying[now].append(attempt)
        return now

    def gate(self, now: float) -> float:
        """Say from when a ready slot may start a call: at once."""
        return now

    def answered(self, now: float, started: float) -> None:
        """Free the slot."""
        self._landed(started)
        heapq.heappush(self._ready, (now, 0))

    def throttled(self, now: float, started: float, retry_after: float | None = None) -> None:
        """Keep the slot until its back-off is over; after the last attempt another image takes it."""
        policy = Policy()
        attempt = self._landed(started) + 1
        wait = backoff(attempt, policy, jitter=self._rng.random(), asked=retry_after)
        heapq.heappush(self._ready, (now + wait, attempt % policy.attempts))

    def _landed(self, started: float) -> int:
        attempts = self._flying[started]
        attempt = attempts.popleft()
        if not attempts:
            del self._flying[started]
        return attempt


class FixedRate(RetryOnly):
    """Evenly paced at a rate that somebody set, and retries."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        super().__init__(rng)
        self.rate = rate
        self._next = 0.0

    def gate(self, now: float) -> float:
        """Keep the calls apart."""
        if now < self._next:
            return self._next
        self._next = max(self._next, now - SLACK) + 1 / self.rate
        return now


class Aimd(FixedRate):
    """Additive increase, multiplicative decrease (Chiu and Jain 1989): one call a second more each second, half on a refusal.

    It cuts once a second at most, so that one overload is not answered by many cuts.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, FIRST)
        self._cut = -math.inf

    def answered(self, now: float, started: float) -> None:
        """Rise by one call a second over as many answers as come in a second."""
        super().answered(now, started)
        self.rate += 1 / self.rate

    def throttled(self, now: float, started: float, retry_after: float | None = None) -> None:
        """Halve the rate."""
        super().throttled(now, started, retry_after)
        if now - self._cut >= 1:
            self._cut = now
            self.rate = max(self.rate / 2, 0.5)


class Cubic(RetryOnly):
    """The client side rate limiter of botocore's retry mode `adaptive`, by its formulas and constants.

    W(t) = 0.4 (t - K)^3 + Wmax with K = cbrt(0.3 Wmax / 0.4); 0.7 of the measured rate on a refusal; never over twice what was
    measured. The measured rate is smoothed over half seconds; calls are gated by a token bucket of a second's worth from the
    first refusal on.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._top, self._zero, self._failed = 0.0, 0.0, 0.0
        self._measured, self._count, self._bin = 0.0, 0, 0.0
        self._fill, self._capacity, self._tokens, self._at = 1.0, 1.0, 0.0, 0.0
        self._enabled = False

    def gate(self, now: float) -> float:
        """Take a token."""
        if not self._enabled:
            return now
        self._refill(now)
        if self._tokens < 1 - 1e-9:
            return now + (1 - self._tokens) / self._fill
        self._tokens -= 1
        return now

    def answered(self, now: float, started: float) -> None:
        """Rise along the curve."""
        super().answered(now, started)
        self._measure(now)
        self._follow(now, 0.4 * (now - self._failed - self._zero) ** 3 + self._top)

    def throttled(self, now: float, started: float, retry_after: float | None = None) -> None:
        """Begin a new curve."""
        super().throttled(now, started, retry_after)
        self._measure(now)
        rate = min(self._measured, self._fill) if self._enabled else self._measured
        self._top, self._failed = rate, now
        self._zero = (rate * 0.3 / 0.4) ** (1 / 3)
        self._follow(now, 0.7 * rate)
        self._enabled = True

    def _measure(self, now: float) -> None:
        edge = math.floor(now * 2) / 2
        self._count += 1
        if edge > self._bin:
            self._measured = 0.8 * self._count / (edge - self._bin) + 0.2 * self._measured
            self._count, self._bin = 0, edge

    def _follow(self, now: float, rate: float) -> None:
        self._refill(now)
        rate = min(rate, 2 * self._measured)
        self._fill, self._capacity = max(rate, 0.5), max(rate, 1.0)
        self._tokens = min(self._tokens, self._capacity)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._tokens + (now - self._at) * self._fill, self._capacity)
        self._at = now
