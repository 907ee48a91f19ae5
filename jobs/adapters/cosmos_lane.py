"""Conditional writes of small documents of one partition, sent together: what waits while a batch is under way goes with the next.

Claims on content come one for each paid image, and would cost a request each to take and to give back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.adapters.cosmos_batch import MOST_OPERATIONS, Operation, Refused
from jobs.adapters.cosmos_items import Item


@dataclass(frozen=True, slots=True)
class Step:
    """A write on its way: `item` None deletes. `expected` is the etag that must be there, None for none to create.

    `name` is what errors call it.
    """

    name: str
    key: str
    item: Item | None
    expected: str | None

    def operation(self) -> Operation:
        """Return the operation, new each time: the SDK eats its condition."""
        condition = {} if self.expected is None else {"if_match_etag": self.expected}
        if self.item is None:
            return "delete", (self.key,), condition
        if self.expected is None:
            return "create", (self.item,), {}
        return "replace", (self.key, self.item), condition


Execute = Callable[[Sequence[Step]], Awaitable[Sequence[Mapping[str, Any]] | Refused]]
"""Sends a batch, which is all or nothing: returns its results, or which step refused."""


class Lane:
    """The writes to one partition: one batch at a time, in the order of asking. A lone write waits for nothing."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._waiting: list[tuple[Step, asyncio.Future[str | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, step: Step) -> str | None:
        """Make one write; return its etag (empty for a deletion), None when it lost. An error is raised to all of its batch."""
        done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(done)

    async def _run(self) -> None:
        while self._waiting:
            lot, self._waiting = self._waiting[:MOST_OPERATIONS], self._waiting[MOST_OPERATIONS:]
            try:
                await self._send(lot)
            except BaseException as error:  # it is raised where the writes were asked for
                for _, done in lot:
                    if not done.done():
                        done.set_exception(error)
                        done.exception()  # seen: who asked may have been cancelled
                if not isinstance(error, Exception):
                    raise
        self._task = None  # at once, and not when the task is found done: a write in between would wait for nobody

    async def _send(self, lot: list[tuple[Step, asyncio.Future[str | None]]]) -> None:
        """Send a batch until it goes through, without those that lost."""
        left = lot
        while left:
            answer = await self._execute([step for step, _ in left])
            if isinstance(answer, Refused):
                left[answer.operation][1].set_result(None)
                left = left[: answer.operation] + left[answer.operation + 1 :]
                continue
            for (_, done), result in zip(left, answer, strict=True):
                done.set_result(result.get("eTag") or "")
            return
