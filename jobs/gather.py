"""Gather: answer single questions by asking many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class Gather(Generic[Q, A]):
    """Collects the questions that come while earlier lots are being asked, and asks them together next.

    At most `lots` lots of at most `most` questions are under way at a time; a lone question waits for nothing. An error is
    raised to everyone in its lot.
    """

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Mapping[Q, A]]], *, lots: int = 1, most: int = 1000) -> None:
        self._ask = ask
        self._lots = lots
        self._most = most
        self._waiting: dict[Q, asyncio.Future[A | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def __call__(self, question: Q) -> A | None:
        """Return the answer, None when there is none."""
        answer = self._waiting.get(question)
        if answer is None:
            answer = self._waiting[question] = asyncio.get_running_loop().create_future()
        if self._under_way < self._lots:
            self._under_way += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        while self._waiting:
            lot = {question: self._waiting.pop(question) for question in list(islice(self._waiting, self._most))}
            try:
                answers = await self._ask(list(lot))
            except BaseException as error:  # noqa: BLE001 it is raised where the questions were asked
                for answer in lot.values():
                    answer.set_exception(error)
                    answer.exception()
            else:
                for question, answer in lot.items():
                    answer.set_result(answers.get(question))
        self._under_way -= 1  # at once, and not when the task is found done: a question in between would wait for nobody
