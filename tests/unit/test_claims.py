"""Two at one blob: who loses a claim looks again; who slept through its lease pays for nothing more, and takes no place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobs import decide
from jobs.audit import audit
from jobs.errors import LeaseHeld
from jobs.hashes import PREFIX
from jobs.model import Analysis, Blob, Claim, Image, Lease, OpenPage, Outcome, Record, Scan
from jobs.ports import D
from jobs.sweep import sweep
from jobs.taxonomy import NO_TAXONOMY
from tests.fakes.classifier import answer
from tests.fakes.index import MemoryIndex
from tests.fakes.store import MemoryStore
from tests.simulation.loop import VirtualLoop
from tests.unit.shop_kit import DAY, TERMS, Shop, Till, Watched, adds_up, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


class Overtaken(MemoryStore):
    """A store in which another settler writes what it had under way, between our look at a record and our claim of it."""

    others: Record | None = None

    async def look_up(self, ids: Sequence[str], **how: Any) -> Mapping[str, Record]:
        found = await super().look_up(ids, **how)
        others, self.others = self.others, None
        if others is not None:
            assert await super().write([others]) != [None]
        return found


def _claimed(store: MemoryStore, blob: Blob, shop: Shop) -> Record:
    mark = Claim("another:1:b", blob.etag, shop.till.asked, shop.loop.now() + DAY)
    (claimed,) = shop.run(store.write([decide.claim(blob, None, mark, run_id="b")]))
    assert claimed is not None
    return claimed


class Reading(Watched):
    """A source that remembers what was read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.read_names: list[str] = []

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        self.read_names.append(blob.name)
        return await super().read(blob, limit=limit)


class Losing(MemoryStore):
    """A store in which another process takes the lease as soon as a result is stored, and which takes its time to say so."""

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        stored = await super().write(records)
        if any(record.outcome is Outcome.CLASSIFIED for record in records):
            key = next(key for kind, key in self.documents if kind == "Lease" and not key.startswith(PREFIX))
            self.documents["Lease", key] = (Lease("another:1:b", 2, self._clock() + DAY), "another's")
            await asyncio.sleep(TERMS.lease_seconds)
        return stored


class Freezing(Watched):
    """A source during whose read the process sleeps through its lease, and another one takes it."""

    asleep: Shop

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        loop, documents = self.asleep.loop, self.asleep.store.documents
        loop.moment += 10 * TERMS.lease_seconds
        documents["Lease", f"{self.key}|"] = (Lease("another:1:b", 2, loop.now() + DAY), "another's")
        return await super().read(blob, limit=limit)


@pytest.mark.parametrize("how", ["classified", "dead", "gone"])
def test_a_claim_lost_to_what_became_of_an_older_version_is_made_again(shop: Shop, how: str) -> None:
    store = shop.store = Overtaken(shop.loop.now)
    old = shop.source.put("a.jpg", b"old")
    claimed, now = _claimed(store, old, shop), shop.loop.now()
    new = shop.source.put("a.jpg", b"new")
    ends = {
        "classified": decide.answered(
            claimed, answer(b"old", "fake:1"), content_hash="0", reused=False, now=now, taxonomy=NO_TAXONOMY
        ),
        "dead": decide.dead(claimed, "not-an-image", "it was none", now=now),
        "gone": decide.gone(claimed, now=now),
    }
    store.others = ends[how]
    report = shop.run(sweep(ports=shop.ports(), terms=TERMS))
    record = shop.record("a.jpg")
    assert (report.status, record.etag, record.outcome) == ("complete", new.etag, Outcome.CLASSIFIED)
    assert (report.listed, report.classified) == (1, 1)
    assert adds_up(report)


def test_a_claim_lost_to_one_who_settled_this_very_version_is_left_at_that(shop: Shop) -> None:
    store = shop.store = Overtaken(shop.loop.now)
    blob = shop.source.put("a.jpg", b"new")
    mark = Claim("another:1:b", blob.etag, shop.till.asked, shop.loop.now())
    record, now = decide.claim(blob, None, mark, run_id="b"), shop.loop.now()
    store.others = decide.answered(record, answer(b"new", "fake:1"), content_hash="0", reused=False, now=now, taxonomy=NO_TAXONOMY)
    report = shop.run(sweep(ports=shop.ports(), terms=TERMS))
    assert (report.status, report.unchanged, report.calls) == ("complete", 1, 0)
    assert adds_up(report)


def test_who_was_frozen_before_a_call_until_its_lease_ended_does_not_make_it(shop: Shop) -> None:
    shop.source = Freezing(shop.loop.now)
    shop.source.asleep = shop
    shop.source.put("a.jpg", b"one")
    report = shop.sweep()
    assert (report.status, report.calls, shop.till.calls) == ("stopped", 0, 0)
    assert shop.outcomes() == {"a.jpg": Outcome.DEFERRED}


def test_a_dry_audit_reads_nothing_that_is_archived(shop: Shop) -> None:
    source = shop.source = Reading(shop.loop.now)
    (name,) = shop.fill(1)
    shop.sweep()
    _, data = source.blobs.pop(name)
    moved = source.put("moved.jpg", data)
    source.blobs["moved.jpg"] = (replace(moved, archived="it is in the archive tier"), data)
    source.read_names.clear()
    result = shop.run(audit(ports=shop.ports(), terms=TERMS))
    assert (result.missing, result.orphaned_store, source.read_names) == (1, 1, [])


class Asleep(MemoryStore):
    """A store in which a process sleeps through its lease before it reads its place, or loses the place to another after it did."""

    loop: VirtualLoop
    before: bool

    async def get(self, kind: type[D], key: str) -> tuple[D, str] | None:
        if kind is not Scan:
            return await super().get(kind, key)
        found = None if self.before else await super().get(kind, key)
        self.loop.moment += 10 * TERMS.lease_seconds * self.before
        self.documents["Lease", key] = (Lease("another:1:b", 2, self.loop.now() + DAY), "another's")
        self.documents["Scan", key] = (Scan(fence=2), "another's")
        return await super().get(kind, key) if self.before else found


@pytest.mark.parametrize("before", [True, False])
def test_who_slept_through_its_lease_does_not_take_the_place_of_another(shop: Shop, *, before: bool) -> None:
    store = shop.store = Asleep(shop.loop.now)
    store.loop, store.before = shop.loop, before
    with pytest.raises(LeaseHeld):
        shop.sweep()
    assert store.documents["Scan", f"{shop.source.key}|"] == (Scan(fence=2), "another's")


class Refusing(MemoryIndex):
    """An index in which another process publishes the same record, is refused, and takes the document away again."""

    store: MemoryStore

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        answers = await super().publish(records)
        for record in records:
            if self.documents.pop(record.id) and self.store.records[record.id].unpublished is None:
                self.store.records[record.id] = replace(self.store.records[record.id], unpublished="refused", version="another's")
            else:
                await super().publish([record])
        return answers


def test_a_document_that_another_took_away_meanwhile_is_published_again(shop: Shop) -> None:
    index = shop.index = Refusing()
    index.store = shop.store
    (name,) = shop.fill(1)
    shop.sweep()
    assert shop.found() == {name}
    assert shop.record(name).unpublished is None


def test_what_a_dead_run_had_claimed_is_settled_by_the_sweep_that_takes_over(shop: Shop) -> None:
    blob = shop.source.put("a.jpg", b"one")
    _claimed(shop.store, blob, shop)
    shop.run(shop.store.put(f"{shop.source.key}||b|1", OpenPage("another:1:b", (blob.id,)), None))
    shop.sweep()
    assert shop.outcomes() == {"a.jpg": Outcome.CLASSIFIED}


class Overwriting(Till):
    """A classifier during whose call the blob becomes another version, which another process claims."""

    shop: Shop

    async def classify(self, image: Image) -> Analysis:
        blob = self.shop.source.put(image.name, b"new")
        mark = Claim("another:1:b", blob.etag, self.asked, self.shop.loop.now() + DAY)
        record = self.shop.store.records[blob.id]
        assert await self.shop.store.write([decide.claim(blob, record, mark, run_id="b")]) != [None]
        return await super().classify(image)


def test_an_answer_that_comes_too_late_for_its_version_is_kept_for_its_bytes(shop: Shop) -> None:
    till = Overwriting()
    till.shop = shop
    shop.source.put("a.jpg", b"old")
    shop.sweep(till=till)
    shop.source.put("b.jpg", b"old")
    assert shop.sweep().calls == 0
    assert shop.outcomes() == {"a.jpg": Outcome.DEFERRED, "b.jpg": Outcome.REUSED}


def test_what_was_stored_is_published_also_when_the_lease_is_lost(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    shop.store = Losing(shop.loop.now)
    report = shop.sweep()
    assert report.status == "stopped"
    assert shop.found() == {"a.jpg"}
