"""The scenarios: a quota, how it is enforced and told, what changes, who else calls, and how long answers take."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from bench.throttle.quotas import Bucket, Fixed, Quota, Sliding

SECONDS = 900.0
"""Length of a run."""
Kind = Literal["bucket", "tight bucket", "second", "sliding 10 s", "minute"]
DEPTHS = {"bucket": 1.0, "tight bucket": 0.1}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One situation. `levels` are the quota's factors from a time on; `others` the share of it that other tenants call for.

    Delays are means in seconds: `jitter` of the way there, `served` of an answer, with the sigma of its logarithm.
    """

    name: str
    kind: Kind
    retry_after: bool
    quota: float = 20.0
    levels: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    others: tuple[tuple[float, float], ...] = ()
    bursty: bool = False
    workers: int = 1
    jitter: float = 0.004
    served: float = 0.25
    sigma: float = 0.3

    @property
    def stationary(self) -> bool:
        """Whether what there is for us stays the same."""
        return len(self.levels) == 1 and not self.others

    @property
    def changes(self) -> tuple[float, ...]:
        """When what there is for us changes."""
        return tuple(sorted({at for at, _ in (*self.levels, *self.others) if at > 0}))

    @property
    def burst(self) -> float:
        """Calls that a full bucket holds in the beginning."""
        return max(self.quota * DEPTHS[self.kind], 1.0) if self.kind in DEPTHS else 0.0

    def rate(self, now: float) -> float:
        """Return the quota in calls a second."""
        return self.quota * _level(self.levels, now)

    def enforced(self, rng: random.Random) -> Quota:
        """Return the quota as the service counts it. Its seconds begin anywhere; its minutes with the run, which has whole ones."""
        match self.kind:
            case "bucket" | "tight bucket":
                return Bucket(self.rate, DEPTHS[self.kind])
            case "second":
                return Fixed(self.rate, 1.0, rng.random())
            case "minute":
                return Fixed(self.rate, 60.0, 0.0)
            case "sliding 10 s":
                return Sliding(self.rate, 10.0)
            case _:
                assert_never(self.kind)

    def other_calls(self, rng: random.Random) -> Iterator[float]:
        """Yield when the others call: evenly, or by chance if they are bursty."""
        now = 0.0
        while self.others and now < SECONDS:
            rate = self.quota * _level(self.others, now)
            if not rate:
                now += 1.0
                continue
            now += rng.expovariate(rate) if self.bursty else rng.gauss(1 / rate, 0.1 / rate)
            yield now


def _level(levels: tuple[tuple[float, float], ...], now: float) -> float:
    return levels[bisect_right(levels, (now, 1e9)) - 1][1]


def _all() -> Iterator[Scenario]:
    kinds: tuple[Kind, ...] = ("bucket", "tight bucket", "second", "sliding 10 s", "minute")
    for kind in kinds:
        for told in (True, False):
            yield Scenario(f"{kind}, {'told' if told else 'untold'}", kind, told)
    thirds = (0.0, 1.0), (300.0, 1.0), (600.0, 1.0)
    for kind in ("bucket", "second", "sliding 10 s", "minute"):
        plain = Scenario(f"{kind}", kind, retry_after=kind in ("second", "minute"))
        yield replace(plain, name=f"{kind}, halved", levels=(thirds[0], (300.0, 0.5), thirds[2]))
        yield replace(plain, name=f"{kind}, doubled", levels=(thirds[0], (300.0, 2.0), thirds[2]))
        yield replace(plain, name=f"{kind}, another tenant for a third", others=((0.0, 0.0), (300.0, 0.4), (600.0, 0.0)))
        yield replace(plain, name=f"{kind}, 8 workers", workers=8, quota=40.0)
    for kind in ("second", "sliding 10 s"):
        noisy = Scenario(f"{kind}, noisy latency", kind, retry_after=kind == "second")
        yield replace(noisy, jitter=0.02, served=0.5, sigma=1.0)
    for kind in ("second", "sliding 10 s", "minute"):
        yield Scenario(f"{kind}, bursty tenants", kind, kind != "second", others=((0.0, 0.3),), bursty=True)
    yield Scenario("second, 50 a second", "second", retry_after=True, quota=50.0)
    yield Scenario("minute, free tier", "minute", retry_after=True, quota=1 / 3)
    yield Scenario(
        "second, halved, 8 workers",
        "second",
        retry_after=True,
        quota=40.0,
        workers=8,
        levels=((0.0, 1.0), (300.0, 0.5), (600.0, 1.0)),
    )


SCENARIOS = tuple(_all())
