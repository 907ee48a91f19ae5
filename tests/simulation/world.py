"""The simulated world: a shop that goes on changing its pictures, processes that sweep them, and the invariants.

One seed makes one world, the same every time. The production code runs unchanged over fakes that pass the contract suites.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from jobs.decide import KEEPSAKES
from jobs.errors import LeaseHeld, Transient
from jobs.model import Blob, Image, Outcome, Record, Report, Scan, shown
from jobs.retry import Policy
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.work import Control, Ports
from tests.fakes.classifier import FakeClassifier, answer
from tests.fakes.index import MemoryIndex
from tests.fakes.source import MemorySource
from tests.fakes.store import MemoryStore
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import Dead, Fate, Process, Wire

CONCURRENCY = 4
WRITE_BUFFER = 3
TERMS = Terms(
    concurrency=CONCURRENCY, write_buffer=WRITE_BUFFER, linger=0.2, call_seconds=50, lease_seconds=120, attempts=8,
    retry=Policy(attempts=4, seconds=60, base=0.2, cap=5), lookback=timedelta(minutes=15), pages_in_flight=2, scope="all",
)  # fmt: skip


class Violation(AssertionError):
    """An invariant does not hold."""


class Shop(MemorySource):
    """The source, remembering every version there ever was and since when it can be seen."""

    def __init__(self, world: World) -> None:
        super().__init__(lambda: world.loop.now() + world.source_skew, page=world.random.choice([1, 2, 3, 5]))
        self.history: dict[tuple[str, str], bytes] = {}
        self.since: dict[tuple[str, str], float] = {}
        self.world = world
        self.reading = 0

    def put(self, name: str, data: bytes, *, modified: datetime | None = None) -> Blob:
        blob = super().put(name, data, modified=modified)
        self.history[name, blob.etag] = data
        self.since[name, blob.etag] = self.world.loop.moment
        return blob


class Till(FakeClassifier):
    """The classifier, counting what it was paid, what it refused, and how many calls were in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.flying = 0

    async def classify(self, image: Image) -> Any:
        self.flying += 1
        if self.flying > 3 * CONCURRENCY:
            raise Violation(f"{self.flying} calls in flight")
        try:
            await asyncio.sleep(0.3)
            return await super().classify(image)
        finally:
            self.flying -= 1


class World:
    """One world."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = VirtualLoop()
        self.hazards: Counter[str] = Counter()
        self.source_skew = timedelta(seconds=self.random.uniform(-5, 5))
        self.store = MemoryStore(self.loop.now)
        self.index = MemoryIndex()
        self.shop = Shop(self)
        self.till = Till()
        self.bound = 0
        self.busy = True
        self.processes: list[Process] = []
        self.reports: list[Report] = []
        self._watch_state()

    # What people do to the shop

    def _name(self) -> str:
        return self.random.choice(["a-b.jpg", "a.jpg", "a/x.jpg", "a/y.jpg", "b.jpg", "c/d/e.jpg", "z.jpg", "é.jpg"])

    def _data(self) -> bytes:
        if self.random.random() < 0.12:
            return b"bad" + bytes([self.random.randrange(4)])
        return b"img" + bytes([self.random.randrange(12)])

    def disturb(self) -> None:
        """Change something in the shop."""
        names = list(self.shop.blobs)
        act = self.random.choice(["add", "add", "add", "overwrite", "same", "delete", "recreate", "rename", "late", "tie"])
        if act in {"add", "late", "tie"} or not names:
            name, modified = self._name(), None
            if act == "late":
                modified = self.loop.now() + self.source_skew - timedelta(seconds=self.random.uniform(0, 800))
            if act == "tie" and (found := self._scan_start()):
                modified = found
            self.shop.put(name, self._data(), modified=modified)
        elif act == "delete":
            self.shop.delete(self.random.choice(names))
        else:
            name = self.random.choice(names)
            data = self.shop.blobs[name][1]
            if act == "rename":
                self.shop.delete(name)
                name = self._name()
            elif act == "recreate":
                self.shop.delete(name)
            self.shop.put(name, data if act in {"same", "rename"} else self._data())
            if (
                (scan := self._scan())
                and scan.checkpoint
                and scan.checkpoint.after
                and name.encode() <= scan.checkpoint.after.encode()
            ):
                self.hazards["change behind the cursor"] += 1
        self.hazards[f"shop: {act}"] += 1

    def _scan(self) -> Scan | None:
        found = self.store.documents.get(("Scan", f"{self.shop.key}|"))
        return found[0] if found and isinstance(found[0], Scan) else None

    def _scan_start(self) -> datetime | None:
        scan = self._scan()
        return scan.checkpoint.started if scan and scan.checkpoint else None

    async def _disturbances(self) -> None:
        while self.busy:
            await asyncio.sleep(self.random.expovariate(1 / 4))
            if self.busy:
                self.disturb()

    # What the processes do

    async def live(self) -> None:
        """Let people and processes loose, then let the world quieten down, and check it."""
        for _ in range(self.random.randrange(2, 7)):
            self.shop.put(self._name(), self._data(), modified=self.loop.now() - timedelta(days=self.random.randrange(400)))
        people = asyncio.create_task(self._disturbances())
        for number in range(self.random.randrange(2, 5)):
            pair = [self._process(f"{number}.{twin}") for twin in range(self.random.choice([1, 1, 2]))]
            await asyncio.gather(*(self._sweep(process, self._slice()) for process in pair))
            await asyncio.sleep(self.random.uniform(0, 300))
        self.busy = False
        await people
        await self._quieten()
        self.check()

    def _slice(self) -> float | None:
        return self.random.choice([None, None, 2.0, 10.0])

    def _process(self, name: str) -> Process:
        fate = Fate()
        kind = self.random.choice(["calm", "faulty", "crash", "crash", "freeze", "slow"])
        if kind == "faulty":
            fate.fail_before = fate.fail_after = self.random.uniform(0, 0.1)
        if kind == "slow":
            fate.slow = 0.05
        if kind == "crash":
            fate.crash_at = self.random.randrange(1, 90)
        if kind == "freeze":
            fate.freeze_at, fate.freeze_for = self.random.randrange(1, 90), self.random.choice([20.0, 150.0, 400.0])
        process = Process(name, self.random, self.hazards, fate)
        self.processes.append(process)
        return process

    async def _sweep(self, process: Process, seconds: float | None) -> Report | None:
        """Run the production sweep as a process; None when it died or another was at it."""
        store = Wire(self.store, process, _store_name)
        before = sum(self.till.paid.values())
        try:
            ports = Ports(
                Wire(self.shop, process, lambda method, _: f"source {method}"),
                Wire(self.till, process, lambda method, _: method),
                store,
                store,
                store,
                Wire(self.index, process, lambda method, _: f"index {method}"),
            )
            report = await sweep(ports=ports, terms=TERMS, control=Control(seconds=seconds, run_id=process.name))
        except LeaseHeld:
            self.hazards["lease held by another"] += 1
            return None
        except Transient:
            self.hazards["store out of reach at the start"] += 1
            return None
        except BaseExceptionGroup as group:
            if group.split(Dead)[1] is not None:
                raise
            return self._buried(before)
        except Dead:
            return self._buried(before)
        self._account(process, report)
        return report

    def _buried(self, before: int) -> None:
        self.bound += min(CONCURRENCY + WRITE_BUFFER, sum(self.till.paid.values()) - before)

    def _account(self, process: Process, report: Report) -> None:
        self.reports.append(report)
        self.hazards[f"sweep {report.status}"] += 1
        self.bound += report.unknown_calls
        if process.was_frozen and report.status != "complete":
            self.hazards["zombie stopped"] += 1
        if process.was_frozen:
            self.bound += CONCURRENCY + WRITE_BUFFER
        parts = (report.classified, report.reused, report.unchanged, report.skipped, report.deferred, report.dead, report.gone)
        self.demand(report.listed == sum(parts), f"{report.listed} listed, {sum(parts)} accounted for")

    async def _quieten(self) -> None:
        """Sweep without faults until nothing is left to do: leases and claims expire, deferrals come due."""
        for number in range(12):
            await asyncio.sleep(90_000)
            report = await self._sweep(Process(f"calm.{number}", self.random, self.hazards), None)
            scan = self._scan()
            waiting = any(record.outcome is Outcome.DEFERRED for record in self.store.records.values())
            if report and report.status == "complete" and not waiting and scan and scan.checkpoint is None and number >= 2:
                return
        raise Violation("twelve calm sweeps did not settle everything")

    # What must hold

    def demand(self, holds: object, message: str) -> None:
        """Raise Violation unless `holds`."""
        if not holds:
            raise Violation(message)

    def check(self) -> None:
        """Check the invariants of a quiet world."""
        for name, (blob, data) in self.shop.blobs.items():
            record = self.store.records.get(blob.id)
            self.demand(record is not None, f"{name} is lost")
            assert record is not None
            self.demand(record.etag == blob.etag, f"{name} is settled as {record.etag}, it is {blob.etag}")
            expected = {Outcome.DEAD} if data.startswith(b"bad") else {Outcome.CLASSIFIED, Outcome.REUSED}
            self.demand(record.outcome in expected, f"{name} is {record.outcome}: {record.failure}")
        for record in self.store.records.values():
            self._check_truth(record)
        self._check_index()
        self._check_payment()

    def _check_truth(self, record: Record) -> None:
        if record.analysis is None:
            return
        contents = {hashlib.sha256(data).hexdigest(): data for data in self.shop.history.values()}
        kept = record.source == KEEPSAKES
        data = contents[record.content_hash or ""] if kept else self.shop.history[record.name, record.analysed or ""]
        self.demand(record.analysis == answer(data), f"{record.name} has the answer of other bytes")

    def _check_index(self) -> None:
        shows = {record.id: record.rev for record in self.store.records.values() if shown(record) and record.source != KEEPSAKES}
        has = {key: record.rev for key, record in self.index.documents.items()}
        self.demand(shows == has, f"the store shows {sorted(shows.values())}, the index {sorted(has.values())}")

    def _check_payment(self) -> None:
        """Good bytes are paid once, bad ones once for each version; crashes may repeat a bounded number."""
        versions = Counter(hashlib.sha256(data).hexdigest() for data in self.shop.history.values())
        bad = {hashlib.sha256(data).hexdigest() for data in self.shop.history.values() if data.startswith(b"bad")}
        repeats = sum(max(0, number - (versions[data] if data in bad else 1)) for data, number in self.till.paid.items())
        self.demand(repeats <= self.bound, f"{repeats} calls repeated, {self.bound} may be")

    def _watch_state(self) -> None:
        """Check at every move of the watermark that nothing unsettled lies below it."""
        put = self.store.put

        async def watched(key: str, document: Any, version: str | None) -> str:
            former = self._scan()
            result = await put(key, document, version)
            if isinstance(document, Scan):
                self._check_watermark(former, document)
            return result

        self.store.put = watched  # type: ignore[method-assign]

    def _check_watermark(self, former: Scan | None, scan: Scan) -> None:
        if scan.watermark is None or (former and former.watermark == scan.watermark):
            return
        self.demand(not former or former.watermark is None or scan.watermark > former.watermark, "the watermark moved back")
        assert former is not None
        assert former.checkpoint is not None
        begun = (former.checkpoint.started - self.source_skew - self.loop.now()).total_seconds() + self.loop.moment
        for name, (blob, _) in self.shop.blobs.items():
            if self.shop.since[name, blob.etag] >= begun:
                continue
            record = self.store.records.get(blob.id)
            settled = record is not None and record.etag == blob.etag
            self.demand(settled, f"the watermark {scan.watermark} passed {name} of {blob.modified}")


def _store_name(method: str, args: tuple[Any, ...]) -> str:
    """Name a call of the store by its phase."""
    match method:
        case "write":
            return "claim" if all(record.claim is not None for record in args[0]) else "store"
        case "put" | "remove":
            kind = args[1] if method == "put" else args[0]
            return f"{method} {kind.__name__ if isinstance(kind, type) else type(kind).__name__}"
        case _:
            return f"store {method}"
