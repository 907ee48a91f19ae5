from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from jobs.gather import Gather
from tests.simulation.loop import VirtualLoop, run_virtually


def test_what_is_asked_meanwhile_is_asked_together() -> None:
    async def world() -> tuple[list[int | None], list[list[str]]]:
        lots: list[list[str]] = []

        async def ask(questions: Sequence[str]) -> Mapping[str, int]:
            lots.append(list(questions))
            await asyncio.sleep(1)
            return {question: len(question) for question in questions if question != "?"}

        gather = Gather(ask)
        first = asyncio.create_task(gather("a"))
        await asyncio.sleep(0.5)
        rest = await asyncio.gather(*(gather(question) for question in ("bb", "ccc", "?", "bb")))
        return [await first, *rest], lots

    answers, lots = run_virtually(world(), VirtualLoop())
    assert answers == [1, 2, 3, None, 2]
    assert lots == [["a"], ["bb", "ccc", "?"]]


def test_an_error_is_raised_to_its_lot_only() -> None:
    async def world() -> list[int | BaseException | None]:
        async def ask(questions: Sequence[str]) -> Mapping[str, int]:
            await asyncio.sleep(1)
            if "bad" in questions:
                raise ValueError
            return dict.fromkeys(questions, 1)

        gather = Gather(ask)
        first = asyncio.gather(gather("bad"), return_exceptions=True)
        await asyncio.sleep(0.5)
        return [*await first, await gather("good")]

    failed, fine = run_virtually(world(), VirtualLoop())
    assert isinstance(failed, ValueError)
    assert fine == 1


def test_who_stops_waiting_takes_nobody_else_along() -> None:
    async def world() -> int | None:
        async def ask(questions: Sequence[str]) -> Mapping[str, int]:
            await asyncio.sleep(1)
            return dict.fromkeys(questions, 7)

        gather = Gather(ask)
        tasks = [asyncio.create_task(gather("a")) for _ in range(2)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        return await tasks[1]

    assert run_virtually(world(), VirtualLoop()) == 7


def test_a_question_in_the_moment_a_lot_ends_is_not_left_waiting() -> None:
    async def world() -> int | None:
        ending = asyncio.Event()

        async def ask(questions: Sequence[str]) -> Mapping[str, int]:
            await asyncio.sleep(1)
            ending.set()
            return dict.fromkeys(questions, 1)

        gather: Gather[str, int] = Gather(ask)
        first = asyncio.create_task(gather("a"))
        await ending.wait()
        last = await gather("b")
        await first
        return last

    assert run_virtually(world(), VirtualLoop()) == 1
