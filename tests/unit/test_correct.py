"""What people say of labels: shown at once, there after every new answer, never copied, and given out for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from jobs.backfill import Range, backfill
from jobs.codec import decode, encode
from jobs.correct import Example, correct, examples
from jobs.corrections import LONGEST, MOST, Said, seen, standing
from jobs.decide import KEEPSAKES, gone, keepsake
from jobs.errors import Misconfigured, StorageFailed
from jobs.forget import forget
from jobs.model import OpenPage, Outcome, Record
from jobs.taxonomy import NO_TAXONOMY, Taxonomy, parse
from search.document import document
from search.query import Query
from tests.fakes.index import MemoryIndex
from tests.unit.shop_kit import TERMS, Shop, Till, opened

STUFF = parse("name: shop\nversion: 1\nrules:\n  - {category: stuff, any: [thing, gadget]}\n", "shop.yaml")


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def say(shop: Shop, says: Said | None, label: str, name: str = "00.jpg", taxonomy: Taxonomy = NO_TAXONOMY) -> Record:
    record = shop.record(name)
    return shop.run(correct(key=record.id, label=label, says=says, by="ann", taxonomy=taxonomy, shelf=shop.shelf))


def labels(shop: Shop, name: str = "00.jpg") -> list[str]:
    """Return the labels that people find an image by."""
    return [tag.name for tag in shop.index.documents[shop.record(name).id].tags]


def found(shop: Shop, query: Query) -> set[str]:
    return {hit.name for hit in shop.run(shop.index.search(query)).hits}


def again(shop: Shop) -> Till:
    """Classify everything anew by another model."""
    till = Till("fake:2")
    shop.run(backfill(ports=shop.ports(till=till), terms=TERMS, span=Range(stale=True)))
    return till


def test_what_is_said_is_shown_at_once_and_no_call_is_made(shop: Shop) -> None:
    shop.fill(2)
    shop.sweep()
    calls = shop.till.calls
    say(shop, "added", "gadget")
    say(shop, "removed", "thing")
    assert labels(shop)[0] == "gadget"
    assert "thing" not in labels(shop)
    assert found(shop, Query(tags_all=("gadget",), confidence=1.0)) == {"00.jpg"}
    assert found(shop, Query("thing")) == {"01.jpg"}
    assert shop.till.calls == calls
    assert shop.run(shop.store.list(OpenPage, "")) == []


def test_the_answer_of_the_machine_stays_as_it_was(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    before = shop.record("00.jpg")
    after = say(shop, "removed", "thing")
    assert after.analysis == before.analysis
    assert after.rev == before.rev + 1
    assert shop.record("00.jpg").corrections[0].by == "ann"


def test_what_was_said_outlives_a_new_answer(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    say(shop, "removed", "thing")
    say(shop, "pinned", "gadget")
    assert again(shop).calls == 1
    assert shop.record("00.jpg").asked == "fake:2"
    assert labels(shop)[0] == "gadget"
    assert "thing" not in labels(shop)


def test_it_says_nothing_of_other_bytes_under_the_same_name(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    say(shop, "removed", "thing")
    shop.later(5)
    shop.source.put("00.jpg", b"another picture")
    shop.sweep()
    assert "thing" in labels(shop)
    shop.later(5)
    shop.source.put("00.jpg", b"0")
    shop.sweep()
    assert "thing" not in labels(shop)


def test_it_is_never_copied_to_other_images_of_the_same_bytes(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    say(shop, "removed", "thing")
    shop.source.put("copy.jpg", b"0")
    assert shop.sweep().reused == 1
    assert shop.record("copy.jpg").corrections == ()
    assert "thing" in labels(shop, "copy.jpg")
    kept = keepsake(shop.record("00.jpg"))
    assert kept is not None
    assert kept.corrections == ()
    assert all(not record.corrections for record in shop.store.records.values() if record.source == KEEPSAKES)


def test_categories_follow_what_was_said(shop: Shop) -> None:
    shop.fill(1)
    shop.run(backfill(ports=shop.ports(), terms=replace(TERMS, taxonomy=STUFF), span=Range()))
    assert shop.record("00.jpg").categories == ("stuff",)
    say(shop, "removed", "thing", taxonomy=STUFF)
    assert shop.record("00.jpg").categories == ()
    say(shop, "added", "gadget", taxonomy=STUFF)
    assert shop.index.documents[shop.record("00.jpg").id].categories == ("stuff",)
    say(shop, None, "gadget", taxonomy=STUFF)
    shop.run(backfill(ports=shop.ports(till=Till("fake:2")), terms=replace(TERMS, taxonomy=STUFF), span=Range(stale=True)))
    assert shop.record("00.jpg").categories == ()


def test_the_last_word_counts_and_can_be_taken_back(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    before = labels(shop)
    say(shop, "removed", "thing")
    say(shop, "pinned", "  thing ")
    assert [one.says for one in shop.record("00.jpg").corrections] == ["pinned"]
    say(shop, None, "thing")
    assert labels(shop) == before
    rev = shop.record("00.jpg").rev
    assert say(shop, None, "thing").rev == rev


@pytest.mark.parametrize("label", ["", "  ", "a\0b", "x" * (LONGEST + 1), "\ud800"])
def test_what_is_no_label_is_refused(shop: Shop, label: str) -> None:
    shop.fill(1)
    shop.sweep()
    with pytest.raises(Misconfigured, match="label"):
        say(shop, "added", label)


def test_the_number_of_corrections_has_an_end(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    for at in range(MOST):
        say(shop, "added", f"label {at}")
    with pytest.raises(Misconfigured, match="already"):
        say(shop, "added", "one more")


def test_there_has_to_be_an_image_with_an_answer(shop: Shop) -> None:
    shop.source.put("bad.jpg", b"bad")
    shop.fill(1)
    shop.sweep()
    with pytest.raises(Misconfigured, match="no answer"):
        say(shop, "added", "x", "bad.jpg")
    shop.run(forget(source=shop.source.key, name="00.jpg", shelf=shop.shelf))
    assert shop.record("00.jpg").corrections == ()
    with pytest.raises(Misconfigured, match="no such image"):
        say(shop, "added", "x")


class Broken(MemoryIndex):
    """An index that cannot be written."""

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        raise StorageFailed("publish", records[0].name, "the disk is full")


def test_what_could_not_be_published_is_found_by_the_next_sweep(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    whole, shop.index = shop.index, Broken()
    with pytest.raises(StorageFailed):
        say(shop, "removed", "thing")
    shop.index = whole
    assert "thing" in labels(shop)
    shop.sweep()
    assert "thing" not in labels(shop)


def test_it_is_stored_and_read_back(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    record = say(shop, "pinned", "thing")
    body = encode(replace(record, version=None), "key")
    assert decode(Record, body, "key").corrections == record.corrections
    older = body.replace('"corrections":', '"something":')
    assert decode(Record, older, "key").corrections == ()


def test_a_tombstone_shows_nothing_and_the_same_bytes_bring_it_back(shop: Shop) -> None:
    shop.fill(1)
    shop.sweep()
    record = say(shop, "removed", "thing")
    assert seen(gone(record, now=shop.loop.now())) is None
    assert standing(record).keys() == {"thing"}
    assert "thing" not in document(record).tag_names


def test_what_was_said_is_given_out_for_training(shop: Shop) -> None:
    shop.fill(3)
    shop.sweep()
    say(shop, "removed", "thing")
    say(shop, "added", "gadget", "02.jpg")

    async def every() -> list[Example]:
        return [one async for one in examples(ledger=shop.store, sources=[shop.source.key])]

    first, second = shop.run(every())
    assert (first.name, first.removed, first.added) == ("00.jpg", ("thing",), ())
    assert "thing" not in first.labels
    assert first.machine["thing"] == 0.5
    assert (second.name, second.added, second.labels[0]) == ("02.jpg", ("gadget",), "gadget")
    assert shop.record("00.jpg").outcome is Outcome.CLASSIFIED
