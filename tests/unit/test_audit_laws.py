"""Laws of the audit: after a repair everything agrees; whatever the size, little is in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs import decide
from jobs.model import Blob, Outcome, Page, Record, blob_id
from search.document import document
from tests.fakes.classifier import answer
from tests.fakes.index import MemoryIndex
from tests.fakes.source import KEY, MemorySource
from tests.fakes.store import MemoryStore
from tests.unit.audit_kit import OLD, Shop, counts, virtually, whole


def _classified(blob: Blob, data: bytes, rev: int) -> Record:
    content_hash = hashlib.sha256(data).hexdigest()
    record = Record(blob.id, KEY, blob.name, blob.etag, OLD, blob.size, asked="fake:1", outcome=Outcome.CLASSIFIED)
    return replace(record, content_hash=content_hash, analysis=answer(data), analysed=blob.etag, rev=rev)


def _stray(shop: Shop, name: str, _: str) -> None:
    record = _classified(Blob(KEY, name, "v0", OLD, 9), b"img stray", rev=99)
    shop.index.documents[record.id] = document(record)


def _with(become: Callable[[Record, datetime], Record]) -> Callable[[Shop, str, str], None]:
    """Make an act that changes the record of a name where there is one."""

    def act(shop: Shop, name: str, _: str) -> None:
        key = blob_id(KEY, name)
        if key in shop.store.records:
            shop.store.records[key] = replace(become(shop.store.records[key], shop.loop.now()), version="by hand")

    return act


def _rename(shop: Shop, name: str, other: str) -> None:
    if name in shop.source.blobs:
        shop.rename(name, other)


ACTS: dict[str, Callable[[Shop, str, str], object]] = {
    "delete": lambda shop, name, _: shop.source.delete(name),
    "put": lambda shop, name, other: shop.source.put(name, b"img " + other.encode(), modified=OLD),
    "spoil": lambda shop, name, other: shop.source.put(name, b"bad " + other.encode(), modified=OLD),
    "rename": _rename,
    "drop record": lambda shop, name, _: shop.store.records.pop(blob_id(KEY, name), None),
    "drop document": lambda shop, name, _: shop.index.documents.pop(blob_id(KEY, name), None),
    "stray": _stray,
    "rev": _with(lambda record, _: replace(record, rev=record.rev + 3)),
    "mark": _with(lambda record, _: replace(record, unpublished="too long")),
    "tombstone": _with(lambda record, now: decide.gone(record, now=now)),
    "forget": _with(lambda record, now: decide.forgotten(record, now=now)),
}
_names = st.sampled_from(["a-b.jpg", "a.jpg", "a/x.jpg", "a/y.jpg", "b.jpg", "z.jpg", "é.jpg", "\uffff.jpg", "\U0001f600.jpg"])
_acts = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), _names, _names), max_size=9)


@given(st.lists(_names, unique=True), st.lists(_acts, min_size=1, max_size=3))
def test_after_a_repair_everything_agrees(first: list[str], phases: list[list[tuple[str, str, str]]]) -> None:
    @virtually
    async def body(shop: Shop) -> None:
        shop.put(*first)
        await shop.sweep()
        for acts in phases:
            for act, name, other in acts:
                ACTS[act](shop, name, other)
            before = await shop.audit()
            result = await shop.audit(repair=True, brake=1)
            assert result.report.status == "complete", result.message
            assert (result.missing, result.stale, result.unpublished) == (before.missing, before.stale, before.unpublished)
            await whole(shop)
            again = await shop.audit(repair=True)
            assert (counts(again), again.report.calls, again.report.published) == ({}, 0, 0)

    body()


NUMBER, PAGE = 5_000, 50


@dataclass
class Places:
    """How far each side was read, and the furthest that one was ahead of another."""

    at: dict[str, int] = field(default_factory=lambda: {"listing": 0, "store": 0, "index": 0})
    apart: int = 0

    def pages(self, side: str) -> Iterator[list[Blob]]:
        for start in range(0, NUMBER, PAGE):
            self.at[side] = start + PAGE
            if all(self.at.values()):
                self.apart = max(self.apart, max(self.at.values()) - min(self.at.values()))
            yield [Blob(KEY, f"{n:06}.jpg", "v1", OLD, 9) for n in range(start, start + PAGE)]


def test_the_three_sides_stay_within_a_page_of_each_other() -> None:
    places = Places()

    class Long(MemorySource):
        async def pages(self, **_: Any) -> AsyncGenerator[Page, None]:
            for blobs in places.pages("listing"):
                yield Page(tuple(blobs), (), blobs[-1].name)

    class LongStore(MemoryStore):
        async def scan(self, *_: Any, **__: Any) -> AsyncGenerator[Sequence[Record], None]:
            for blobs in places.pages("store"):
                yield [_classified(blob, b"img", rev=1) for blob in blobs]

    class LongIndex(MemoryIndex):
        async def revisions(self, *_: Any) -> AsyncGenerator[Sequence[tuple[str, str, int]], None]:
            for blobs in places.pages("index"):
                yield [(blob.name, blob.id, 1) for blob in blobs]

    @virtually
    async def body(shop: Shop) -> None:
        shop.source, shop.store, shop.index = Long(shop.loop.now), LongStore(shop.loop.now), LongIndex()
        result = await shop.audit()
        assert (counts(result), result.compared) == ({}, NUMBER)

    body()
    assert places.apart <= PAGE
