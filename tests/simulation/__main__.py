"""Simulate many worlds on all cores: `python -m tests.simulation SEEDS [FIRST]`.

Prints every violation with the seed that replays it, how often each hazard fired, and last `N seeds, V violations`. Fails on a
violation, and on a hazard that never fired, for such a run has proved less than it says.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.hazards import classes, missing
from tests.simulation.loop import run_virtually
from tests.simulation.world import World

LOT = 50


@dataclass(slots=True)
class Outcome:
    """What some worlds came to."""

    seeds: int = 0
    violations: list[str] = field(default_factory=list)
    hazards: Counter[str] = field(default_factory=Counter)

    def add(self, other: Outcome) -> None:
        """Add the outcome of other worlds."""
        self.seeds += other.seeds
        self.violations += other.violations
        self.hazards += other.hazards


def simulate(seed: int) -> Outcome:
    """Simulate one world to its end."""
    logging.disable()
    random.seed(seed)  # the back-off's jitter
    world = World(seed)
    violations = []
    try:
        run_virtually(world.live(), world.loop, skew=world.worker_skew)
    except Exception as error:  # noqa: BLE001 whatever escapes from a world is a violation
        violations.append(f"seed {seed}: {type(error).__name__}: {error}")
    if world.store.broken:
        violations = [f"seed {seed}: Violation: {world.store.broken[0]}"]
    return Outcome(1, violations, world.hazards)


def lot(first: int, number: int) -> Outcome:
    """Simulate some worlds one after the other."""
    outcome = Outcome()
    for seed in range(first, first + number):
        outcome.add(simulate(seed))
    return outcome


def many(seeds: int, *, first: int = 0, cores: int | None = None) -> Outcome:
    """Simulate worlds on all cores."""
    outcome = Outcome()
    begins = range(first, first + seeds, LOT)
    with ProcessPoolExecutor(cores or os.cpu_count()) as pool:
        for part in pool.map(lot, begins, [min(LOT, first + seeds - begin) for begin in begins]):
            outcome.add(part)
            for violation in part.violations:
                print(violation, flush=True)
    return outcome


def main() -> int:
    """Simulate, print, and return the exit status."""
    seeds, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    begun = time.monotonic()
    outcome = many(seeds, first=first)
    for hazard, number in sorted(classes(outcome.hazards).items()):
        print(f"{number:10,}  {hazard}")
    absent = missing(outcome.hazards)
    for hazard in absent:
        print(f"never fired: {hazard}")
    print(f"{time.monotonic() - begun:.0f} s")
    print(f"{outcome.seeds} seeds, {len(outcome.violations)} violations")
    return bool(outcome.violations or absent)


if __name__ == "__main__":
    sys.exit(main())
