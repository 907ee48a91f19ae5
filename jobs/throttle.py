"""What is in flight, bounded: calls at once, encoded bytes in memory, calls a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Throttle:
    """Admits work in the order of asking while fewer than `concurrency` pieces and at most `max_bytes` bytes are in flight.

    One piece is always admitted when nothing else is in flight, however large, so that nothing waits for ever.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        max_bytes: int,
        per_second: float | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._max_bytes = max_bytes
        self._gap = 1.0 / per_second if per_second else 0.0
        self._next = 0.0
        self._flying = 0
        self._bytes = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.peak = 0
        self.peak_bytes = 0

    @asynccontextmanager
    async def permit(self, size: int) -> AsyncIterator[None]:
        """Hold a place for one piece of `size` bytes."""
        await self._enter(size)
        try:
            yield
        finally:
            self._flying -= 1
            self._bytes -= size
            self._wake()

    async def pace(self) -> None:
        """Wait for the next moment at which a call may start, evenly spaced at the set rate; nothing at all without one."""
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + self._gap
        if start > now:
            await asyncio.sleep(start - now)

    def _fits(self, size: int) -> bool:
        return not self._flying or (self._flying < self._concurrency and self._bytes + size <= self._max_bytes)

    def _take(self, size: int) -> None:
        self._flying += 1
        self._bytes += size
        self.peak = max(self.peak, self._flying)
        self.peak_bytes = max(self.peak_bytes, self._bytes)

    async def _enter(self, size: int) -> None:
        if not self._queue and self._fits(size):
            self._take(size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._flying -= 1
                self._bytes -= size
                self._wake()
            raise

    def _wake(self) -> None:
        while self._queue:
            size, turn = self._queue[0]
            if turn.cancelled():
                self._queue.popleft()
                continue
            if not self._fits(size):
                return
            self._queue.popleft()
            self._take(size)
            turn.set_result(None)
