"""Two sources that are parts of one container: what is done to one leaves the other alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.audit import audit
from jobs.choose import within
from jobs.errors import Misconfigured
from jobs.model import Failure, Outcome, Scan
from jobs.redrive import redrive
from jobs.sweep import sweep
from jobs.work import Ports
from tests.fakes.source import KEY, MemorySource
from tests.simulation.loop import EPOCH
from tests.unit.audit_kit import TERMS, Shop, virtually


def _part(shop: Shop, prefix: str) -> Ports:
    source = MemorySource(shop.loop.now, prefix=prefix)
    source.blobs = shop.source.blobs
    return replace(shop.ports, source=source)


@pytest.mark.parametrize(
    ("own", "asked", "both"), [("", "", ""), ("", "a/", "a/"), ("a/", "", "a/"), ("a/", "a/b", "a/b"), ("a/b", "a", "a/b")]
)
def test_the_narrower_prefix_holds(own: str, asked: str, both: str) -> None:
    assert within(MemorySource(lambda: EPOCH, prefix=own), asked) == both


def test_a_prefix_outside_of_the_source_is_refused() -> None:
    with pytest.raises(Misconfigured, match="begins with 'b/'"):
        within(MemorySource(lambda: EPOCH, prefix="a/"), "b/")


@virtually
async def test_each_part_has_its_own_watermark_and_takes_its_own(shop: Shop) -> None:
    shop.put("a/1.jpg", "b/1.jpg", "b/2.jpg")
    first = await sweep(ports=_part(shop, "a/"), terms=TERMS)
    assert (first.listed, first.classified) == (1, 1)
    second = await sweep(ports=_part(shop, "b/"), terms=TERMS)
    assert (second.listed, second.classified) == (2, 2)
    assert {key for kind, key in shop.store.documents if kind == Scan.__name__} == {f"{KEY}|a/", f"{KEY}|b/"}


@virtually
async def test_an_audit_of_one_part_takes_nothing_of_the_other_for_deleted(shop: Shop) -> None:
    shop.put("a/1.jpg", "b/1.jpg")
    await shop.sweep()
    result = await audit(ports=_part(shop, "a/"), terms=TERMS, repair=True, brake=1.0)
    assert (result.found, result.records, result.documents) == (0, 1, 1)
    assert shop.record("b/1.jpg").outcome is Outcome.CLASSIFIED


@virtually
async def test_what_failed_in_one_part_is_not_tried_again_with_the_other(shop: Shop) -> None:
    shop.put("a/1.jpg", "b/1.jpg")
    await shop.sweep()
    for name in ("a/1.jpg", "b/1.jpg"):
        shop.change(name, outcome=Outcome.DEAD, failure=Failure("broken", "by hand"), analysis=None)
    report = await redrive(ports=_part(shop, "a/"), terms=TERMS, failure_class="broken")
    assert report.listed == 1
    assert shop.record("b/1.jpg").outcome is Outcome.DEAD
