"""What a slice had no time for is due for the next one, also by a clock that tells whole seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from jobs.model import Analysis, Image, Outcome
from jobs.work import Control
from tests.fakes.classifier import FakeClassifier
from tests.fakes.store import MemoryStore
from tests.unit.shop_kit import Shop, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        shop.store = MemoryStore(lambda: shop.loop.now().replace(microsecond=0))
        yield shop


class Quick(FakeClassifier):
    """A classifier that answers within a second, as long as a slice is over before the clock moves on."""

    async def classify(self, image: Image) -> Analysis:
        await asyncio.sleep(0.1)
        return await super().classify(image)


@pytest.mark.parametrize("seconds", [0.15, 0.25, 0.45])
def test_nothing_is_left_when_the_last_slice_calls_the_sweep_complete(shop: Shop, seconds: float) -> None:
    shop.source._page = 15
    shop.fill(30)
    till = Quick()
    statuses: list[Any] = []
    while not statuses or statuses[-1] == "stopped":
        statuses.append(shop.sweep(till=till, control=Control(seconds=seconds)).status)
        assert len(statuses) < 60
    assert statuses[-1] == "complete"
    assert set(shop.outcomes().values()) == {Outcome.CLASSIFIED}
    assert till.paid.total() == 30
