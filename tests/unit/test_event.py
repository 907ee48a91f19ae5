from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from jobs.choose import chooser
from jobs.errors import Misconfigured, Transient
from jobs.event import Answer, finish_events, settle_event
from jobs.model import Analysis, Blob, Claim, Failure, Image, OpenPage, Outcome, Record
from jobs.ports import Index
from jobs.sweep import sweep
from jobs.work import Ports
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import TERMS, Shop, Till, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def event(shop: Shop, name: str, *, ports: Ports | None = None, exclude: tuple[str, ...] = ()) -> Answer:
    return shop.run(settle_event(name, ports=ports or shop.ports(), terms=TERMS, choose=chooser((), exclude)))


def pages(shop: Shop) -> list[OpenPage]:
    return [document for document, _ in shop.store.documents.values() if isinstance(document, OpenPage)]


class Broken(Exception):
    """What a process dies of."""


class Dying:
    """An index of a process that dies as it begins to publish."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.revisions = index.revisions

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        raise Broken(records)

    async def remove(self, ids: Sequence[str]) -> None:
        raise Broken(ids)


def test_a_written_blob_is_classified_stored_and_found(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    assert event(shop, "a.jpg") is Answer.SETTLED
    assert shop.record("a.jpg").outcome is Outcome.CLASSIFIED
    assert shop.found() == {"a.jpg"}
    assert shop.till.calls == 1
    assert pages(shop) == []


def test_the_same_event_again_costs_nothing_and_changes_nothing(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    event(shop, "a.jpg")
    before = shop.record("a.jpg")
    assert event(shop, "a.jpg") is Answer.UNCHANGED
    assert shop.record("a.jpg") == before
    assert shop.till.calls == 1


def test_an_overwritten_blob_is_classified_anew(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    event(shop, "a.jpg")
    now = shop.source.put("a.jpg", b"two")
    assert event(shop, "a.jpg") is Answer.SETTLED
    assert shop.record("a.jpg").analysed == now.etag
    assert shop.till.calls == 2


def test_a_deleted_blob_leaves_store_and_index(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    event(shop, "a.jpg")
    shop.source.delete("a.jpg")
    assert event(shop, "a.jpg") is Answer.BURIED
    assert shop.record("a.jpg").outcome is Outcome.GONE
    assert shop.found() == set()
    assert event(shop, "a.jpg") is Answer.ABSENT
    shop.source.put("a.jpg", b"one")
    assert event(shop, "a.jpg") is Answer.SETTLED
    assert shop.record("a.jpg").outcome is Outcome.REUSED, "what was paid for the bytes is kept beyond their grave"
    assert shop.till.calls == 1


def test_a_delete_that_arrives_before_its_create_is_nothing(shop: Shop) -> None:
    assert event(shop, "a.jpg") is Answer.ABSENT
    assert shop.store.records == {}


def test_an_event_about_a_blob_that_came_back_settles_what_is_there(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    event(shop, "a.jpg")
    shop.source.delete("a.jpg")
    shop.source.put("a.jpg", b"two")
    assert event(shop, "a.jpg") is Answer.SETTLED, "the delete came late"
    assert shop.found() == {"a.jpg"}


@pytest.mark.parametrize(
    ("name", "data", "exclude"),
    [("notes.txt", b"some text", ()), ("thumbs/a.jpg", b"one", ("thumbs/",)), ("a.jpg", b"one", ("a.*",))],
)
def test_what_no_sweep_would_take_is_left(shop: Shop, name: str, data: bytes, exclude: tuple[str, ...]) -> None:
    shop.source.put(name, data)
    assert event(shop, name, exclude=exclude) is Answer.SKIPPED
    assert shop.store.records == {}


def test_what_lies_outside_of_the_source_is_left(shop: Shop) -> None:
    shop.source.put("other/a.jpg", b"one")
    shop.source.prefix = "mine/"
    assert event(shop, "other/a.jpg") is Answer.SKIPPED
    assert shop.store.records == {}


def test_an_unreadable_image_is_a_dead_letter(shop: Shop) -> None:
    shop.source.put("bad.jpg", b"bad one")
    assert event(shop, "bad.jpg") is Answer.SETTLED
    assert shop.record("bad.jpg").outcome is Outcome.DEAD


@pytest.mark.parametrize(("seconds", "answer", "calls"), [(1, Answer.WAITING, 0), (0, Answer.SETTLED, 1)])
def test_what_a_live_run_has_claimed_is_left_to_it(shop: Shop, seconds: int, answer: Answer, calls: int) -> None:
    blob = shop.source.put("a.jpg", b"one")
    expires = shop.loop.now() + timedelta(seconds=seconds)
    claim, failure = Claim("a sweep", blob.etag, "fake:1", expires), Failure("claimed", "", 0, expires)
    about = (blob.id, blob.source, blob.name, blob.etag, blob.modified, blob.size)
    claimed = Record(*about, "fake:1", Outcome.DEFERRED, claim=claim, failure=failure)
    shop.run(shop.store.write([claimed]))
    assert event(shop, "a.jpg") is answer
    assert shop.till.calls == calls


def test_two_events_and_a_sweep_at_once_pay_once(shop: Shop) -> None:
    for seed in range(30):
        name = f"{seed}.jpg"
        shop.source.put(name, b"photo %d" % seed)

        async def beside(name: str = name, seed: int = seed) -> None:
            await asyncio.gather(
                sweep(ports=shop.ports(seed=seed), terms=TERMS),
                *(_again(name, shop.ports(seed=seed + 100 + n)) for n in range(2)),
            )

        shop.run(beside())
    assert set(shop.till.paid.values()) == {1}
    assert shop.found() == {f"{seed}.jpg" for seed in range(30)}
    assert pages(shop) == []


async def _again(name: str, ports: Ports) -> None:
    """Deliver an event until it is taken."""
    while True:
        try:
            await settle_event(name, ports=ports, terms=TERMS)
        except Transient:
            await asyncio.sleep(30)
        else:
            return


def test_a_blob_that_changes_under_our_hands_is_settled_as_it_ends_up(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")

    class Rewritten(type(shop.source)):  # type: ignore[misc]  # the source's own class
        async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
            if not self.begun:
                self.begun.append("rewritten")
                self.put("a.jpg", b"two")
            return await super().read(blob, limit=limit)  # type: ignore[no-any-return]

    shop.source.__class__ = Rewritten
    assert event(shop, "a.jpg") is Answer.SETTLED
    assert shop.record("a.jpg").analysed == shop.source.blobs["a.jpg"][0].etag
    assert shop.till.calls == 1


def test_a_delete_beats_the_classification_of_what_it_deleted(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")

    class Slow(Till):
        async def classify(self, image: Image) -> Analysis:
            shop.source.delete("a.jpg")
            assert await settle_event("a.jpg", ports=shop.ports(), terms=TERMS) is Answer.BURIED
            return await super().classify(image)

    assert event(shop, "a.jpg", ports=shop.ports(till=Slow())) is Answer.WAITING
    assert shop.record("a.jpg").outcome is Outcome.GONE
    assert shop.found() == set()
    assert pages(shop) == []


def test_a_grave_is_not_dug_under_a_blob_that_comes_back_meanwhile(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    event(shop, "a.jpg")
    shop.source.delete("a.jpg")
    inner = shop.source.head

    async def late(name: str) -> Blob | None:
        if not shop.source.begun:
            shop.source.begun.append("asked")
            found = await inner(name)
            shop.source.put("a.jpg", b"two")
            assert await settle_event("a.jpg", ports=shop.ports(), terms=TERMS) is Answer.SETTLED
            return found  # type: ignore[no-any-return]
        return await inner(name)  # type: ignore[no-any-return]

    shop.source.head = late  # type: ignore[method-assign]
    assert event(shop, "a.jpg") is Answer.UNCHANGED
    assert shop.record("a.jpg").outcome is Outcome.CLASSIFIED
    assert shop.found() == {"a.jpg"}


def _die(shop: Shop, name: str) -> None:
    whole = shop.ports()
    dying = Ports(whole.source, whole.classifier, whole.ledger, whole.state, whole.clock, Dying(shop.index))
    with pytest.raises(Broken):
        event(shop, name, ports=dying)


@pytest.mark.parametrize("written", [True, False])
def test_what_died_between_store_and_index_is_published_by_the_next_slice(shop: Shop, *, written: bool) -> None:
    shop.source.put("a.jpg", b"one")
    if not written:
        event(shop, "a.jpg")
        shop.source.delete("a.jpg")
    _die(shop, "a.jpg")
    shown = {"a.jpg"} if written else set()
    assert shop.found() != shown
    shop.run(finish_events(ports=shop.ports(), terms=TERMS))
    assert shop.found() != shown, "the event may be alive yet"
    shop.later(TERMS.claim_seconds + 1)
    shop.run(finish_events(ports=shop.ports(), terms=TERMS))
    assert shop.found() == shown
    assert pages(shop) == []
    assert shop.till.calls == 1


def test_what_died_between_store_and_index_is_published_by_the_event_delivered_again(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")
    _die(shop, "a.jpg")
    shop.later(TERMS.claim_seconds + 1)
    assert event(shop, "a.jpg") is Answer.UNCHANGED
    assert shop.found() == {"a.jpg"}


def test_an_event_that_comes_while_another_may_be_alive_is_to_come_again(shop: Shop) -> None:
    shop.source.put("a.jpg", b"one")

    class Dead(Till):
        async def classify(self, image: Image) -> Analysis:
            raise Broken(image)

    with pytest.raises(BaseExceptionGroup):
        event(shop, "a.jpg", ports=shop.ports(till=Dead()))
    with pytest.raises(Transient, match="may be alive"):
        event(shop, "a.jpg")
    shop.later(TERMS.claim_seconds + 1)
    assert event(shop, "a.jpg") is Answer.SETTLED
    assert shop.till.calls == 1


def test_a_service_that_refuses_every_call_fails_the_event_and_kills_no_image(shop: Shop) -> None:
    class Closed(Till):
        async def classify(self, image: Image) -> Analysis:
            raise Misconfigured("classify", image.name, "no key")

    shop.source.put("a.jpg", b"one")
    with pytest.raises(Misconfigured, match="no key"):
        event(shop, "a.jpg", ports=shop.ports(till=Closed()))
    assert shop.record("a.jpg").outcome is Outcome.DEFERRED
    assert shop.record("a.jpg").modified >= EPOCH
