"""A page is taken over while its owner, which lost its lease unawares, is still claiming: nobody pays, nothing stays unshown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from jobs import decide
from jobs.errors import Conflict
from jobs.model import Claim, OpenPage, Record
from tests.fakes.index import MemoryIndex
from tests.fakes.store import MemoryStore
from tests.unit.shop_kit import DAY, Shop, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


class Closing(MemoryStore):
    """A store in which another process has taken over and closed whatever page is open when the first claim is written."""

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        for kind, key in list(self.documents):
            if kind == "OpenPage" and any(record.claim for record in records):
                del self.documents[kind, key]
        return await super().write(records)


def test_who_lost_its_page_before_it_claimed_makes_no_call(shop: Shop) -> None:
    shop.store = Closing(shop.loop.now)
    shop.fill(2)
    report = shop.sweep()
    assert (report.status, report.calls) == ("stopped", 0)
    assert "took the page over" in report.message


class Late(MemoryIndex):
    """An index during whose first publish the owner of the page claims what is on it, and writes the page once more."""

    def __init__(self, shop: Shop, key: str) -> None:
        super().__init__()
        self.shop = shop
        self.key = key
        self.once = True

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        if self.once:
            self.once = False
            store = self.shop.store
            (page, version), now = store.documents["OpenPage", self.key], self.shop.loop.now()
            assert isinstance(page, OpenPage)
            for blob_id in page.ids:
                record = store.records[blob_id]
                mark = Claim(page.owner, record.etag, record.asked, now + DAY)
                claimed = decide.claim(decide.recorded(record), record, mark, run_id="b")
                assert await store.write([claimed]) != [None]
            await store.put(self.key, page, version)
        return await super().publish(records)


def test_claims_of_an_owner_that_wakes_up_during_a_takeover_are_given_back(shop: Shop) -> None:
    (name,) = shop.fill(1)
    shop.sweep()
    record = shop.record(name)
    key = f"{shop.source.key}||b|1"
    shop.run(shop.store.put(key, OpenPage("another:1:b", (record.id,)), None))
    shop.index = Late(shop, key)
    shop.sweep()
    claim = shop.record(name).claim
    assert claim is None or claim.owner != "another:1:b"
    assert not [kind for kind, _ in shop.store.documents if kind == "OpenPage"]


class Waking(MemoryIndex):
    """An index that refuses every document, while the owner of the page wakes up and closes it: it published all of them itself."""

    def __init__(self, shop: Shop, key: str, opened: str) -> None:
        super().__init__()
        self.shop, self.key, self.opened = shop, key, opened

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        with suppress(Conflict):
            await self.shop.store.remove(OpenPage, self.key, self.opened)
        assert ("OpenPage", self.key) in self.shop.store.documents, "a crash now would leave it stored and not shown, for good"
        return ["no such letter" for _ in records]


def test_an_owner_that_wakes_up_cannot_close_a_page_that_was_taken_over(shop: Shop) -> None:
    (name,) = shop.fill(1)
    shop.sweep()
    key = f"{shop.source.key}||b|1"
    version = shop.run(shop.store.put(key, OpenPage("another:1:b", (shop.record(name).id,)), None))
    shop.index = Waking(shop, key, version)
    shop.sweep()
    assert shop.record(name).unpublished == "no such letter"
    assert ("OpenPage", key) not in shop.store.documents
