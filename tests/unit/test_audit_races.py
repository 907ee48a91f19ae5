"""What an audit finds may have changed when it acts: blobs that come back, records that move, a lost lease, a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.audit import audit
from jobs.model import Blob, Claim, Lease, Outcome, Record, blob_id, shown
from jobs.work import Control
from tests.fakes.index import MemoryIndex
from tests.fakes.source import KEY, MemorySource
from tests.fakes.store import MemoryStore
from tests.unit.audit_kit import TERMS, Shop, virtually


class Racing(MemorySource):
    """Runs `race` once, before the given HEAD of a name."""

    before = 0
    heads = 0

    def __init__(self, clock: Callable[[], datetime], race: Callable[[], None]) -> None:
        super().__init__(clock)
        self.race = race

    async def head(self, name: str) -> Blob | None:
        self.heads += 1
        if self.heads == self.before:
            self.race()
        return await super().head(name)


@pytest.mark.parametrize("before", [1, 2])
def test_a_blob_that_came_back_before_it_was_asked_for_is_not_deleted(before: int) -> None:
    @virtually
    async def body(shop: Shop) -> None:
        shop.put("a.jpg", "b.jpg")
        await shop.sweep()
        source = Racing(shop.loop.now, lambda: shop.put("a.jpg"))
        source.before = before
        source.blobs = shop.source.blobs
        shop.source = source
        source.delete("a.jpg")
        result = await shop.audit(repair=True)
        assert source.heads == before
        assert (result.report.gone, result.report.removed) == (0, 0)
        assert shown(shop.record("a.jpg"))

    body()


class Touchy(MemoryStore):
    """Runs `race` once: before the given look-up, or before the first tombstone is written."""

    race: Callable[[], None] | None = None
    before = 0
    asked = 0

    async def look_up(self, ids: Sequence[str], **how: Any) -> Mapping[str, Record]:
        self.asked += self.before > 0
        if self.asked == self.before > 0:
            self._run()
        return await super().look_up(ids, **how)

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        if not self.before and any(one.outcome is Outcome.GONE for one in records):
            self._run()
        return await super().write(records)

    def _run(self) -> None:
        race, self.race = self.race, None
        if race is not None:
            race()


@virtually
async def test_a_record_that_was_settled_meanwhile_is_not_deleted(shop: Shop) -> None:
    store = shop.store = Touchy(shop.loop.now)
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    store.race = lambda: shop.change("a.jpg", etag="newer")
    result = await shop.audit(repair=True)
    assert (result.report.gone, result.report.removed) == (0, 0)
    assert shown(shop.record("a.jpg"))


@pytest.mark.parametrize("before", [1, 2])
def test_a_record_that_was_claimed_meanwhile_is_left_to_its_claimant(before: int) -> None:
    @virtually
    async def body(shop: Shop) -> None:
        store = shop.store = Touchy(shop.loop.now)
        shop.put("a.jpg", "b.jpg")
        await shop.sweep()
        shop.source.delete("a.jpg")
        mark = Claim("another", "e9", "fake:1", shop.loop.now() + timedelta(seconds=60))
        store.race = lambda: shop.change("a.jpg", outcome=Outcome.DEFERRED, claim=mark)
        store.before = before
        result = await shop.audit(repair=True)
        assert (store.race, result.report.gone) == (None, 0)
        assert shop.record("a.jpg").claim == mark

    body()


@pytest.mark.parametrize("before", [1, 2])
def test_a_record_that_was_forgotten_meanwhile_stays_forgotten(before: int) -> None:
    @virtually
    async def body(shop: Shop) -> None:
        store = shop.store = Touchy(shop.loop.now)
        shop.put("a.jpg", "b.jpg")
        await shop.sweep()
        shop.source.delete("a.jpg")
        store.race = lambda: shop.change("a.jpg", outcome=Outcome.FORGOTTEN, analysis=None, rev=2)
        store.before = before
        result = await shop.audit(repair=True)
        assert store.race is None
        assert result.report.gone == 0
        assert shop.record("a.jpg").outcome is Outcome.FORGOTTEN

    body()


@pytest.mark.parametrize("before", [1, 2])
def test_a_document_whose_record_came_to_be_shown_is_not_removed(before: int) -> None:
    @virtually
    async def body(shop: Shop) -> None:
        store = shop.store = Touchy(shop.loop.now)
        shop.put("a.jpg", "b.jpg")
        await shop.sweep()
        record = shop.record("a.jpg")
        shop.drop_record("a.jpg")
        shop.source.delete("a.jpg")
        store.race = lambda: store.records.update({record.id: record})
        store.before = before
        result = await shop.audit(repair=True)
        assert (store.race, result.report.removed, result.orphaned_index) == (None, 0, before - 1)

    body()


class Slippery(MemoryIndex):
    """Runs `race` once, before the first removal."""

    race: Callable[[], None] | None = None

    async def remove(self, ids: Sequence[str]) -> None:
        if self.race is not None:
            self.race()
            self.race = None
        await super().remove(ids)


@virtually
async def test_a_document_whose_record_came_to_be_shown_is_put_back(shop: Shop) -> None:
    index = shop.index = Slippery()
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    record = shop.record("a.jpg")
    shop.drop_record("a.jpg")
    shop.source.delete("a.jpg")
    index.race = lambda: shop.store.records.update({record.id: record})
    await shop.audit(repair=True)
    assert record.id in index.documents


@pytest.mark.parametrize(("gone", "before"), [("a.jpg", 1), ("a.jpg", 2), ("a.jpg", 3), ("a.jpg", 4), ("b.jpg", 1), ("b.jpg", 2)])
def test_an_audit_that_lost_its_lease_deletes_nothing(gone: str, before: int) -> None:
    """`a.jpg` is an orphan in the store, `b.jpg` in the index; the process freezes before one of its look-ups or HEADs."""

    @virtually
    async def body(shop: Shop) -> None:
        calls = 0

        def freeze() -> None:
            nonlocal calls
            calls += 1
            if calls == before:
                shop.loop.moment += 10_000
                lease = shop.store.documents["Lease", f"audit|{KEY}|"][0]
                assert isinstance(lease, Lease)
                shop.store.documents["Lease", f"audit|{KEY}|"] = (replace(lease, owner="another", token=9), "stolen")

        class Frozen(MemorySource):
            async def head(self, name: str) -> Blob | None:
                freeze()
                return await super().head(name)

        class FrozenStore(MemoryStore):
            async def look_up(self, ids: Sequence[str], **how: Any) -> Mapping[str, Record]:
                freeze()
                return await super().look_up(ids, **how)

        shop.put("a.jpg", "b.jpg")
        await shop.sweep()
        if gone == "b.jpg":
            shop.drop_record(gone)
        shop.source.delete(gone)
        source, store = Frozen(shop.loop.now), FrozenStore(shop.loop.now)
        source.blobs, store.records, store.documents = shop.source.blobs, shop.store.records, shop.store.documents
        shop.source, shop.store = source, store
        held = dict(store.records), dict(shop.index.documents)
        result = await shop.audit(repair=True)
        assert calls >= before
        assert result.report.status == "stopped"
        assert (store.records, shop.index.documents) == held

    body()


@virtually
async def test_an_audit_that_lost_its_lease_while_it_wrote_shows_what_it_stored_and_stops(shop: Shop) -> None:
    class Stolen(MemoryStore):
        async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
            written = await super().write(records)
            if any(one.outcome is Outcome.GONE for one in records):
                lease = self.documents["Lease", f"audit|{KEY}|"][0]
                assert isinstance(lease, Lease)
                self.documents["Lease", f"audit|{KEY}|"] = (replace(lease, owner="another", token=9), "stolen")
                await asyncio.sleep(100)
            return written

    shop.store = Stolen(shop.loop.now)
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    result = await shop.audit(repair=True)
    assert (result.report.status, result.report.removed) == ("stopped", 1)
    assert list(shop.index.documents) == [blob_id(KEY, "b.jpg")], "its page may have been taken over before it was stored"


@virtually
async def test_a_stopped_comparison_mends_nothing(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    result = await audit(ports=shop.ports, terms=TERMS, repair=True, control=Control(stopped=lambda: True))
    assert (result.report.status, result.compared) == ("stopped", 0)
    assert shown(shop.record("a.jpg"))


@virtually
async def test_a_crash_between_store_and_index_is_mended_by_the_next_sweep(shop: Shop) -> None:
    class Dies(MemoryIndex):
        dead = True

        async def remove(self, ids: Sequence[str]) -> None:
            if self.dead:
                raise KeyboardInterrupt
            await super().remove(ids)

    index = shop.index = Dies()
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    with pytest.raises(KeyboardInterrupt):
        await audit(ports=shop.ports, terms=TERMS, repair=True)
    assert shop.record("a.jpg").outcome is Outcome.GONE
    assert blob_id(KEY, "a.jpg") in index.documents
    index.dead = False
    await shop.sweep()
    assert blob_id(KEY, "a.jpg") not in index.documents
