"""The simulated world: people change a shop, processes sweep, backfill, redrive and audit it, and break; then it quietens down.

One seed makes one world, the same every time. The production code runs unchanged over fakes that pass the contract suites.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from jobs.audit import audit
from jobs.backfill import Range, backfill
from jobs.errors import LeaseHeld, Transient
from jobs.model import Analysis, Image, Outcome, Report, Scan
from jobs.redrive import redrive
from jobs.retry import Policy
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.work import Control, Ports
from tests.simulation import invariants
from tests.simulation.builder import Builder
from tests.simulation.catalog import Catalog
from tests.simulation.invariants import Violation
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import Dead, Fate, Process, Wire
from tests.simulation.shop import Service, Shelf, Shop, Till
from tests.simulation.vault import Vault

CONCURRENCY = 4
SLICES = 200
"""Slices that a night may take."""
WRITE_BUFFER = 3
TERMS = Terms(
    concurrency=CONCURRENCY, write_buffer=WRITE_BUFFER, linger=0.2, call_seconds=50, lease_seconds=120, attempts=8,
    retry=Policy(attempts=4, seconds=60, base=0.2, cap=5), lookback=timedelta(minutes=15), pages_in_flight=2, scope="all",
)  # fmt: skip

Job = Callable[[Ports, Terms, Control], Awaitable[Report]]


async def _audit(ports: Ports, terms: Terms, control: Control, *, repair: bool) -> Report:
    return (await audit(ports=ports, terms=terms, repair=repair, brake=1.0, control=control)).report


JOBS: dict[str, Job] = {
    "sweep": lambda ports, terms, control: sweep(ports=ports, terms=terms, control=control),
    "sweep of a prefix": lambda ports, terms, control: sweep(ports=ports, terms=terms, prefix="a", control=control),
    "backfill": lambda ports, terms, control: backfill(ports=ports, terms=terms, span=Range(), control=control),
    "stale backfill": lambda ports, terms, control: backfill(ports=ports, terms=terms, span=Range(stale=True), control=control),
    "redrive": lambda ports, terms, control: redrive(ports=ports, terms=terms, failure_class="interrupted", control=control),
    "audit": partial(_audit, repair=True),
    "dry audit": partial(_audit, repair=False),
}


class World:
    """One world."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.nights = random.Random(f"night {seed}")
        self.loop = VirtualLoop()
        self.hazards: Counter[str] = Counter()
        self.shop = Shop(self.loop, self.random, self.hazards)
        self.builder = Builder(seed, self.hazards)
        self._shelf = Shelf(self.hazards)
        self.store = Vault(self.loop, self.shop, lambda: self.index, self.hazards)
        self.service = Service(CONCURRENCY, self.hazards)
        self.catalog = Catalog(seed, self.hazards)
        self.worker_skew = self.random.uniform(-1800, 1800)
        self.bound = 0
        self.busy = True

    @property
    def index(self) -> Shelf:
        """The index in use."""
        return self.builder.index if self.builder.builds else self._shelf

    async def live(self) -> None:
        """Let people and processes loose, then let the world quieten down, and check it."""
        for _ in range(self.random.randrange(2, 7)):
            age = timedelta(days=self.random.randrange(400))
            data = self.shop.data()
            for _ in range(self.random.choice([1, 2])):
                self.shop.put(self.shop.name(), data, modified=self.loop.now() - age)
        people = asyncio.create_task(self._people())
        whims = asyncio.create_task(self.catalog.live())
        building = asyncio.create_task(self.builder.live(self.store, lambda: self.busy))
        for number in range(self.random.randrange(2, 5)):
            await self._some_jobs(number)
            await asyncio.sleep(self.random.uniform(0, 300))
        self.busy = False
        whims.cancel()
        await people
        await building
        await self._quieten()
        self._check()
        await self.builder.finish(self.store)
        invariants.index_shows_the_store(self.store, self.index)
        await self._night()

    async def _some_jobs(self, number: int) -> None:
        """Start one job, or a second one beside it: at once, in its midst, or a sweep when a frozen one has lost its lease."""
        jobs = ["sweep"] if self.random.random() < 0.7 else [self.random.choice(list(JOBS))]
        processes = [self._process(f"{number}.0")]
        delay = 0.0
        if processes[0].fate.freeze_for > TERMS.lease_seconds and self.random.random() < 0.7:
            jobs.append("sweep")
            delay = self.random.uniform(TERMS.lease_seconds, processes[0].fate.freeze_for)
        elif self.random.random() < 0.6:
            jobs.append(self.random.choice(list(JOBS)))
            delay = self.random.choice([0.0, 0.0, self.random.uniform(0, 10)])
        processes += [self._process(f"{number}.1") for _ in jobs[1:]]
        self.store.alone = len(jobs) == 1
        reports = await asyncio.gather(
            *(self._start(*pair, delay=place * delay) for place, pair in enumerate(zip(jobs, processes, strict=True)))
        )
        self.store.alone = True
        invariants.index_shows_what_is_not_open(self.store, self.index)
        if len(set(jobs)) == 2 and all(report and report.calls for report in reports):
            self.hazards["two settlers at once"] += 1

    # What people and services do

    async def _people(self) -> None:
        while self.busy:
            await asyncio.sleep(self.random.expovariate(1 / 4))
            if not self.busy:
                return
            scan = self._scan()
            checkpoint = scan.checkpoint if scan else None
            if self.random.random() < 0.93:
                cursor = checkpoint.after if checkpoint else None
                started = checkpoint.started if checkpoint else None
                self.shop.disturb(cursor=cursor, scan_start=started, lookback=TERMS.lookback)
            else:
                self._upset()

    def _upset(self) -> None:
        """Change the circumstances."""
        match self.random.choice(["model", "mood", "picky", "lock"]):
            case "model":
                self.service.model = self.random.choice(["fake:1", "fake:2"])
                self.hazards["model changed"] += 1
            case "mood":
                self.service.mood = self.random.choice(["well", "well", "refusing", "stormy"])
            case "picky":
                self.index.picky = not self.index.picky
            case _:
                self.shop.lock(locked=not self.shop.locked)

    # What the processes do

    def _process(self, name: str) -> Process:
        fate = Fate()
        kind = self.random.choice(["calm", "faulty", "faulty", "crash", "crash", "freeze", "freeze", "slow"])
        if kind == "faulty":
            fate.fail_before = fate.fail_after = self.random.uniform(0, 0.1)
        if kind == "slow":
            fate.slow = 0.05
        if kind == "crash":
            fate.crash_at = self.random.randrange(1, 90)
        if kind == "freeze":
            fate.freeze_at, fate.freeze_for = self.random.randrange(1, 90), self.random.choice([20.0, 150.0, 400.0])
        return Process(name, self.random, self.hazards, fate)

    async def _start(
        self, job: str, process: Process, *, calm: bool = False, delay: float = 0.0, seconds: float | None = None
    ) -> Report | None:
        """Run a production job as a process, in a slice of `seconds` or of any length; None when it died, or could not begin."""
        await asyncio.sleep(delay)
        before = sum(self.service.paid.values())
        if seconds is None:
            seconds = None if calm else self.random.choice([None, None, 2.0, 10.0])
        try:
            terms = replace(TERMS, taxonomy=self.catalog.taxonomy)
            async with self._ports(process) as ports:
                report = await JOBS[job](ports, terms, Control(seconds=seconds, run_id=process.name))
        except LeaseHeld:
            self.hazards["lease held by another"] += 1
            return None
        except Transient:
            self.hazards["store out of reach at the start"] += 1
            return None
        except BaseExceptionGroup as group:
            if group.split(Dead)[1] is not None:
                raise
            return self._bury(before)
        except Dead:
            return self._bury(before)
        self._account(job, process, report)
        return report

    @asynccontextmanager
    async def _ports(self, process: Process) -> AsyncIterator[Ports]:
        def wire(port: Any, kind: str) -> Any:
            return Wire(port, process, lambda method, _: f"{kind} {method}".strip())

        store: Any = Wire(self.store, process, lambda method, args: _store_name(process, method, args))
        till: Any = Covered(wire(Till(self.service.model, self.service), ""), process, self.store)
        if not self.builder.builds:
            yield Ports(wire(self.shop, "source"), till, store, store, store, wire(self.index, "index"))
            return
        async with self.builder.publishing(process, store) as index:
            yield Ports(wire(self.shop, "source"), till, store, store, store, index)

    def _bury(self, before: int) -> None:
        self.bound += min(CONCURRENCY + WRITE_BUFFER, sum(self.service.paid.values()) - before)

    def _account(self, job: str, process: Process, report: Report) -> None:
        self.hazards[f"{'audit' if 'audit' in job else 'sweep'} {report.status}"] += 1
        self.hazards["audit with repair"] += job == "audit" and report.status == "complete"
        self.hazards["audit without repair"] += job == "dry audit" and report.status == "complete"
        self.hazards["answer reused"] += report.reused
        self.hazards["categories derived anew"] += report.rederived
        self.bound += report.unknown_calls
        if report.status in {"stopped", "failed"}:  # a store out of reach loses what a crash would
            self.bound += max(0, min(CONCURRENCY + WRITE_BUFFER, report.calls - report.classified - report.dead))
        if process.was_frozen:
            self.hazards["zombie stopped"] += report.status != "complete"
            self.bound += CONCURRENCY + WRITE_BUFFER
        invariants.counts_add_up(report)

    async def _quieten(self) -> None:
        """Mend the circumstances, then sweep and audit without faults until nothing is left to do."""
        self.service.mood, self.index.picky = "well", False
        self.builder.calm()
        self.shop.lock(locked=False)
        for number in range(14):
            await asyncio.sleep(90_000)
            await self._calm("sweep", number)
            invariants.nothing_is_left_behind(self.shop, self.store)
            if self.catalog.fickle:
                self.catalog.change()
                for _ in range(2):  # the first may go on behind what changed since one under this very taxonomy was stopped
                    await self._calm("stale backfill", number)
                self.catalog.is_followed(self.shop, self.store, self.index)
            await self._calm("audit", number)
            self.shop.rehydrate()
            scan = self._scan()
            waiting = any(record.outcome is Outcome.DEFERRED for record in self.store.records.values())
            if not waiting and scan and scan.watermark and scan.checkpoint is None and number >= 1:
                return
        raise Violation("fourteen calm sweeps did not settle everything")

    async def _night(self) -> None:
        """Sweep what is new in slices, one right after the other, by a clock of whole seconds: the last leaves nothing behind."""
        self.store.coarse = True
        for number in range(self.nights.randrange(4, 30)):
            self.shop.put(f"night/{number:02}.jpg", b"img" + self.nights.randbytes(8))
        latency, seconds = self.nights.choice([(0.05, 2.0), (0.05, 8.0), (0.001, 0.2), (0.001, 0.7), (0.001, 2.0)])
        for number in range(SLICES):
            process = Process(f"night.{number}", self.nights, self.hazards, Fate(latency=latency))
            report = await self._start("sweep", process, seconds=seconds)
            if report is not None and report.status == "complete":
                self.hazards["night in slices"] += number
                invariants.nothing_was_given_back(self.store)
                return
        raise Violation(f"{SLICES} slices of {seconds:g} s did not settle what is new: {report and report.message}")

    async def _calm(self, job: str, number: int) -> None:
        report = await self._start(job, Process(f"calm.{job}.{number}", self.random, self.hazards), calm=True)
        invariants.index_shows_what_is_not_open(self.store, self.index)
        left_unread = number == 0 and report is not None and report.status == "partial"
        if report is None or (report.status != "complete" and not left_unread):
            raise Violation(f"a calm {job} did not complete: {report and report.message}")

    # What must hold

    def _check(self) -> None:
        invariants.everything_is_settled(self.shop, self.store)
        invariants.results_are_true(self.shop, self.store)
        invariants.index_shows_the_store(self.store, self.index)
        invariants.payment_is_bounded(self.shop, self.service, bound=self.bound)
        invariants.demand(self.service.most <= 3 * CONCURRENCY, f"{self.service.most} calls were in flight")
        invariants.demand(not self.shop.misread, f"read while archived: {self.shop.misread}")

    def _scan(self) -> Scan | None:
        found = self.store.documents.get(("Scan", f"{self.shop.key}|"))
        return found[0] if found and isinstance(found[0], Scan) else None


class Covered:
    """The way of a process to the till: a call is looked at when it sets out, which a freeze may part from its arrival."""

    def __init__(self, till: Any, process: Process, store: Vault) -> None:
        self._till = till
        self._process = process
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._till, name)

    async def classify(self, image: Image) -> Analysis:
        run, store = self._process.name, self._store
        with store.noting():
            invariants.call_is_covered(run, store.leases(run), now=store.time, call_seconds=TERMS.call_seconds)
            invariants.call_is_claimed(run, image, self._till.asked, store.claims)
            store.called += 1
            invariants.call_is_accounted_for(run, store, called=store.called)
        analysis: Analysis = await self._till.classify(image)
        return analysis


def _store_name(process: Process, method: str, args: tuple[Any, ...]) -> str:
    """Name a call of the store by its phase."""
    match method:
        case "write":
            return "claim" if all(record.claim is not None for record in args[0]) else "store"
        case "put":
            return f"put {type(args[1]).__name__}"
        case "remove":
            if args[0].__name__ == "OpenPage" and process.name not in args[1]:
                process.hazards["page taken over"] += 1
            return f"remove {args[0].__name__}"
        case _:
            return f"store {method}"
