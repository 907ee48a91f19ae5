"""Gather: answer single questions by asking many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")


class Gather(Generic[A]):
    """Collects the questions that come while an earlier lot is being asked, and asks them together next.

    One lot is under way at a time; a lone question waits for nothing. An error is raised to everyone in its lot.
    """

    def __init__(self, ask: Callable[[Sequence[str]], Awaitable[Mapping[str, A]]]) -> None:
        self._ask = ask
        self._waiting: dict[str, asyncio.Future[A | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, question: str) -> A | None:
        """Return the answer, None when there is none."""
        answer = self._waiting.get(question)
        if answer is None:
            answer = self._waiting[question] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        while self._waiting:
            lot, self._waiting = self._waiting, {}
            try:
                answers = await self._ask(list(lot))
            except BaseException as error:  # noqa: BLE001 it is raised where the questions were asked
                for answer in lot.values():
                    answer.set_exception(error)
                    answer.exception()
            else:
                for question, answer in lot.items():
                    answer.set_result(answers.get(question))
