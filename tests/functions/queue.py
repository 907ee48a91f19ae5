"""Queues: one in memory, by the contract of `jobs.app.desk.Queue`, and the host's rules for messages that fail."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from tests.functions.host import Failed, Host

MOST_DEQUEUES = 5
"""As host.json says."""
MOST_DELIVERIES = 500


@dataclass(slots=True)
class MemoryQueue:
    """Messages in the order in which they show. Time is what `now` says, and moves on when nothing shows yet."""

    now: float = 0.0
    put_so_far: list[tuple[str, float]] = field(default_factory=list)
    _waiting: list[tuple[float, int, int, str]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    async def put(self, message: str, *, delay: float = 0.0) -> None:
        self.put_so_far.append((message, delay))
        self.again(message, dequeued=0, delay=delay)

    def again(self, message: str, *, dequeued: int, delay: float) -> None:
        """Show a message after a delay."""
        heapq.heappush(self._waiting, (self.now + delay, next(self._order), dequeued, message))

    def take(self) -> tuple[str, int] | None:
        """Return the next message and how often it was delivered, this time included; None when there is none."""
        if not self._waiting:
            return None
        shows, _, dequeued, message = heapq.heappop(self._waiting)
        self.now = max(self.now, shows)
        return message, dequeued + 1

    def __len__(self) -> int:
        return len(self._waiting)


@asynccontextmanager
async def opened(queue: MemoryQueue) -> AsyncIterator[MemoryQueue]:
    yield queue


async def deliver_all(host: Host, queue: MemoryQueue, *, most: int = MOST_DELIVERIES) -> list[str]:
    """Deliver messages as the host does until there are none; return why those failed that did.

    A message whose call failed shows again, and goes to the poison queue after so many times.
    """
    failures: list[str] = []
    for _ in range(most):
        taken = queue.take()
        if taken is None:
            return failures
        message, dequeued = taken
        try:
            await host.message("continue_sweep", message, dequeue_count=dequeued)
        except Failed as error:
            failures.append(str(error))
            if dequeued < MOST_DEQUEUES:
                queue.again(message, dequeued=dequeued, delay=60)
            else:
                await host.message("give_up_sweep", message)
    raise AssertionError(f"after {most} deliveries there are {len(queue) + 1} messages yet")
