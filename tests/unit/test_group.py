"""Grouping near-duplicates: once and for all, beside sweeps, through crashes, and with store and index in agreement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs import decide
from jobs.alike import Firsts, Pictures, sketched
from jobs.audit import audit
from jobs.backfill import Range, backfill
from jobs.codec import decode, encode
from jobs.decide import keepsake
from jobs.erase import Shelf
from jobs.errors import StorageFailed
from jobs.forget import forget
from jobs.group import Grouping, group
from jobs.model import Analysis, Claim, Image, OpenPage, Outcome, Record
from jobs.ports import Document
from jobs.sweep import sweep
from search.query import Copies, Query
from tests.fakes.index import MemoryIndex
from tests.fakes.store import MemoryStore
from tests.unit.shop_kit import TERMS, Shop, Till, opened

CASTLE, HARBOUR = "5a" * 32, "c3" * 32


class Seeing(Till):
    """A classifier of pictures that are named by what they show: `castle`, `castle small`, `castle cropped`, `harbour`, `blank`."""

    async def classify(self, image: Image) -> Analysis:
        found = await super().classify(image)
        words = image.data.decode().split()
        sketch = {"castle": CASTLE, "harbour": HARBOUR}.get(words[0], "")
        if "cropped" in words:
            sketch = f"{int(sketch, 16) ^ 0b1011:064x}"
        sides = (320, 240) if "small" in words else (640, 480)
        return replace(found, facts=replace(found.facts, width=sides[0], height=sides[1], sketch=sketch))


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        shop.till = Seeing()
        for name, shows in {
            "a.jpg": "castle small",
            "b.jpg": "castle",
            "c.jpg": "castle cropped small",
            "d.jpg": "harbour",
            "e.jpg": "blank",
        }.items():
            shop.source.put(name, shows.encode())
        shop.sweep()
        yield shop


async def aside(work: Callable[[Pictures], Firsts], pictures: Pictures) -> Firsts:
    return work(pictures)


def grouping(shop: Shop, **options: object) -> Grouping:
    given = {"sources": [shop.source.key], "shelf": shop.shelf, "policy": TERMS.retry, "aside": aside}
    return shop.run(group(**given | options))  # type: ignore[arg-type]


def found(shop: Shop, copies: Copies = "all", first: str = "") -> set[str]:
    query = Query(copies=copies, group=shop.record(first).id if first else "")
    return {hit.name for hit in shop.run(shop.index.search(query)).hits}


def of(shop: Shop, names: Sequence[str]) -> list[str]:
    return [shop.record(name).group for name in names]


def agrees(shop: Shop) -> None:
    """Every document shows its record at its newest revision."""
    for record in shop.store.records.values():
        if record.source != decide.KEEPSAKES and record.analysis is not None:
            document = shop.index.documents[record.id]
            assert (document.rev, document.group) == (record.rev, record.group)
            assert document.embedding == record.analysis.embedding is not None


def test_near_duplicates_are_hidden_shown_alone_or_together(shop: Shop) -> None:
    calls = shop.till.calls
    assert grouping(shop) == Grouping(images=5, without=1, groups=1, copies=2, changed=3)
    first = shop.record("b.jpg").id
    assert of(shop, ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]) == [first, first, first, "", ""]
    assert found(shop, "hide") == {"b.jpg", "d.jpg", "e.jpg"}
    assert found(shop, "only") == {"a.jpg", "c.jpg"}
    assert found(shop, first="b.jpg") == {"a.jpg", "b.jpg", "c.jpg"}
    assert (shop.till.calls, len(found(shop))) == (calls, 5)
    agrees(shop)


def test_a_second_grouping_changes_nothing(shop: Shop) -> None:
    grouping(shop)
    before = dict(shop.store.records)
    assert grouping(shop).changed == 0
    assert shop.store.records == before


def test_every_source_that_is_named_has_a_part_in_it(shop: Shop) -> None:
    other = replace(shop.record("b.jpg"), id="0" * 63 + "1", source="folder:/other", rev=1)
    shop.store.records[other.id] = other
    grouping(shop)
    assert shop.store.records[other.id].group == ""
    grouping(shop, sources=[shop.source.key, "folder:/other"])
    assert shop.store.records[other.id].group == shop.record("a.jpg").group == other.id


def test_what_comes_to_show_something_else_leaves_its_group_at_once(shop: Shop) -> None:
    grouping(shop)
    shop.source.put("a.jpg", b"harbour new")
    shop.source.put("c.jpg", b"castle cropped again")
    kept = shop.record("c.jpg").group
    shop.sweep()
    assert of(shop, ["a.jpg", "c.jpg"]) == ["", kept]
    assert found(shop, "only") == {"c.jpg"}
    grouping(shop)
    assert shop.record("a.jpg").group == shop.record("d.jpg").group != ""
    agrees(shop)


def test_what_has_no_pixels_to_show_any_more_has_no_group(shop: Shop) -> None:
    grouping(shop)
    record = shop.record("a.jpg")
    now = shop.loop.now()
    assert record.group
    for after in (
        decide.gone(record, now=now),
        decide.dead(record, "unreadable", "cut", now=now),
        decide.forgotten(record, now=now),
        keepsake(record),
    ):
        assert after is not None
        assert after.group == ""


def test_when_the_first_goes_the_next_best_becomes_the_first(shop: Shop) -> None:
    grouping(shop)
    shop.run(forget(source=shop.source.key, name="b.jpg", shelf=shop.shelf))
    assert grouping(shop).groups == 1
    assert len(found(shop, "hide")) == 3
    assert found(shop, "only") < {"a.jpg", "c.jpg"}
    agrees(shop)


def test_a_new_answer_about_the_same_pixels_keeps_the_group(shop: Shop) -> None:
    grouping(shop)
    before = of(shop, ["a.jpg", "b.jpg", "c.jpg"])
    shop.run(backfill(ports=shop.ports(till=Seeing("fake:2")), terms=TERMS, span=Range(stale=True)))
    assert of(shop, ["a.jpg", "b.jpg", "c.jpg"]) == before
    assert grouping(shop).changed == 0


def test_a_group_without_a_sketch_is_taken_back(shop: Shop) -> None:
    shop.change("e.jpg", group=shop.record("b.jpg").id)
    grouping(shop)
    assert shop.record("e.jpg").group == ""
    agrees(shop)


def test_what_a_live_run_has_claimed_is_left_to_it(shop: Shop) -> None:
    now = shop.loop.now()
    shop.change("a.jpg", claim=Claim("another", "e2", "fake:1", now + timedelta(minutes=1)))
    before = shop.record("a.jpg")
    told = grouping(shop)
    assert (told.changed, told.left, shop.record("a.jpg")) == (2, 1, before)
    shop.later(61)
    assert (grouping(shop).left, shop.record("a.jpg").group) == (0, shop.record("b.jpg").id)


class Overtaken(MemoryStore):
    """A store in which another process changes a record whenever one is about to be written."""

    def __init__(self, store: MemoryStore, name: str, **changes: object) -> None:
        self.__dict__ = store.__dict__
        self.name, self.changes = name, changes

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        for record in [one for one in self.records.values() if one.name == self.name and self.changes]:
            analysis = replace(record.analysis, facts=replace(record.analysis.facts, sketch=HARBOUR)) if record.analysis else None
            self.records[record.id] = replace(record, analysis=analysis, rev=record.rev + 1, version="theirs")
            self.changes = {}
        return await super().write(records)


def test_what_another_process_writes_meanwhile_stands(shop: Shop) -> None:
    store = Overtaken(shop.store, "a.jpg", shows="harbour")
    told = grouping(shop, shelf=Shelf(store, store, store, shop.index))
    assert (told.changed, told.left) == (2, 1)
    record = shop.record("a.jpg")
    assert (record.group, sketched(record)) == ("", HARBOUR)


def test_what_came_to_show_something_else_since_the_scan_is_left_alone(shop: Shop) -> None:
    async def overtaken(work: Callable[[Pictures], Firsts], pictures: Pictures) -> Firsts:
        record = shop.record("a.jpg")
        assert record.analysis
        facts = replace(record.analysis.facts, sketch=HARBOUR)
        shop.change("a.jpg", analysis=replace(record.analysis, facts=facts), version="theirs")
        return work(pictures)

    told = grouping(shop, aside=overtaken)
    assert (told.changed, told.left, shop.record("a.jpg").group) == (2, 1, "")


@pytest.mark.parametrize("seed", range(20))
def test_a_sweep_and_another_grouping_beside_it_come_to_no_harm(shop: Shop, seed: int) -> None:
    grouping(shop)
    for name, shows in {"a.jpg": "harbour small", "f.jpg": "castle cropped f", "g.jpg": "blank g", "d.jpg": "castle d"}.items():
        shop.source.put(name, shows.encode())
    ports = shop.ports(seed=seed)
    shelf = Shelf(ports.ledger, ports.state, ports.clock, ports.index)

    async def beside() -> None:
        groups = (group(sources=[shop.source.key], shelf=shelf, policy=TERMS.retry, aside=aside) for _ in range(2))
        await asyncio.gather(sweep(ports=ports, terms=TERMS), *groups)

    shop.run(beside())
    assert set(shop.outcomes().values()) == {Outcome.CLASSIFIED}
    agrees(shop)
    grouping(shop)
    assert grouping(shop).changed == 0
    assert [name for name in "abcdefg" if shop.record(f"{name}.jpg").group] == ["b", "c", "d", "f"]
    agrees(shop)


class Deaf(MemoryIndex):
    """An index that does not answer."""

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        raise StorageFailed("publish", records[0].id, "it does not answer")


def test_a_crash_between_store_and_index_is_mended_by_the_next_sweep(shop: Shop) -> None:
    with pytest.raises(StorageFailed):
        grouping(shop, shelf=Shelf(shop.store, shop.store, shop.store, Deaf()))
    assert shop.record("b.jpg").group
    assert found(shop, "only") == set()
    assert any(kind == OpenPage.__name__ for kind, _ in shop.store.documents)
    shop.sweep()
    assert found(shop, "only") == {"a.jpg", "c.jpg"}
    agrees(shop)


def test_an_audit_finds_what_is_not_shown_as_it_is_grouped(shop: Shop) -> None:
    with pytest.raises(StorageFailed):
        grouping(shop, shelf=Shelf(shop.store, shop.store, shop.store, Deaf()))
    for key in [key for key in shop.store.documents if key[0] == OpenPage.__name__]:
        del shop.store.documents[key]
    assert shop.run(audit(ports=shop.ports(), terms=TERMS)).unpublished == 3
    shop.run(audit(ports=shop.ports(), terms=TERMS, repair=True))
    agrees(shop)


def test_it_stops_when_it_is_asked_to_and_goes_on_later(shop: Shop) -> None:
    told = grouping(shop, stopped=lambda: True)
    assert (told.stopped, told.changed, found(shop, "only")) == (True, 0, set())
    assert grouping(shop).changed == 3


def test_it_stops_before_it_compares_and_while_it_does(shop: Shop) -> None:
    asked: list[int] = []

    async def never(_: Callable[[Pictures], Firsts], __: Pictures) -> Firsts:
        raise AssertionError("there was no time left for it")

    def stopped() -> bool:
        asked.append(len(asked))
        return len(asked) > 1

    assert grouping(shop, stopped=lambda: True, aside=never) == Grouping(stopped=True)
    assert grouping(shop, stopped=stopped) == Grouping(stopped=True)
    assert len(asked) == 2, "once for the batch that was read, and once for the first picture"


class Contended(MemoryStore):
    """A store in which a takeover has every open page that a grouping writes, and is not done with it yet."""

    def __init__(self, store: MemoryStore) -> None:
        self.__dict__ = store.__dict__

    async def put(self, key: str, document: Document, version: str | None) -> str:
        written = await super().put(key, document, version)
        if isinstance(document, OpenPage):
            await super().put(key, replace(document, taken="a sweep"), written)
        return written


def test_a_sweep_that_takes_over_a_page_of_many_keeps_none_of_the_others_from_being_grouped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.group.BATCH", 1)
    store = Contended(shop.store)
    assert grouping(shop, shelf=Shelf(store, store, store, shop.index)).changed == 3
    agrees(shop)


def test_a_deferred_image_shows_its_older_version_and_stays_grouped(shop: Shop) -> None:
    grouping(shop)
    group_ = shop.record("a.jpg").group
    shop.change("a.jpg", outcome=Outcome.DEFERRED)
    assert grouping(shop).changed == 0
    assert shop.record("a.jpg").group == group_


def test_a_record_that_was_stored_before_there_were_groups_has_none(shop: Shop) -> None:
    record = shop.record("a.jpg")
    body = encode(record, record.id).replace('"group":"",', "").replace(f'"sketch":"{CASTLE}"', '"frames":1')
    old = decode(Record, body, record.id)
    assert (old.group, sketched(old)) == ("", "")
