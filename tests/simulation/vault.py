"""The store of a simulated world: every write is looked at in the moment in which it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from jobs.hashes import PREFIX
from jobs.model import Lease, OpenPage, Record, Scan
from jobs.ports import Document
from tests.fakes.store import MemoryStore
from tests.simulation import invariants
from tests.simulation.invariants import Violation
from tests.simulation.loop import VirtualLoop
from tests.simulation.shop import Shelf, Shop

ENDED = datetime.min.replace(tzinfo=UTC)
"""When a lease ends that was given back."""


class Vault(MemoryStore):
    """Holds what the jobs write. `alone` says that at most one job runs; `broken` keeps what was violated, whoever caught it.

    `claims` are the names and the contents that were ever claimed, by run. A `coarse` clock tells whole seconds.
    """

    def __init__(self, loop: VirtualLoop, shop: Shop, index: Callable[[], Shelf], hazards: Counter[str]) -> None:
        super().__init__(lambda: loop.now().replace(microsecond=0) if self.coarse else loop.now())
        self.coarse = False
        self.alone = True
        self.broken: list[str] = []
        self.called = 0
        self.claims: set[tuple[str, str]] = set()
        self._shop = shop
        self._index = index
        self._hazards = hazards
        self._passed: float | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep a violation before it escapes."""
        try:
            yield
        except Violation as violation:
            self.broken.append(str(violation))
            raise

    def _write(self, record: Record) -> Record | None:
        former = self.records.get(record.id)
        stored = super()._write(record)
        if stored is not None and stored.claim is not None:
            self.claims.add((_run(stored.claim.owner), stored.name))
        if stored is not None and stored.source == self._shop.key:
            self._hazards["archived blob deferred"] += bool(stored.failure) and stored.failure.failure_class == "archived"
            with self.noting():
                invariants.newest_version_stands(self._shop, former, stored)
                invariants.stays_settled(self._shop, stored, passed=self._passed)
        return stored

    async def put(self, key: str, document: Document, version: str | None) -> str:
        found = self.documents.get((type(document).__name__, key))
        former = found[0] if found else None
        result = await super().put(key, document, version)
        if isinstance(document, Lease):
            self.claims.add((_run(document.owner), key))
        with self.noting():
            if isinstance(document, Scan) and key == f"{self._shop.key}|":
                self._scanned(former if isinstance(former, Scan) else None, document)
            if isinstance(document, Lease) and isinstance(former, Lease) and former.owner != document.owner:
                invariants.lease_is_respected(key, former, document, now=self.time)
                self._hazards["lease taken over"] += former.expires > ENDED
        return result

    async def remove(self, kind: type[Document], key: str, version: str | None = None) -> None:
        found = self.documents.get((kind.__name__, key))
        await super().remove(kind, key, version)
        if self.alone and found and isinstance(found[0], OpenPage):
            with self.noting():
                invariants.index_shows_what_is_not_open(self, self._index(), found[0].ids)

    @property
    def time(self) -> datetime:
        """The time by this store's clock."""
        return self._clock()

    def leases(self, run: str) -> list[Lease]:
        """Return the leases on sources that a run holds, as far as the store knows."""
        return [
            lease
            for (_, key), (lease, _) in self.documents.items()
            if isinstance(lease, Lease) and not key.startswith(PREFIX) and _run(lease.owner) == run
        ]

    def _scanned(self, former: Scan | None, scan: Scan) -> None:
        invariants.progress_moves_forward(former, scan)
        invariants.checkpoint_passed_nothing(self._shop, self, scan)
        if scan.watermark is not None and (former is None or former.watermark != scan.watermark):
            if former is None or former.checkpoint is None:
                raise Violation("the watermark moved without a scan")
            self._passed = self._shop.true_seconds(former.checkpoint.started)
            invariants.watermark_passed_nothing(self._shop, self, scan, passed=self._passed)


def _run(owner: str) -> str:
    return owner.rpartition(":")[2]
