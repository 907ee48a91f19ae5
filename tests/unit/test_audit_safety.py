"""What an audit must not do: the brake, disorder, what is hidden, faults, a spent budget."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs import mend
from jobs.errors import Transient
from jobs.model import Blob, Claim, Odd, Outcome, Page, blob_id, shown
from search.document import document
from tests.fakes.index import MemoryIndex
from tests.fakes.source import KEY, MemorySource
from tests.unit.audit_kit import TERMS, Shop, counts, mended, virtually, whole


@virtually
async def test_the_brake_holds_back_every_deletion_and_nothing_else(shop: Shop) -> None:
    names = [f"{number:03}.jpg" for number in range(40)]
    shop.put(*names)
    await shop.sweep()
    for name in names[:11]:
        shop.source.delete(name)
    shop.put("new.jpg")
    dry = await shop.audit()
    assert (dry.braked, dry.report.status) == (True, "complete")
    assert "11 of 40" in dry.message
    assert "--brake" in dry.message
    result = await shop.audit(repair=True)
    assert (result.braked, result.report.status) == (True, "failed")
    assert "11 of 40" in result.report.message
    assert mended(result) == {"missing": 1}
    assert len(shop.index.documents) == 41
    result = await shop.audit(repair=True, brake=0.3)
    assert mended(result) == {"orphaned_store": 11}
    await whole(shop)


@virtually
async def test_the_brake_counts_documents_and_lets_a_few_go(shop: Shop) -> None:
    names = [f"{number:03}.jpg" for number in range(22)]
    shop.put(*names)
    await shop.sweep()
    for name in names[:5]:
        shop.source.delete(name)
    for name in names[5:11]:
        shop.source.delete(name)
        shop.drop_record(name)
    assert (await shop.audit()).braked
    shop.put(names[10])
    result = await shop.audit(repair=True)
    assert mended(result) == {"orphaned_store": 5, "orphaned_index": 5, "missing": 1}


@virtually
async def test_tombstones_do_not_loosen_the_brake(shop: Shop) -> None:
    names = [f"{number:03}.jpg" for number in range(60)]
    shop.put(*names)
    await shop.sweep()
    for name in names[:40]:
        shop.source.delete(name)
    await shop.audit(repair=True, brake=1)
    for name in names[40:51]:
        shop.source.delete(name)
    assert (await shop.audit(repair=True, brake=0.3)).braked


class Shuffled(MemorySource):
    """Lists folders before what sorts before them, as accounts with a hierarchical namespace do."""

    async def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page, None]:
        blobs = [blob async for page in super().pages(after=after, prefix=prefix) for blob in page.blobs]
        yield Page(tuple(sorted(blobs, key=lambda blob: blob.name.replace("/", "\0"))))


@virtually
async def test_a_listing_out_of_order_stops_every_deletion(shop: Shop) -> None:
    shop.put("a/x.jpg", "a-b.jpg", "z.jpg")
    await shop.sweep()
    source = Shuffled(shop.loop.now)
    source.blobs = {name: blob for name, blob in shop.source.blobs.items() if name != "z.jpg"}
    shop.source = source
    shop.put("b.jpg")
    result = await shop.audit(repair=True)
    assert result.report.status == "failed"
    assert result.report.classified == 1
    assert shown(shop.record("b.jpg"))
    assert result.disorder == "the listing has 'a-b.jpg' after 'a/x.jpg'"
    assert "Nothing was deleted" in result.message
    assert shown(shop.record("z.jpg"))


class Backwards(MemoryIndex):
    """An index that streams its revisions in no order."""

    async def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]], None]:
        async for batch in super().revisions(source):
            yield batch[::-1]


@virtually
async def test_an_index_out_of_order_stops_every_deletion(shop: Shop) -> None:
    shop.index = Backwards()
    shop.put("a.jpg", "b.jpg", "c.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    shop.drop_record("b.jpg")
    shop.source.delete("b.jpg")
    result = await shop.audit(repair=True)
    assert result.report.status == "failed"
    assert result.disorder == "the index has 'b.jpg' after 'c.jpg'"
    assert len(shop.index.documents) == 3
    assert shown(shop.record("a.jpg"))


@virtually
async def test_nothing_below_what_could_not_be_read_is_deleted(shop: Shop) -> None:
    shop.put("a.jpg", "b/x.jpg", "b/y.jpg", "bc.jpg")
    await shop.sweep()
    for name in ("b/x.jpg", "b/y.jpg", "bc.jpg"):
        shop.source.delete(name)
    shop.drop_record("b/y.jpg")
    shop.source.unread.add("b/")
    result = await shop.audit(repair=True)
    assert counts(result) == {"orphaned_store": 1}
    assert result.examples["orphaned_store"] == ("bc.jpg",)
    assert (result.report.status, result.report.unread) == ("partial", 1)
    assert shown(shop.record("b/x.jpg"))
    assert blob_id(KEY, "b/y.jpg") in shop.index.documents


@virtually
async def test_what_is_there_though_not_listed_is_left_alone(shop: Shop) -> None:
    shop.put("a.jpg", "out.jpg")
    await shop.sweep()

    class Choosy(MemorySource):
        def peek(self, after: str | None, prefix: str) -> Page | None:
            page = super().peek(after, prefix)
            return page and replace(
                page,
                blobs=tuple(blob for blob in page.blobs if blob.name != "out.jpg"),
                odd=(Odd("out.jpg", "chosen out by a glob"),),
            )

    source = Choosy(shop.loop.now)
    source.blobs = shop.source.blobs
    shop.source = source
    source.put("out.jpg", b"img of another version")
    result = await shop.audit(repair=True)
    assert (counts(result), result.unlisted) == ({}, 1)
    assert shop.calls == 2
    assert shown(shop.record("out.jpg"))


@virtually
async def test_what_another_run_has_claimed_is_its_own(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    for name in ("a.jpg", "b.jpg"):
        mark = Claim("another", "e9", "fake:1", shop.loop.now() + timedelta(seconds=60))
        shop.change(name, claim=mark, outcome=Outcome.DEFERRED)
    shop.source.delete("a.jpg")
    shop.put("b.jpg")
    assert counts(await shop.audit()) == {}
    shop.loop.moment += 61
    assert counts(await shop.audit()) == {"orphaned_store": 1, "stale": 1}


@virtually
async def test_only_its_own_prefix_is_touched(shop: Shop) -> None:
    shop.put("a/1.jpg", "b/1.jpg", "b/2.jpg")
    await shop.sweep()
    for name in ("a/1.jpg", "b/1.jpg"):
        shop.source.delete(name)
    shop.drop_document("b/2.jpg")
    result = await shop.audit(repair=True, prefix="a/")
    assert (counts(result), result.compared) == ({"orphaned_store": 1}, 1)
    assert shown(shop.record("b/1.jpg"))


@virtually
async def test_another_source_is_not_touched(shop: Shop) -> None:
    shop.put("a.jpg")
    await shop.sweep()
    other = replace(shop.record("a.jpg"), id=blob_id("other", "z.jpg"), source="other", name="z.jpg")
    shop.store.records[other.id] = other
    shop.index.documents[other.id] = document(other)
    assert counts(await shop.audit(repair=True)) == {}
    assert other.id in shop.index.documents


@virtually
async def test_one_blob_that_cannot_be_asked_for_stops_nothing_else(shop: Shop) -> None:
    class Deaf(MemorySource):
        async def head(self, name: str) -> Blob | None:
            if name == "a.jpg":
                raise Transient("head", name, "no answer")
            return await super().head(name)

    shop.put("a.jpg", "b.jpg", "c.jpg")
    await shop.sweep()
    source = Deaf(shop.loop.now)
    source.blobs = shop.source.blobs
    shop.source = source
    source.delete("a.jpg")
    source.delete("b.jpg")
    result = await shop.audit(repair=True)
    assert (result.report.status, mended(result)) == ("stopped", {"orphaned_store": 1})
    assert "a.jpg" in result.message
    assert shown(shop.record("a.jpg"))


@virtually
async def test_a_source_that_answers_nothing_is_not_asked_for_all_of_an_archive(shop: Shop) -> None:
    asked: list[str] = []

    class Down(MemorySource):
        async def head(self, name: str) -> Blob | None:
            asked.append(name)
            raise Transient("head", name, "no answer")

    names = [f"{number:03}.jpg" for number in range(100)]
    shop.put(*names)
    await shop.sweep()
    shop.source = Down(shop.loop.now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mend, "PAGE", 30)
        result = await shop.audit(repair=True, brake=1)
    assert result.report.status == "stopped"
    assert len(set(asked)) == 30


@virtually
async def test_passing_faults_open_the_sides_again_where_they_broke(shop: Shop) -> None:
    class Flaky(MemorySource):
        faults = 0

        async def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page, None]:
            async for page in super().pages(after=after, prefix=prefix):
                yield page
                self.faults += 1
                raise Transient("list", "", "a passing fault")

    class FlakyIndex(MemoryIndex):
        faults = 0

        async def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]], None]:
            async for batch in super().revisions(source):
                for one in batch:
                    yield [one]
                    if self.faults < 1:
                        self.faults += 1
                        raise Transient("search", "", "a passing fault")

    index = shop.index = FlakyIndex()
    shop.put(*(f"{number}.jpg" for number in range(9)))
    await shop.sweep()
    source = Flaky(shop.loop.now)
    source.blobs = shop.source.blobs
    shop.source = source
    result = await shop.audit()
    assert (counts(result), result.disorder, result.compared) == ({}, None, 9)
    assert (source.faults, index.faults) == (3, 1)


@virtually
async def test_no_page_begins_once_the_budget_is_spent(shop: Shop) -> None:
    shop.put(*(f"{number}.jpg" for number in range(8)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mend, "PAGE", 2)
        await shop.audit(repair=True, terms=replace(TERMS, max_calls=3))
    assert len(shop.store.records) == 4


@virtually
async def test_a_spent_budget_stops_the_audit_which_goes_on_when_run_again(shop: Shop) -> None:
    shop.put(*(f"{number}.jpg" for number in range(5)))
    result = await shop.audit(repair=True, terms=replace(TERMS, max_calls=3))
    assert (result.report.status, shop.calls) == ("stopped", 3)
    shop.loop.moment += 1000
    await shop.sweep()
    assert shop.calls == 5
    await whole(shop)
