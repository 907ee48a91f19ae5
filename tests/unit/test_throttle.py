from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Halted, Misconfigured, Transient
from jobs.model import Analysis, Image
from jobs.pace import Pacing
from jobs.settings import load
from jobs.throttle import Throttle
from tests.fakes.classifier import FakeClassifier
from tests.simulation.loop import VirtualLoop, run_virtually
from tests.unit.shop_kit import Shop, adds_up, opened


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.integers(1, 8))
def test_what_is_in_flight_never_passes_its_bounds(sizes: list[int], concurrency: int) -> None:
    async def world() -> Throttle:
        throttle = Throttle(concurrency=concurrency, max_bytes=250)

        async def piece(size: int) -> None:
            async with throttle.permit(size):
                await asyncio.sleep(size % 7 + 1)

        await asyncio.gather(*(piece(size) for size in sizes))
        return throttle

    throttle = run_virtually(world(), VirtualLoop())
    assert throttle.peak <= concurrency
    assert throttle.peak_bytes <= max(250, *sizes)


def test_a_piece_larger_than_all_memory_goes_alone() -> None:
    async def world() -> list[str]:
        throttle = Throttle(concurrency=4, max_bytes=100)
        order: list[str] = []

        async def piece(name: str, size: int) -> None:
            async with throttle.permit(size):
                order.append(f"{name} in")
                await asyncio.sleep(1)
                order.append(f"{name} out")

        await asyncio.gather(piece("a", 10), piece("huge", 1000), piece("b", 10))
        return order

    assert run_virtually(world(), VirtualLoop()) == ["a in", "a out", "huge in", "huge out", "b in", "b out"]


def test_a_waiter_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    async def world() -> int:
        throttle = Throttle(concurrency=1, max_bytes=100)

        async def piece() -> None:
            async with throttle.permit(1):
                await asyncio.sleep(10)

        tasks = [asyncio.create_task(piece()) for _ in range(3)]
        await asyncio.sleep(1)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        return int(asyncio.get_running_loop().time())

    assert run_virtually(world(), VirtualLoop()) == 20


def test_calls_are_paced_evenly() -> None:
    async def world() -> list[float]:
        throttle = Throttle(concurrency=10, max_bytes=100, per_second=4)
        starts = []

        async def call() -> None:
            async with throttle.call():
                starts.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(call() for _ in range(5)))
        return starts

    assert run_virtually(world(), VirtualLoop()) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


async def refused(throttle: Throttle, retry_after: float | None = None) -> None:
    with pytest.raises(Transient):
        async with throttle.call():
            raise Transient("classify", "a", "status 429", retry_after=retry_after, throttled=True, failure_class="throttled")


def test_a_refusal_holds_all_calls_back_for_as_long_as_the_service_asks() -> None:
    async def world() -> list[float]:
        throttle = Throttle(concurrency=10, max_bytes=100, first=10)
        starts = []

        async def call() -> None:
            async with throttle.call():
                starts.append(asyncio.get_running_loop().time())

        await refused(throttle, 7.0)
        await asyncio.gather(*(call() for _ in range(3)))
        return starts

    starts = run_virtually(world(), VirtualLoop())
    assert starts[0] == pytest.approx(7.0)
    assert starts == sorted(starts)


def test_a_refusal_that_comes_while_a_call_waits_for_its_turn_holds_it_back_as_well() -> None:
    async def world() -> float:
        throttle = Throttle(concurrency=10, max_bytes=100, per_second=1)
        loop = asyncio.get_running_loop()

        async def slow() -> None:
            async with throttle.call():
                await asyncio.sleep(0.5)
                raise Transient("classify", "a", "status 429", retry_after=20.0, throttled=True)

        async def next_one() -> float:
            async with throttle.call():
                return loop.time()

        slowly = asyncio.create_task(slow())
        await asyncio.sleep(0.1)
        at = await next_one()
        with pytest.raises(Transient):
            await slowly
        return at

    assert run_virtually(world(), VirtualLoop()) == pytest.approx(20.5)


@pytest.mark.parametrize(
    "error", [Transient("classify", "a", "reset", unknown=True), Misconfigured("classify", "a", "key"), KeyError()]
)
def test_other_faults_than_refusals_do_not_slow_the_calls(error: Exception) -> None:
    async def world() -> float:
        throttle = Throttle(concurrency=3, max_bytes=100)
        for _ in range(20):
            with pytest.raises(type(error)):
                async with throttle.call():
                    raise error
        return asyncio.get_running_loop().time()

    assert run_virtually(world(), VirtualLoop()) == 0


def test_what_was_never_refused_is_not_slowed_at_all() -> None:
    async def world() -> float:
        throttle = Throttle(concurrency=8, max_bytes=100)

        async def call() -> None:
            async with throttle.call():
                pass

        await asyncio.gather(*(call() for _ in range(2000)))
        return asyncio.get_running_loop().time()

    assert run_virtually(world(), VirtualLoop()) == 0


def test_a_caller_that_goes_away_leaves_its_turn_to_the_next() -> None:
    async def world() -> float:
        throttle = Throttle(concurrency=1, max_bytes=100)

        async def call(seconds: float) -> None:
            async with throttle.call():
                await asyncio.sleep(seconds)

        tasks = [asyncio.create_task(call(10)) for _ in range(4)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        return asyncio.get_running_loop().time()

    assert run_virtually(world(), VirtualLoop()) == pytest.approx(21)


def test_a_run_that_does_not_go_on_does_not_wait_for_a_turn_that_is_far_away() -> None:
    async def world() -> float:
        throttle = Throttle(concurrency=10, max_bytes=100, first=10)
        loop = asyncio.get_running_loop()
        await refused(throttle, 3000.0)
        with pytest.raises(Halted):
            async with throttle.call(lambda: loop.time() < 30):
                pass
        return loop.time()

    assert run_virtually(world(), VirtualLoop()) == pytest.approx(30, abs=1)


def test_what_headers_say_bounds_the_calls() -> None:
    async def world() -> list[float]:
        throttle = Throttle(concurrency=10, max_bytes=100, per_second=100)
        starts = []
        throttle.told(3, 30.0)
        for _ in range(4):
            async with throttle.call():
                starts.append(asyncio.get_running_loop().time())
        return starts

    assert run_virtually(world(), VirtualLoop()) == pytest.approx([0, 10, 20, 30])


def test_the_hook_hears_of_a_cut() -> None:
    heard: list[Pacing] = []

    async def world() -> None:
        await refused(Throttle(concurrency=10, max_bytes=100, first=10, told=heard.append))

    run_virtually(world(), VirtualLoop())
    assert [(pacing.why, pacing.rate, pacing.ceiling, pacing.refused_share) for pacing in heard] == [("refused", 5, 10, 1)]


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "nan", "many"])
def test_a_ceiling_that_is_no_positive_number_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("IMAGESWEEP_CALLS_PER_SECOND", rate)
    with pytest.raises(Misconfigured, match="IMAGESWEEP_CALLS_PER_SECOND"):
        load()


class Metered(FakeClassifier):
    """A classifier that refuses from the call after `served` on, and asks for so many seconds."""

    def __init__(self, *, served: int, retry_after: float, price: float = 1.0) -> None:
        super().__init__(price=price)
        self.served = served
        self.retry_after = retry_after
        self.refused = 0

    async def classify(self, image: Image) -> Analysis:
        if self.served <= 0:
            self.refused += 1
            raise Transient("classify", image.name, "status 429", retry_after=self.retry_after, throttled=True)
        self.served -= 1
        return await super().classify(image)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


@pytest.mark.parametrize("retry_after", [86_400.0, math.inf])
def test_a_retry_after_of_a_day_ends_the_run_resumable(shop: Shop, retry_after: float) -> None:
    shop.fill(12)
    metered = Metered(served=5, retry_after=retry_after)
    begun = shop.loop.time()
    report = shop.sweep(till=metered)
    assert shop.loop.time() - begun < 60
    assert report.status == "stopped"
    assert "the service wants no calls for" in report.message
    assert report.throttled == metered.refused
    assert adds_up(report)
    metered.served = 100
    shop.later(86_400)
    again = shop.sweep(till=metered)
    assert again.status == "complete"
    assert sum(metered.paid.values()) == 12


def test_a_retry_after_of_a_minute_is_waited_for(shop: Shop) -> None:
    shop.fill(6)
    metered = Metered(served=3, retry_after=60.0)
    shop.loop.call_later(30, lambda: setattr(metered, "served", 100))
    begun = shop.loop.time()
    report = shop.sweep(till=metered)
    assert report.status == "complete"
    assert shop.loop.time() - begun > 60
    assert sum(metered.paid.values()) == report.classified


@pytest.mark.parametrize(("price", "seconds"), [(0.0, 0.0), (0.001, 1.9)])
def test_what_costs_nothing_is_not_paced_and_what_is_paid_is_approached(shop: Shop, price: float, seconds: float) -> None:
    shop.fill(40)
    begun = shop.loop.time()
    report = shop.sweep(till=Metered(served=100, retry_after=1.0, price=price))
    assert report.classified == 40
    assert seconds <= shop.loop.time() - begun <= 2 * seconds
