from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.throttle import Throttle
from tests.simulation.loop import VirtualLoop, run_virtually


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
