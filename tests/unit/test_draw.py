"""Sketches for images that were classified without: from their bytes, once, and of nobody else's version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from jobs.alike import sketched
from jobs.draw import Drawn, draw
from jobs.errors import Gone, Rejected, Transient
from jobs.model import Blob, Outcome
from jobs.sketch import NOTHING
from tests.unit.shop_kit import TERMS, Shop, opened

SKETCH = "ab" * 32


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        shop.fill(4)
        shop.sweep()
        yield shop


async def look(blob: Blob, data: bytes) -> str:
    assert data
    if blob.name == "02.jpg":
        raise Rejected("draw", blob.name, "it is cut short", failure_class="truncated")
    return NOTHING if blob.name == "03.jpg" else SKETCH


def drawing(shop: Shop, **options: object) -> Drawn:
    given = {"source": shop.source, "ledger": shop.store, "look": look, "at_once": 2, "policy": TERMS.retry}
    return shop.run(draw(**given | options))  # type: ignore[arg-type]


def test_what_has_no_sketch_gets_one_and_nothing_else_changes(shop: Shop) -> None:
    before, calls = shop.record("00.jpg"), shop.till.calls
    assert drawing(shop) == Drawn(drawn=3, failed=1)
    after = shop.record("00.jpg")
    assert before.analysis
    assert after.analysis
    assert sketched(after) == SKETCH
    assert after.analysis.embedding == before.analysis.embedding is not None
    facts = replace(after.analysis.facts, sketch="")
    assert replace(after, version=before.version, analysis=replace(after.analysis, facts=facts)) == before
    assert shop.till.calls == calls


def test_what_was_drawn_is_not_read_again_though_it_shows_nothing(shop: Shop) -> None:
    drawing(shop)
    assert drawing(shop) == Drawn(drawn=0, failed=1)


@pytest.mark.parametrize("fault", [Gone("read", "00.jpg", "it is not there"), Transient("read", "00.jpg", "slow")])
def test_faults_of_the_image_are_counted_and_others_told_after_the_rest_is_stored(shop: Shop, fault: Exception) -> None:
    async def failing(blob: Blob, data: bytes) -> str:
        if blob.name == "00.jpg":
            raise fault
        return await look(blob, data)

    if isinstance(fault, Gone):
        assert drawing(shop, look=failing) == Drawn(drawn=2, failed=2)
    else:
        with pytest.raises(Transient):
            drawing(shop, look=failing)
    assert sketched(shop.record("01.jpg")) == SKETCH


def test_only_the_version_that_was_analysed_is_looked_at(shop: Shop) -> None:
    shop.source.put("00.jpg", b"another")
    shop.change("01.jpg", outcome=Outcome.DEFERRED)
    assert drawing(shop) == Drawn(drawn=1, failed=2)
    assert (sketched(shop.record("00.jpg")), sketched(shop.record("01.jpg"))) == ("", "")


def test_it_stops_when_it_is_asked_to(shop: Shop) -> None:
    assert drawing(shop, stopped=lambda: True) == Drawn(drawn=0, failed=0, stopped=True)
    assert drawing(shop).drawn == 3
