"""A simulation of clients that call a service with a quota, by events: the same seed gives the same run."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise

from bench.throttle.clients import Client
from bench.throttle.quotas import Quota
from bench.throttle.scenarios import SECONDS, Scenario

WAY = 0.01
"""Seconds that a call needs to the service, and its answer back, without the jitter."""
REFUSAL = 0.005
"""Seconds that the service takes to refuse."""
STRETCH = 10
LAG = 0.001
"""Mean seconds by which a timer is late."""


class _Kind(IntEnum):
    WAKE = 0
    ARRIVE = 1
    ANSWER = 2
    REFUSE = 3
    OTHER = 4


@dataclass(slots=True)
class Outcome:
    """What came of a run, in calls by the second in which the service saw them."""

    served: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    others: Counter[int] = field(default_factory=Counter)

    @property
    def refused_share(self) -> float:
        """Calls refused as a share of all."""
        refused = self.refused.total()
        return refused / max(refused + self.served.total(), 1)


class _World:
    def __init__(self, scenario: Scenario, clients: Sequence[Client], seed: int) -> None:
        self.rng = random.Random(seed)
        self.scenario = scenario
        self.clients = clients
        self.quota: Quota = scenario.enforced(self.rng)
        self.outcome = Outcome()
        self.wakes = [math.inf] * len(clients)
        self.heap: list[tuple[float, int, _Kind, int, float]] = []
        self.number = 0
        self.others = scenario.other_calls(random.Random(seed + 1))
        self.retry_after: dict[int, float | None] = {}

    def push(self, at: float, kind: _Kind, who: int = 0, started: float = 0.0) -> int:
        self.number += 1
        heapq.heappush(self.heap, (at, self.number, kind, who, started))
        return self.number

    def run(self) -> Outcome:
        for who in range(len(self.clients)):
            self.wakes[who] = self.rng.uniform(0, 0.1)
            self.push(self.wakes[who], _Kind.WAKE, who)
        self.next_other()
        while self.heap:
            now, number, kind, who, started = heapq.heappop(self.heap)
            if now >= SECONDS:
                break
            if kind is _Kind.ARRIVE:
                self.arrive(now, who, started)
            elif kind is _Kind.OTHER:
                self.outcome.others[int(now)] += 1
                self.quota.take(now)
                self.next_other()
            else:
                self.tell(now, number, kind, who, started)
        return self.outcome

    def tell(self, now: float, number: int, kind: _Kind, who: int, started: float) -> None:
        """Hand a client what happened, and let it act."""
        client = self.clients[who]
        if kind is _Kind.ANSWER:
            client.answered(now, started)
        elif kind is _Kind.REFUSE:
            client.throttled(now, started, self.retry_after.pop(number))
        elif now == self.wakes[who]:
            self.wakes[who] = math.inf
        at = client.admit(now)
        while at <= now:
            self.push(now + WAY + self.rng.expovariate(1 / self.scenario.jitter), _Kind.ARRIVE, who, now)
            at = client.admit(now)
        if at < self.wakes[who] - LAG:
            self.wakes[who] = at + self.rng.expovariate(1 / LAG)
            self.push(self.wakes[who], _Kind.WAKE, who)

    def arrive(self, now: float, who: int, started: float) -> None:
        """Let the service admit or refuse a call."""
        wait = self.quota.take(now)
        if not wait:
            self.outcome.served[int(now)] += 1
            took = self.scenario.served * math.exp(self.rng.gauss(0, self.scenario.sigma))
            self.push(now + took + WAY, _Kind.ANSWER, who, started)
            return
        self.outcome.refused[int(now)] += 1
        number = self.push(now + REFUSAL + WAY, _Kind.REFUSE, who, started)
        self.retry_after[number] = math.ceil(wait) if self.scenario.retry_after else None

    def next_other(self) -> None:
        at = next(self.others, None)
        if at is not None:
            self.push(at, _Kind.OTHER)


def simulate(scenario: Scenario, client: Callable[[random.Random], Client], seed: int) -> Outcome:
    """Run one scenario with as many clients of a kind as it has workers."""
    clients = [client(random.Random(1000 * seed + who)) for who in range(scenario.workers)]
    return _World(scenario, clients, seed).run()


def oracle(scenario: Scenario, outcome: Outcome) -> list[float]:
    """Return what one who knows quota and tenants beforehand is served in each second of the same run, refused never.

    It takes what the others leave, and they are served first: a client that takes from them can be served more. Windows of a
    second that the run's start or end cuts count for their part.
    """
    left = [scenario.rate(second + 0.5) - outcome.others[second] for second in range(int(SECONDS))]
    left[0] += scenario.burst
    return [max(free, 0.0) for free in left] if scenario.kind == "second" else left


def recovery(scenario: Scenario, outcome: Outcome) -> list[float]:
    """Return for each change after how many seconds a stretch of ten begins that has 90 % of what there is, at most 2 % refused.

    A client that does not get there before the next change took all the time.
    """
    free = oracle(scenario, outcome)
    times = (*scenario.changes, SECONDS)
    return [_settled(outcome, free, int(at), int(end)) - at for at, end in pairwise(times)]


def _settled(outcome: Outcome, free: Sequence[float], at: int, end: int) -> float:
    for second in range(at, end - STRETCH):
        stretch = range(second, second + STRETCH)
        served, refused = (sum(count[one] for one in stretch) for count in (outcome.served, outcome.refused))
        if served >= 0.9 * sum(free[one] for one in stretch) and refused <= 0.02 * (served + refused):
            return second
    return end
