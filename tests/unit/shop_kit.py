"""A small shop for jobs that go beside the sweep: source, classifier, store and index in memory, and time that nobody waits for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from jobs.decide import KEEPSAKES
from jobs.erase import Shelf
from jobs.model import Analysis, Image, Outcome, Page, Record, Report, blob_id
from jobs.retry import Policy
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.work import STEADY, Control, Ports
from tests.fakes.classifier import FakeClassifier, answer
from tests.fakes.index import MemoryIndex
from tests.fakes.source import MemorySource
from tests.fakes.store import MemoryStore
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import Process, Wire

TERMS = Terms(
    concurrency=4, write_buffer=3, linger=0.2, call_seconds=50, lease_seconds=120, attempts=3,
    retry=Policy(attempts=2, seconds=10, base=0.2, cap=1), lookback=timedelta(minutes=15), pages_in_flight=2, scope="all",
)  # fmt: skip
DAY = timedelta(days=1)


class Watched(MemorySource):
    """A source that remembers after which names it was listed, and which names were looked up."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.begun: list[str | None] = []
        self.heads: list[str] = []

    def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page, None]:
        self.begun.append(after)
        return super().pages(after=after, prefix=prefix)

    async def head(self, name: str) -> Any:
        self.heads.append(name)
        return await super().head(name)


class Till(FakeClassifier):
    """A classifier that takes its time; with `mended` it also takes what was no image before."""

    def __init__(self, asked: str = "fake:1", *, mended: bool = False) -> None:
        super().__init__(asked=asked)
        self.mended = mended

    async def classify(self, image: Image) -> Analysis:
        await asyncio.sleep(1)
        if self.mended and image.data.startswith(b"bad"):
            self.paid["mended"] += 1
            return answer(image.data)
        return await super().classify(image)

    @property
    def calls(self) -> int:
        return sum(self.paid.values())


class Shop:
    """Everything a job is joined to, over one virtual loop."""

    def __init__(self, runner: asyncio.Runner, loop: VirtualLoop) -> None:
        self.run = runner.run
        self.loop = loop
        self.source = Watched(loop.now, page=2)
        self.store = MemoryStore(loop.now)
        self.index = MemoryIndex()
        self.till = Till()

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.store, self.store, self.store, self.index)

    def ports(self, *, seed: int | None = None, till: FakeClassifier | None = None) -> Ports:
        """Return the ports; with a seed each call takes a while of its own, so that what runs at once interleaves."""
        parts: list[Any] = [self.source, till or self.till, self.store, self.index]
        if seed is not None:
            process = Process(str(seed), random.Random(seed), Counter())
            parts = [Wire(part, process, lambda method, _: method) for part in parts]
        source, classifier, store, index = parts
        return Ports(source, classifier, store, store, store, index)

    def fill(self, number: int, *, folder: str = "") -> list[str]:
        """Put photos that are all different, one for each of the last days; return their names in order."""
        names = [f"{folder}{n:02}.jpg" for n in range(number)]
        for n, name in enumerate(names):
            self.source.put(name, f"{folder}{n}".encode(), modified=self.loop.now() - n * DAY)
        return names

    def sweep(self, *, till: FakeClassifier | None = None, control: Control = STEADY) -> Report:
        return self.run(sweep(ports=self.ports(till=till), terms=TERMS, control=control))

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    def record(self, name: str) -> Record:
        return self.store.records[blob_id(self.source.key, name)]

    def change(self, name: str, **changes: Any) -> None:
        """Change a record behind everybody's back, as another process would."""
        record = self.record(name)
        self.store.records[record.id] = replace(record, **changes)

    def outcomes(self) -> dict[str, Outcome | None]:
        return {record.name: record.outcome for record in self.store.records.values() if record.source != KEEPSAKES}

    def found(self) -> set[str]:
        """Return the names that the index shows."""
        return {document.name for document in self.index.documents.values()}


@contextmanager
def opened() -> Iterator[Shop]:
    """Open a shop."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        yield Shop(runner, loop)


def adds_up(report: Report) -> bool:
    parts = (report.classified, report.reused, report.unchanged, report.skipped, report.deferred, report.dead, report.gone)
    return report.listed == sum(parts)
