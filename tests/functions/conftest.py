"""The function app in the real runtime, over the embedded profile with a classifier that counts what it is asked."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from jobs import wiring
from jobs.app import desk as desks
from jobs.model import Analysis, Image
from jobs.ports import Classifier
from jobs.settings import Settings
from jobs.wiring.kinds import Store
from tests.conftest import Run
from tests.fakes.classifier import FakeClassifier
from tests.functions.host import Host
from tests.functions.queue import MemoryQueue, deliver_all, opened

if sys.version_info < (3, 13):
    collect_ignore_glob = ["test_*.py"]  # the runtime of Azure Functions is for Python 3.13


class Till(FakeClassifier):
    """A paid classifier that takes its time, and may be broken by a test."""

    def __init__(self) -> None:
        super().__init__(asked="fake:1")
        self.seconds = 0.0
        self.error: Exception | None = None

    async def classify(self, image: Image) -> Analysis:
        if self.error is not None:
            raise self.error
        await asyncio.sleep(self.seconds)
        return await super().classify(image)

    @property
    def calls(self) -> int:
        return sum(self.paid.values())


@dataclass(slots=True)
class Yard:
    """A deployment in an empty folder: photos, the app, its queue."""

    home: Path
    host: Host
    run: Run
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    till: Till = field(default_factory=Till)

    def fill(self, number: int, *, folder: str = "photos") -> None:
        """Write so many photos that are all different."""
        (self.home / folder).mkdir(exist_ok=True)
        for n in range(number):
            (self.home / folder / f"{n:03}.jpg").write_bytes(b"%s photo %d" % (folder.encode(), n))

    async def store(self) -> Store:
        return await desks.desk().store()

    def deliver(self) -> list[str]:
        return self.run(deliver_all(self.host, self.queue))

    def found(self) -> int:
        """Return how many documents the index has."""

        async def count() -> int:
            number = 0
            for named in desks.desk().sources:
                key = (await desks.desk().source(named)).key
                async for batch in (await desks.desk().index()).revisions(key):
                    number += len(batch)
            return number

        return self.run(count())


@cache
def indexed() -> Host:
    """Return the app as the runtime indexes it, which it does once in a process."""
    host = Host()
    with asyncio.Runner() as runner:
        runner.run(host.index())
    return host


@pytest.fixture(scope="session")
def host() -> Host:
    return indexed()


@pytest.fixture
def yard(host: Host, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    yard = Yard(tmp_path, host, run)

    @asynccontextmanager
    async def fake(_: Settings, __: str) -> AsyncIterator[Classifier]:
        yield yard.till

    for name in [*os.environ]:
        if name.startswith("IMAGESWEEP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(wiring.CLASSIFIERS, "fake", fake)
    monkeypatch.setattr("jobs.app.desk.open_queue", lambda: opened(yard.queue))
    monkeypatch.setenv("IMAGESWEEP_CLASSIFIER", "fake:1")
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:photos")
    monkeypatch.setenv("IMAGESWEEP_CONCURRENCY", "1")
    monkeypatch.setenv("IMAGESWEEP_PAGE", "2")
    monkeypatch.setenv("IMAGESWEEP_PAGES_IN_FLIGHT", "1")
    (tmp_path / "photos").mkdir()
    yield yard

    async def close() -> None:
        await desks.desk().close()

    run(close())
