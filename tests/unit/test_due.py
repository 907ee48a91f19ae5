"""Deferred blobs that are due, in a slice that has no time for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.model import Failure, Outcome
from jobs.work import Control
from tests.unit.shop_kit import Shop, adds_up, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def test_a_sweep_is_not_complete_while_the_due_ones_were_not_reached(shop: Shop) -> None:
    names = shop.fill(12)
    shop.sweep()
    shop.later(100_000)  # behind the look-back: a listing has no use for them any more
    due = Failure("interrupted", "its run died", 0, shop.loop.now())
    for number, name in enumerate(names):
        shop.source.put(name, b"other %d" % number, modified=shop.source.blobs[name][0].modified)
        shop.change(name, outcome=Outcome.DEFERRED, failure=due)
    statuses: list[str] = []
    for _ in range(20):
        report = shop.sweep(control=Control(seconds=1.5))
        assert adds_up(report)
        statuses.append(report.status)
        if report.status == "complete":
            break
    assert len(statuses) > 1
    assert statuses == ["stopped"] * (len(statuses) - 1) + ["complete"]
    assert set(shop.outcomes().values()) == {Outcome.CLASSIFIED}
