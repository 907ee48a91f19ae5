"""A shop to audit: source, store and index over fakes, on a loop without real time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from jobs.audit import Audit, audit
from jobs.compare import Kind
from jobs.model import Outcome, Record, blob_id, shown
from jobs.retry import Policy
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.work import Control, Ports
from tests.fakes.classifier import FakeClassifier, answer
from tests.fakes.index import MemoryIndex
from tests.fakes.source import KEY, MemorySource
from tests.fakes.store import MemoryStore
from tests.simulation.loop import EPOCH, VirtualLoop, run_virtually

TERMS = Terms(concurrency=4, write_buffer=3, linger=0.1, retry=Policy(attempts=3, seconds=60, base=0.1, cap=1), scope="all")
OLD = EPOCH - timedelta(days=30)


@dataclass
class Shop:
    """A source, swept once, with its store and index; what goes wrong in it is done by hand."""

    loop: VirtualLoop = field(default_factory=VirtualLoop)
    till: FakeClassifier = field(default_factory=FakeClassifier)
    index: MemoryIndex = field(default_factory=MemoryIndex)

    def __post_init__(self) -> None:
        self.source = MemorySource(self.loop.now)
        self.store = MemoryStore(self.loop.now)
        self.runs = 0

    @property
    def ports(self) -> Ports:
        return Ports(self.source, self.till, self.store, self.store, self.store, self.index)

    def put(self, *names: str) -> None:
        """Put an image of its own under each name, changed long ago."""
        for name in names:
            self.source.put(name, b"img " + name.encode(), modified=OLD)

    def record(self, name: str) -> Record:
        return self.store.records[blob_id(KEY, name)]

    def change(self, name: str, **changes: Any) -> None:
        self.store.records[blob_id(KEY, name)] = replace(self.record(name), version=f"by hand {name}", **changes)

    def drop_record(self, name: str) -> None:
        del self.store.records[blob_id(KEY, name)]

    def drop_document(self, name: str) -> None:
        del self.index.documents[blob_id(KEY, name)]

    def rename(self, name: str, to: str) -> None:
        self.source.put(to, self.source.blobs[name][1], modified=OLD)
        self.source.delete(name)

    @property
    def calls(self) -> int:
        return sum(self.till.paid.values())

    async def sweep(self, **options: Any) -> None:
        report = await sweep(ports=self.ports, terms=TERMS, control=self._control(), **options)
        assert report.status == "complete", report.message

    async def audit(self, **options: Any) -> Audit:
        terms = options.pop("terms", TERMS)
        result = await audit(ports=options.pop("ports", self.ports), terms=terms, control=self._control(), **options)
        one = result.report
        assert one.listed == one.classified + one.reused + one.unchanged + one.skipped + one.deferred + one.dead + one.gone
        return result

    def _control(self) -> Control:
        self.runs += 1
        return Control(run_id=f"run-{self.runs}")

    def check(self) -> None:
        """The index is the projection of the store, and the store knows what is in the source."""
        live = {blob.id: blob for blob, _ in self.source.blobs.values()}
        shows = {key: one.rev for key, one in self.store.records.items() if shown(one) and one.source == KEY}
        assert {key: one.rev for key, one in self.index.documents.items()} == shows
        assert set(shows) <= set(live)
        for key, blob in live.items():
            record = self.store.records[key]
            assert record.outcome is Outcome.FORGOTTEN or record.etag == blob.etag
            if shown(record):
                assert record.analysis == answer(self.source.blobs[blob.name][1])


Body = Callable[[Shop], Awaitable[None]]


def virtually(body: Body) -> Callable[[], None]:
    """Run a test in a shop of its own."""

    def test() -> None:
        shop = Shop()

        async def whole() -> None:
            await body(shop)

        run_virtually(whole(), shop.loop)

    test.__name__ = getattr(body, "__name__", "test")
    return test


def counts(result: Audit) -> dict[str, int]:
    return {kind.value: number for kind in Kind if (number := getattr(result, kind.value))}


def mended(result: Audit) -> dict[str, int]:
    return {kind: number for kind, number in result.repaired.items() if number}


async def whole(shop: Shop) -> None:
    """Demand that an audit finds nothing to mend, and that everything agrees."""
    shop.check()
    result = await shop.audit()
    assert counts(result) == {}
    assert result.report.status == "complete"
