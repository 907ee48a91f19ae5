from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Transient
from jobs.model import Quota
from jobs.quota import ABREAST, EVERY, IDLE, SHARE_SECONDS, fair, granted, living, sharing, wanted
from jobs.retry import Policy
from jobs.throttle import Throttle
from tests.fakes.store import MemoryStore
from tests.simulation.loop import VirtualLoop, run_virtually

RATES = st.floats(0.01, 1000, allow_nan=False)
BEGUN = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.lists(RATES, min_size=1, max_size=8), RATES)
def test_a_fair_share_is_at_least_an_equal_part_of_what_is_wanted(wants: list[float], whole: float) -> None:
    shares = fair(wants, whole)
    assert math.isclose(sum(shares), whole, rel_tol=1e-9)
    for want, share in zip(wants, shares, strict=True):
        assert share >= min(want, whole / len(wants)) - 1e-9


@given(st.lists(st.tuples(st.sampled_from("abcd"), RATES, st.floats(0, 15))), RATES)
def test_all_shares_together_are_never_more_than_the_quota(steps: list[tuple[str, float, float]], whole: float) -> None:
    quota, now = Quota(), BEGUN
    for owner, wants, later in steps:
        now += timedelta(seconds=later)
        share = granted(quota, owner, wants, whole=whole, now=now)
        quota = Quota((*living(quota, owner, now), share))
        assert sum(one.rate for one in living(quota, "", now)) <= whole * (1 + 1e-9)


def test_who_holds_most_calls_back_asks_for_all_there_is() -> None:
    assert wanted(9, 8, 50) == 50
    assert wanted(2, 0.5, 50) == pytest.approx(2.5 + 1 / EVERY)


def timed() -> MemoryStore:
    """Return a store whose clock is the loop's."""
    return MemoryStore(lambda: BEGUN + timedelta(seconds=asyncio.get_running_loop().time()))


class Process:
    """A process that has `wants` calls a second to make, none where that is 0."""

    def __init__(self, store: MemoryStore, whole: float = 40.0) -> None:
        self.store, self.whole = store, whole
        self.throttle = Throttle(concurrency=64, max_bytes=1, per_second=whole)
        self.calls: list[float] = []
        self.gap = 0.0

    async def work(self) -> None:
        policy = Policy()
        async with sharing(self.throttle, self.store, self.store, resource="r", whole=self.whole, policy=policy):
            while True:
                async with self.throttle.call():
                    self.calls.append(asyncio.get_running_loop().time())
                await asyncio.sleep(self.gap)

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= at < end for at in self.calls) / (end - begin)


def world(
    number: int, *, seconds: float, change: dict[float, tuple[int, float]] | None = None
) -> tuple[MemoryStore, list[Process]]:
    """Let so many processes work; `change` cuts one down at a second: to a gap between its calls; infinite: it is done."""
    store = timed()
    processes = [Process(store) for _ in range(number)]

    async def play() -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(one.work()) for one in processes]
        for at, (which, gap) in sorted((change or {}).items()):
            await asyncio.sleep(at - loop.time())
            processes[which].gap = gap
            if gap == math.inf:
                tasks[which].cancel()
        await asyncio.sleep(seconds - loop.time())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtually(play(), VirtualLoop())
    return store, processes


def test_four_processes_share_a_quota_evenly_and_use_it() -> None:
    _, processes = world(4, seconds=60)
    rates = [one.rate(10, 60) for one in processes]
    assert all(rate == pytest.approx(10 * ABREAST, rel=0.02) for rate in rates)
    assert all(sum(one.rate(at, at + 1) for one in processes) <= 40 + 4 for at in range(60))


def test_one_process_alone_has_all_of_it_again_when_the_others_are_done() -> None:
    store, processes = world(2, seconds=60, change={20.0: (1, math.inf)})
    assert processes[0].rate(24, 60) == pytest.approx(40, rel=0.02)
    assert [len(one.shares) for one, _ in store.documents.values() if isinstance(one, Quota)] == [0]


def test_who_needs_little_leaves_the_rest_to_the_others() -> None:
    _, processes = world(2, seconds=60, change={10.0: (1, 0.5)})
    assert processes[1].rate(20, 60) == pytest.approx(2, rel=0.1)
    assert processes[0].rate(25, 60) > 34


def test_who_has_nothing_to_do_has_no_share_and_gets_one_again() -> None:
    _, processes = world(2, seconds=120, change={5.0: (1, 60.0)})
    assert processes[0].rate(5 + IDLE + 2 * EVERY, 60) == pytest.approx(40, rel=0.02)
    assert processes[1].rate(60, 75) > 0


def test_the_share_of_a_dead_process_comes_back() -> None:
    store = timed()

    async def play() -> tuple[float, float]:
        policy, dead = Policy(), Throttle(concurrency=4, max_bytes=1)
        gone = sharing(dead, store, store, resource="r", whole=40.0, policy=policy)
        await gone.__aenter__()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # its renewals end, and it gives nothing back
        alive = Process(store)
        task = asyncio.create_task(alive.work())
        await asyncio.sleep(40)
        task.cancel()
        return alive.rate(0, SHARE_SECONDS - 1), alive.rate(SHARE_SECONDS + EVERY, 40)

    before, after = run_virtually(play(), VirtualLoop())
    assert before == 0
    assert after == pytest.approx(40, rel=0.02)


def test_calls_stop_when_the_share_cannot_be_renewed() -> None:
    store = timed()
    one = Process(store)

    async def play() -> None:
        task = asyncio.create_task(one.work())
        await asyncio.sleep(10)

        async def down() -> datetime:
            raise Transient("ask", "the store", "it is away")

        store.now = down  # type: ignore[method-assign]
        await asyncio.sleep(50)
        task.cancel()

    run_virtually(play(), VirtualLoop())
    assert one.rate(5, 10) == pytest.approx(40, rel=0.02)
    assert one.rate(10 + SHARE_SECONDS, 60) == 0
