"""The harness: kills a sweep over and over, lets it end, and says whether all promises were kept."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.kills.archive import Archive
from tests.kills.checks import count_faults, paid_faults, world_faults
from tests.kills.counter import Counter, counting
from tests.kills.program import PHASES, SIDES, environment
from tests.kills.stage import Stage

CONCURRENCY, WRITE_BUFFER, PAGE = 16, 16, 50
BOUND = CONCURRENCY + WRITE_BUFFER
"""Calls that one kill may repeat."""

OUTSIDE = "outside"
PATIENCE = 60.0
TOO_MANY = 10
MOST_ENTRIES = {"answer": 40, "pay": 40, "release": 30, "disown": 1, "keep": 2, "checkpoint": 6}
LEAVES_CLAIMS = ("answer", "store", "pay", "release")
STALL = 0.3
DURING = 0.004
"""Seconds that a phase takes, where its stage does not say otherwise: a kill during it strikes anywhere in them."""
OFTEN = 2
"""Every so many kills comes from outside."""


@dataclass(frozen=True, slots=True)
class Kill:
    """How a run is to be killed: in a phase by itself, or from outside after some seconds."""

    phase: str
    side: str = ""
    number: int = 0
    seconds: float = 0.0

    @property
    def told(self) -> str:
        """What `KILLS_AT` says."""
        return "" if self.phase == OUTSIDE else f"{self.phase}:{self.side}:{self.number}:{self.seconds:.4f}"


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    seed: int
    kills: int = 0
    images: int = 0
    versions: int = 0
    hits: Tally[str] = field(default_factory=Tally)
    sides: Tally[str] = field(default_factory=Tally)
    sweeps: int = 0
    calls: int = 0
    repeats: int = 0
    worst: int = 0
    worst_kill: str = ""
    paid_twice: int | None = None
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def bound(self) -> int:
        """Calls that all the kills together may repeat."""
        return self.kills * BOUND


def planned(kills: int, dice: random.Random, during: Mapping[str, float], *, often: int = OFTEN) -> deque[Kill]:
    """Plan the kills: every `often` comes at any moment, the others in the phases and at the sides of each in turn."""
    plan: deque[Kill] = deque()
    number = 0
    while len(plan) < kills:
        if len(plan) % often == often - 1:
            plan.append(Kill(OUTSIDE, seconds=dice.uniform(0, 0.6)))
            continue
        turn, at = divmod(number, len(PHASES))
        number += 1
        phase, side = PHASES[at], SIDES[(turn + at) % len(SIDES)]
        seconds = {"stalled": STALL, "during": dice.uniform(0, during.get(phase, DURING))}.get(side, 0.0)
        plan.append(Kill(phase, side, dice.randint(1, MOST_ENTRIES.get(phase, 4)), seconds))
    return plan


@dataclass(slots=True)
class Harness:
    """One archive with its counter, swept by one run after the other."""

    archive: Archive
    counter: Counter
    address: str
    outcome: Outcome
    say: Callable[[str], None]
    killed: dict[int, Kill] = field(default_factory=dict)
    runs: int = 0
    hung: int = 0
    whole: bool = True  # whether the next sweep begins at the first name

    async def kill_all(self, plan: deque[Kill]) -> None:
        """Kill until every kill of the plan has struck; one that came too late for its sweep is tried again, earlier."""
        misses, most = 0, 2 * len(plan)
        while plan and len(self.outcome.violations) < TOO_MANY and misses < most and not self.hung:
            kill = self._next(plan)
            if await self.run(kill) is None:
                if self.archive.random.random() < 0.2:
                    self.archive.disturb(5)
                continue
            misses += 1
            plan.append(replace(kill, number=(kill.number + 1) // 2, seconds=kill.seconds * (0.6 if kill.phase == OUTSIDE else 1)))
            self.archive.disturb(max(120, len(self.archive.files) // 10))
        self.outcome.violations += [f"never struck: {kill}" for kill in plan]

    def _next(self, plan: deque[Kill]) -> Kill:
        """Take the next kill that can strike: of a takeover after a run that died with claims, of a replacement after a sweep."""
        last = self.killed.get(self.runs)
        ready = {"disown": last is not None and last.phase in LEAVES_CLAIMS, "keep": self.outcome.sweeps > 0}
        able = [kill for kill in plan if ready.get(kill.phase, True)] or list(plan)
        kill = next((kill for kill in able if kill.phase == "disown"), able[0])
        plan.remove(kill)
        return kill

    async def run(self, kill: Kill | None) -> dict[str, Any] | None:
        """Run the program once; return the report of a sweep that came to its end, None of one that was killed."""
        await self.archive.stage.ready()
        self.runs += 1
        run = self.runs
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.kills.program", "sweep", "--yes", "--json",
            cwd=self.archive.stage.home, env=self._environment(run, kill),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ending = asyncio.create_task(process.communicate())
        if kill and kill.phase == OUTSIDE:
            await asyncio.wait({ending, asyncio.create_task(self._moment(run, kill))}, return_when=asyncio.FIRST_COMPLETED)
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
        try:
            out, err = await asyncio.wait_for(asyncio.shield(ending), PATIENCE)
        except TimeoutError:
            self._violate(run, f"it hung for {PATIENCE:.0f} s")
            process.kill()
            await ending
            self.whole = False
            self.hung += 1
            return None
        if process.returncode == -signal.SIGKILL and kill is not None:
            self._struck(run, kill)
            return None
        return self._completed(run, process.returncode or 0, out.decode(), err.decode())

    async def _moment(self, run: int, kill: Kill) -> None:
        await self.counter.hellos[run].wait()
        await asyncio.sleep(kill.seconds)

    def _environment(self, run: int, kill: Kill | None) -> dict[str, str]:
        terms = {"page": str(PAGE), "concurrency": str(CONCURRENCY), "write_buffer": str(WRITE_BUFFER)}
        about = {"KILLS_RUN": str(run), "KILLS_COUNTER": self.address, "KILLS_AT": kill.told if kill else ""}
        return {**environment({**self.archive.stage.settings, **terms}), **about}

    def _struck(self, run: int, kill: Kill) -> None:
        self.killed[run] = kill
        self.whole = False
        self.outcome.kills += 1
        self.outcome.hits[kill.phase] += 1
        self.outcome.sides[kill.side or OUTSIDE] += 1
        if self.outcome.kills % 10 == 0:
            self.say(f"{self.outcome.kills} kills, {self.outcome.sweeps} sweeps complete, {self.counter.runs.total():,} calls")

    def _completed(self, run: int, status: int, out: str, err: str) -> dict[str, Any]:
        self.outcome.sweeps += 1
        try:
            report: dict[str, Any] = json.loads(out)
            faults = list(count_faults(report))
        except (ValueError, KeyError):
            self.whole = False
            self._violate(run, f"exit {status} without a report: {' '.join(err.split())[-400:]}")
            return {}
        if status != 0:
            faults.append(f"exit {status}: {' '.join(err.split())[-400:]}")
        if report["calls"] != self.counter.runs[run]:
            faults.append(f"it reports {report['calls']} calls, the counter has {self.counter.runs[run]}")
        there = len(self.archive.files) + self.archive.others
        if self.whole and report["listed"] - report["retried"] != there:
            faults.append(f"it listed {report['listed']} of {there} files")
        self.whole = status == 0
        for fault in faults:
            self._violate(run, fault)
        return report

    def _violate(self, run: int, fault: str) -> None:
        told = f"seed {self.outcome.seed}, run {run}: {fault}"
        self.outcome.violations.append(told)
        self.say(told)

    async def settle(self) -> None:
        """Sweep until a sweep finds nothing to do."""
        for _ in range(6 if len(self.outcome.violations) < TOO_MANY and not self.hung else 1):
            report = await self.run(None)
            if report and report["unchanged"] + report["skipped"] == report["listed"] and report["calls"] == 0:
                return
        self.outcome.violations.append("six sweeps that nothing disturbed did not settle everything")

    async def account(self) -> None:
        """Compare the calls with what the kills excuse, and with what the service was paid for where there is one."""
        outcome, repeats = self.outcome, self.counter.repeats()
        outcome.calls, outcome.repeats = self.counter.runs.total(), repeats.total()
        for run, number in repeats.most_common(1):
            outcome.worst, outcome.worst_kill = number, str(self.killed.get(run))
        outcome.violations += [
            f"kill {self.killed[run]} of run {run} repeats {number} calls, {BOUND} may be"
            for run, number in repeats.items()
            if number > BOUND and run in self.killed
        ]
        outcome.violations += self.counter.unexcused(self.killed)
        if outcome.repeats > outcome.bound:
            outcome.violations.append(f"{outcome.repeats} calls repeated, {outcome.bound} may be")
        paid = await self.archive.stage.paid()
        if paid is not None:
            outcome.paid_twice = sum(paid.values()) - len(paid)
            outcome.violations += paid_faults(self.archive, self.counter, paid)


async def _run(stage: Stage, kills: int, images: int, *, seed: int, often: int, say: Callable[[str], None]) -> Outcome:
    dice = random.Random(seed)
    begun = time.monotonic()
    archive = Archive(stage, dice)
    archive.fill(images)
    outcome = Outcome(seed)
    async with counting() as (counter, address):
        harness = Harness(archive, counter, address, outcome, say)
        await harness.kill_all(planned(kills, dice, stage.during, often=often))
        await harness.settle()
        await harness.account()
    outcome.violations += await world_faults(archive)
    if kills >= 2 * len(PHASES):
        outcome.violations += [f"no kill struck in phase {phase}" for phase in PHASES if not outcome.hits[phase]]
    outcome.images, outcome.versions = len(archive.files), archive.made
    outcome.seconds = time.monotonic() - begun
    return outcome


def run_kills(
    stage: Stage, kills: int, images: int, seed: int, *, often: int = OFTEN, say: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Kill a sweep over `images` files of a stage so many times; return what came of it."""
    return asyncio.run(_run(stage, kills, images, seed=seed, often=often, say=say))
