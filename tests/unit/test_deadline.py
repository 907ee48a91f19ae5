"""Deadlines: in time, and no faster than that needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.deadline import Deadline, Progress
from jobs.model import Analysis, Estimate, Image, Report
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.work import Control
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import TERMS, Shop, Till, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


class Timed(Till):
    """A classifier that remembers when it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def classify(self, image: Image) -> Analysis:
        self.times.append(asyncio.get_running_loop().time())
        return await super().classify(image)


def finish(shop: Shop, till: Till, images: int, seconds: float, *, terms: Terms = TERMS, each: int = 1) -> Report:
    """Sweep with a look ahead that counted so many images, to be done in so many seconds."""
    by = shop.loop.now() + timedelta(seconds=seconds)
    control = Control(estimate=Estimate(images * each, images * 1.0, images=images), finish_by=by)
    return shop.run(sweep(ports=shop.ports(till=till), terms=replace(terms, concurrency=16, write_buffer=16), control=control))


def fill(shop: Shop, images: int, *, duplicates: tuple[float, float] = (1, 1)) -> None:
    """Put photos, of which those between two shares of the listing have all the same bytes."""
    shop.source._page = 20
    for number in range(images):
        same = duplicates[0] <= number / images < duplicates[1]
        shop.source.put(f"{number:05}.jpg", b"same" if same else f"{number}".encode())


@pytest.mark.parametrize(("images", "seconds"), [(400, 400), (400, 3_600), (1_000, 700), (150, 20_000)])
def test_a_run_is_done_in_time_and_hardly_before(shop: Shop, images: int, seconds: float) -> None:
    fill(shop, images)
    till = Timed()
    report = finish(shop, till, images, seconds)
    assert (report.status, report.classified, report.message) == ("complete", images, "")
    assert 0.98 * seconds <= report.seconds <= seconds
    gaps = sorted(later - one for one, later in zip(till.times, till.times[1:], strict=False))
    assert gaps[-1] <= 2 * seconds / images + 1, "calls are spread, with no pause"
    assert gaps[images // 2] >= 0.9 * seconds / images, "and not made in bursts"


@pytest.mark.parametrize("place", [(0.0, 0.5), (0.5, 1.0), (0.25, 0.75)])
def test_what_needs_no_call_shows_and_the_pace_is_taken_back(shop: Shop, place: tuple[float, float]) -> None:
    fill(shop, 800, duplicates=place)
    till = Timed()
    report = finish(shop, till, 800, 2_000)
    assert report.status == "complete"
    assert report.seconds <= 2_000
    assert till.calls == 401
    if place[1] < 1:
        assert report.seconds >= 0.98 * 2_000


def test_two_requests_for_an_image_take_two_turns() -> None:
    deadline = Deadline(EPOCH, 100, 1000.0, 0.0, lambda: 0.0, each=2.0)
    assert deadline.rate(Progress(0, 0, 0)) == pytest.approx(200 / 990)
    assert deadline.calls_left(Progress(50, 50, 103)) == 100


def test_a_slow_service_is_made_up_for(shop: Shop) -> None:
    class Moody(Timed):
        async def classify(self, image: Image) -> Analysis:
            now = asyncio.get_running_loop().time()
            if 200 < now < 500:
                await asyncio.sleep(45)
            return await super().classify(image)

    fill(shop, 400)
    report = finish(shop, Moody(), 400, 1_000)
    assert report.status == "complete"
    assert report.seconds <= 1_000


def test_the_ceiling_is_never_passed_and_what_cannot_be_done_is_said_early(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    fill(shop, 300)
    till = Timed()
    with caplog.at_level(logging.WARNING, "imagesweep"):
        report = finish(shop, till, 300, 100, terms=replace(TERMS, per_second=2.0))
    assert report.status == "complete", "what is late is done all the same"
    assert report.seconds == pytest.approx(150, rel=0.05)
    assert report.message == "It was to be done by 2026-03-01 02:01 UTC."
    [said] = [record for record in caplog.records if record.getMessage().startswith("late:")]
    assert "expected end 2026-03-01 02:02 UTC" in str(said.__dict__["reason"])


def test_who_is_behind_says_so_before_half_of_the_time_is_over() -> None:
    now = 0.0
    deadline = Deadline(EPOCH + timedelta(seconds=1000), 1000, 1000.0, 0.0, lambda: now)
    assert deadline.expected(Progress(0, 0, 0)) is None
    now = 100.0
    assert deadline.expected(Progress(95, 95, 100)) is None
    end = deadline.expected(Progress(45, 45, 50))
    assert end is not None
    assert end - EPOCH == timedelta(seconds=100 + 950 / 0.5)


def test_a_ceiling_that_is_too_low_is_said_before_the_first_call() -> None:
    for most, late in ((0.5, 1000), (1.0, None), (None, None)):
        deadline = Deadline(EPOCH + timedelta(seconds=1000), 1000, 1000.0, 0.0, lambda: 0.0, most)
        end = deadline.expected(Progress(0, 0, 0))
        assert end == (None if late is None else deadline.at + timedelta(seconds=late))


def test_nothing_is_waited_for_once_the_time_is_over(shop: Shop) -> None:
    fill(shop, 30)
    report = finish(shop, Timed(), 5, 1)
    assert report.status == "complete"
    assert report.seconds < 30


def test_a_run_that_is_asked_to_stop_does_not_wait_for_its_turn(shop: Shop) -> None:
    fill(shop, 10)
    by = shop.loop.now() + timedelta(days=2)
    control = Control(estimate=Estimate(10, 10.0, images=10), finish_by=by, stopped=lambda: shop.loop.moment > 100)
    report = shop.run(sweep(ports=shop.ports(), terms=TERMS, control=control))
    assert report.status == "stopped"
    assert report.seconds < 110
