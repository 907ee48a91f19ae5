"""Writes to one partition go together, each keeps its own condition, and each hears what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from jobs.adapters.cosmos_batch import Refused
from jobs.adapters.cosmos_lane import Lane, Step
from jobs.errors import Transient
from tests.conftest import Run


class Partition:
    """A partition in memory that takes a batch or refuses all of it, a moment after it was asked."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.sizes: list[int] = []
        self.fault: Exception | None = None

    async def execute(self, steps: Sequence[Step]) -> Sequence[Mapping[str, Any]] | Refused:
        self.sizes.append(len(steps))
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        items = dict(self.items)
        for place, step in enumerate(steps):
            wanted = step.expected if step.expected is not None or step.item is not None else items.get(step.key, "absent")
            if items.get(step.key) != wanted:
                return Refused(place)
            if step.item is None:
                del items[step.key]
            else:
                items[step.key] = f"{step.item['value']}"
        self.items = items
        return [{"eTag": self.items[step.key]} if step.item else {} for step in steps]


def put(key: str, value: str, expected: str | None = None) -> Step:
    return Step(key, key, {"id": key, "value": value}, expected)


@pytest.fixture
def partition() -> Partition:
    return Partition()


async def together(partition: Partition, *steps: Step) -> list[str | BaseException | None]:
    lane = Lane(partition.execute)
    return await asyncio.gather(*(lane.write(step) for step in steps), return_exceptions=True)


def test_what_waits_goes_with_the_next_batch(run: Run, partition: Partition) -> None:
    steps = [put(f"{number}", "a") for number in range(250)]
    assert run(together(partition, *steps)) == ["a"] * 250
    assert partition.sizes == [100, 100, 50]


def test_a_loser_is_told_so_and_sinks_nobody(run: Run, partition: Partition) -> None:
    partition.items = {"taken": "x", "old": "1", "moved": "2", "leaving": "3"}
    steps = (
        put("new", "a"),
        put("taken", "a"),
        put("old", "b", "1"),
        put("moved", "b", "1"),
        Step("leaving", "leaving", None, "3"),
    )
    found = run(together(partition, *steps, Step("absent", "absent", None, None)))
    assert found == ["a", None, "b", None, "", None]
    assert partition.items == {"new": "a", "taken": "x", "old": "b", "moved": "2"}


def test_a_fault_is_everybodys_in_its_batch_and_nobodys_after(run: Run, partition: Partition) -> None:
    async def scene() -> None:
        lane = Lane(partition.execute)
        partition.fault = Transient("put", "2 documents", "status 503")
        both = await asyncio.gather(lane.write(put("a", "1")), lane.write(put("b", "1")), return_exceptions=True)
        assert both == [partition.fault] * 2
        partition.fault = None
        assert await lane.write(put("a", "1")) == "1"

    run(scene())


def test_who_stops_waiting_takes_nothing_back(run: Run, partition: Partition) -> None:
    async def scene() -> None:
        lane = Lane(partition.execute)
        gone = asyncio.create_task(lane.write(put("a", "1")))
        stays = asyncio.create_task(lane.write(put("b", "1")))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == "1"
        assert partition.items == {"a": "1", "b": "1"}

    run(scene())
