from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from jobs.backfill import Range, backfill
from jobs.decide import KEEPSAKES, keepsake
from jobs.errors import StorageFailed
from jobs.forget import forget
from jobs.model import OpenPage, Outcome, Record
from jobs.sweep import sweep
from tests.fakes.index import MemoryIndex
from tests.fakes.store import MemoryStore
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import TERMS, Shop, Till, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


class Broken(MemoryIndex):
    """An index that cannot be written."""

    async def remove(self, ids: Sequence[str]) -> None:
        raise StorageFailed("remove", ids[0], "the disk is full")


def _forget(shop: Shop, name: str = "00.jpg") -> Record:
    return shop.run(forget(source=shop.source.key, name=name, shelf=shop.shelf))


def _everything_again(shop: Shop) -> None:
    shop.run(sweep(ports=shop.ports(), terms=replace(TERMS, scope=f"all, at {shop.loop.moment}")))


def test_nothing_of_it_stays(shop: Shop) -> None:
    shop.fill(2)
    shop.sweep()
    left = _forget(shop)
    assert left == shop.record("00.jpg")
    assert left.outcome is Outcome.FORGOTTEN
    assert (left.analysis, left.content_hash, left.analysed, left.failure, left.claim) == (None, None, None, None, None)
    assert shop.found() == {"01.jpg"}


def test_no_version_of_it_is_taken_again(shop: Shop) -> None:
    shop.fill(2)
    shop.sweep()
    _forget(shop)
    _everything_again(shop)
    shop.source.put("00.jpg", b"a newer version")
    _everything_again(shop)
    shop.run(backfill(ports=shop.ports(till=Till("fake:2")), terms=TERMS, span=Range(stale=True)))
    assert shop.record("00.jpg").outcome is Outcome.FORGOTTEN
    assert shop.found() == {"01.jpg"}
    assert shop.till.calls == 2


def test_a_name_that_nobody_met_stays_out_too(shop: Shop) -> None:
    _forget(shop, "secret/plan.jpg")
    shop.source.put("secret/plan.jpg", b"a plan", modified=EPOCH)
    report = shop.sweep()
    assert (report.listed, report.skipped, shop.till.calls) == (1, 1, 0)
    assert shop.found() == set()


def test_to_forget_it_again_changes_nothing(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    first = _forget(shop)
    shop.later(60)
    assert _forget(shop) == first


def test_a_deferred_newer_version_takes_the_older_ones_document_along(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    shop.change("00.jpg", outcome=Outcome.DEFERRED, etag="newer", content_hash=None)
    _forget(shop)
    assert shop.found() == set()


def test_where_the_index_fails_it_can_be_forgotten_again(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    with pytest.raises(StorageFailed):
        shop.run(forget(source=shop.source.key, name="00.jpg", shelf=replace(shop.shelf, index=Broken())))
    assert shop.found() == {"00.jpg"}
    _forget(shop)
    assert shop.found() == set()


def test_where_it_crashed_before_the_index_the_next_sweep_removes_the_document(shop: Shop) -> None:
    shop.fill(2)
    shop.sweep()
    with pytest.raises(StorageFailed):
        shop.run(forget(source=shop.source.key, name="00.jpg", shelf=replace(shop.shelf, index=Broken())))
    shop.sweep()
    assert shop.found() == {"01.jpg"}


def test_no_page_stays_open(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    _forget(shop)
    assert not [key for kind, key in shop.store.documents if kind == OpenPage.__name__]


def test_its_bytes_are_not_answered_from_memory_any_more(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    _forget(shop)
    shop.source.put("copy.jpg", shop.source.blobs["00.jpg"][1])
    shop.sweep()
    assert shop.till.calls == 2


def test_an_answer_kept_by_hash_goes_too_whatever_it_was_asked_by(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    shop.run(backfill(ports=shop.ports(till=Till("fake:2")), terms=TERMS, span=Range(stale=True)))
    kept = [record for record in shop.store.records.values() if record.source == KEEPSAKES]
    assert [record.asked for record in kept if record.analysis] == ["fake:1"]
    _forget(shop)
    assert not any(record.analysis for record in shop.store.records.values())


def test_another_image_with_the_same_bytes_keeps_its_copy(shop: Shop) -> None:
    shop.fill(1)
    shop.source.put("copy.jpg", shop.source.blobs["00.jpg"][1])
    shop.sweep()
    copy = shop.record("copy.jpg")
    _forget(shop)
    assert shop.record("copy.jpg") == copy
    assert shop.found() == {"copy.jpg"}
    shop.source.put("third.jpg", shop.source.blobs["00.jpg"][1])
    assert shop.sweep().reused == 1


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 2.0])
@pytest.mark.parametrize("known", [False, True])
def test_a_run_that_is_at_it_cannot_bring_it_back(shop: Shop, moment: float, *, known: bool) -> None:
    shop.fill(3)
    if known:
        shop.sweep()
        shop.later(2000)
        shop.source.put("00.jpg", b"a newer version")

    async def both() -> None:
        sweeping = asyncio.create_task(sweep(ports=shop.ports(seed=1), terms=TERMS))
        await asyncio.sleep(moment)
        await forget(source=shop.source.key, name="00.jpg", shelf=shop.shelf)
        await sweeping

    shop.run(both())
    assert shop.record("00.jpg").outcome is Outcome.FORGOTTEN
    assert shop.record("00.jpg").analysis is None
    shop.later(2000)
    shop.sweep()
    assert shop.found() == {"01.jpg", "02.jpg"}


def test_a_run_that_read_the_record_before_cannot_keep_its_answer_after(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    (kept,) = filter(None, [keepsake(shop.record("00.jpg"))])
    _forget(shop)
    assert shop.run(shop.store.write([kept])) == [None]


def test_an_answer_kept_in_the_middle_of_forgetting_goes_too(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    (kept,) = filter(None, [keepsake(shop.record("00.jpg"))])

    class Keeping(MemoryStore):
        """A store in which a sweep keeps the answer just before ours is emptied."""

        async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
            if kept.id not in self.records:
                await super().write([kept])
            return await super().write(records)

    store = Keeping(shop.loop.now)
    store.records = shop.store.records
    shop.store = store
    _forget(shop)
    assert not any(record.analysis for record in store.records.values())


def test_a_record_that_never_rests_is_an_error(shop: Shop) -> None:
    shop.fill(1)

    class Restless(MemoryStore):
        async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
            return [None for _ in records]

    shop.store = Restless(shop.loop.now)
    with pytest.raises(StorageFailed, match="keeps changing"):
        _forget(shop)
