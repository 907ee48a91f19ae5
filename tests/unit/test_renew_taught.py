"""Categories by example reach stored images: from their stored vectors, without a call, and nobody else's vector counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import decide
from jobs.audit import audit
from jobs.backfill import Range, backfill
from jobs.correct import correct
from jobs.model import Analysis, Image, Outcome, Report
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.taught import Taught
from jobs.taxonomy import NO_TAXONOMY, Rule, Taxonomy
from jobs.transfer import export, import_
from tests.fakes.store import MemoryStore
from tests.unit.shop_kit import TERMS, Shop, Till, opened

EMBEDDER = "fake:1"
THINGS = Rule("things", frozenset({"thing"}), (), frozenset(), 0.0)


def taxonomy(number: int, embedder: str = EMBEDDER) -> Taxonomy:
    """Return a taxonomy by which images along the first axis are castles."""
    axis = bytes([127, *[0] * 15])
    return Taxonomy(("things", "castles"), (THINGS,), f"own/{number}/x", (Taught("castles", 0.9, axis),), embedder)


class Pointing(Till):
    """A classifier whose vectors point along the axis that a picture names."""

    async def classify(self, image: Image) -> Analysis:
        found = await super().classify(image)
        vector = np.zeros(16, "<f4")
        vector[int(image.data.split()[0])] = 1
        return replace(found, embedding=vector.tobytes())


def under(chosen: Taxonomy) -> Terms:
    return replace(TERMS, taxonomy=chosen)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        shop.till = Pointing()
        for name, data in {"a.jpg": b"0 a", "b.jpg": b"1 b", "c.jpg": b"0 c"}.items():
            shop.source.put(name, data)
        yield shop


def swept(shop: Shop, chosen: Taxonomy = NO_TAXONOMY) -> Report:
    return shop.run(sweep(ports=shop.ports(), terms=under(chosen)))


def stale(shop: Shop, chosen: Taxonomy) -> Report:
    return shop.run(backfill(ports=shop.ports(), terms=under(chosen), span=Range(stale=True)))


def agrees(shop: Shop, **expected: tuple[str, ...]) -> None:
    """Store and index show these categories, and no vector was lost on the way."""
    for name, categories in expected.items():
        record = shop.record(f"{name}.jpg")
        document = shop.index.documents[record.id]
        assert (name, record.categories, document.categories) == (name, categories, categories)
        assert document.rev == record.rev
        assert record.analysis
        assert document.embedding == record.analysis.embedding is not None


CASTLES = {"a": ("things", "castles"), "b": ("things",), "c": ("things", "castles")}


def test_new_images_get_them_when_they_are_classified(shop: Shop) -> None:
    assert swept(shop, taxonomy(1)).message == ""
    agrees(shop, **CASTLES)


def test_stored_images_get_them_from_their_vectors_without_a_call(shop: Shop) -> None:
    swept(shop)
    calls = shop.till.calls
    report = stale(shop, taxonomy(1))
    assert (report.rederived, report.calls, report.message) == (3, 0, "")
    assert shop.till.calls == calls
    agrees(shop, **CASTLES)
    assert stale(shop, taxonomy(1)).listed == 0


def test_a_sweep_and_an_audit_that_meet_them_derive_them_too(shop: Shop) -> None:
    swept(shop)
    assert swept(shop, taxonomy(1)).rederived == 3
    agrees(shop, **CASTLES)
    mended = shop.run(audit(ports=shop.ports(), terms=under(taxonomy(2)), repair=True))
    assert mended.repaired["outdated"] == 3
    agrees(shop, **CASTLES)


def test_vectors_of_another_embedder_count_for_nothing_and_that_is_said_once(shop: Shop) -> None:
    swept(shop, taxonomy(1))
    report = stale(shop, taxonomy(2, "other:1"))
    agrees(shop, a=("things",), b=("things",), c=("things",))
    assert report.message == (
        "3 images have no vector by other:1, so the examples of the taxonomy say nothing of them; its rules do."
    )
    shop.source.put("d.jpg", b"0 d")
    assert swept(shop, taxonomy(2, "other:1")).message.startswith("1 images have no vector by other:1")


def test_an_image_without_a_vector_has_the_categories_of_rules(shop: Shop) -> None:
    swept(shop)
    record = shop.record("a.jpg")
    assert record.analysis
    shop.change("a.jpg", analysis=replace(record.analysis, embedding=None))
    assert stale(shop, taxonomy(1)).message.startswith("1 images")
    assert shop.record("a.jpg").categories == ("things",)
    agrees(shop, b=CASTLES["b"], c=CASTLES["c"])


def test_a_corrected_image_keeps_them(shop: Shop) -> None:
    swept(shop, taxonomy(1))
    record = shop.record("a.jpg")
    shop.run(correct(key=record.id, label="thing", says="removed", by="ann", taxonomy=taxonomy(1), shelf=shop.shelf))
    assert shop.record("a.jpg").categories == ("castles",)


def test_what_is_deferred_keeps_what_it_has_until_it_is_answered(shop: Shop) -> None:
    swept(shop, taxonomy(1))
    record = replace(shop.record("a.jpg"), outcome=Outcome.DEFERRED, asked="fake:2")
    assert record.analysis
    bare = replace(record, analysis=replace(record.analysis, embedding=None))
    assert decide.derived(bare, taxonomy(2)) == bare


def test_what_is_imported_gets_them_from_the_vectors_in_the_file(shop: Shop, tmp_path: Path) -> None:
    swept(shop)
    path = tmp_path / "ledger.jsonl"
    shop.run(export(ledger=shop.store, sources=[shop.source.key], path=path))
    other = MemoryStore(shop.loop.now)
    shop.run(import_(ledger=other, path=path, taxonomy=taxonomy(1)))
    found = {record.name: record.categories for record in other.records.values() if record.source == shop.source.key}
    assert found == {f"{name}.jpg": categories for name, categories in CASTLES.items()}


def test_a_record_that_moves_under_our_hands_is_derived_by_its_new_vector(shop: Shop) -> None:
    swept(shop)
    write = shop.store._write

    def overtaken(record: object) -> object:
        shop.store._write = write  # type: ignore[method-assign]
        one = shop.record("b.jpg")
        assert one.analysis
        moved = replace(one.analysis, embedding=shop.record("a.jpg").analysis.embedding)  # type: ignore[union-attr]
        shop.change("b.jpg", analysis=moved, version="theirs")
        return write(record)  # type: ignore[arg-type]

    shop.store._write = overtaken  # type: ignore[method-assign,assignment]
    stale(shop, taxonomy(1))
    assert shop.record("b.jpg").categories == ("things", "castles")
