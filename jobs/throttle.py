"""What is in flight, bounded: pieces at once, encoded bytes in memory, calls a second."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

from jobs.doors import FAULTS, Doors
from jobs.errors import Halted, Misconfigured, Refused, Transient
from jobs.pace import Pace, Pacing
from jobs.steps import HERE, Door

log = logging.getLogger("imagesweep")

FIRST = 10.0
"""Calls a second with which a paid service is approached whose quota is not known."""
GLANCE = 1.0
"""Seconds between two questions whether the run goes on, while a call waits for its turn."""


def logged(pacing: Pacing) -> None:
    """Log that the pace was changed."""
    log.info("throttle.pace", extra={"pace": asdict(pacing)})


class Throttle:
    """Admits work in the order of asking while fewer than `concurrency` pieces and at most `max_bytes` bytes are in flight.

    One piece is always admitted when nothing else is in flight, however large, so that nothing waits for ever.
    Calls are paced by what the service answers, from `first` calls a second on and never above `per_second`; without either,
    nothing is paced before a first refusal. Where calls may go through several doors, each has a pace of its own.
    `told` hears of every change of a pace.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        max_bytes: int,
        per_second: float | None = None,
        first: float = math.inf,
        told: Callable[[Pacing], None] = logged,
    ) -> None:
        self._concurrency = concurrency
        self._max_bytes = max_bytes
        self._doors = Doors(lambda most: Pace(concurrency=concurrency, first=first, most=most, told=told), per_second)
        self._line = asyncio.Lock()
        self._news = asyncio.Event()
        self._flying = 0
        self._bytes = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._missed = asyncio.Event()
        self.waits = False
        self.held = 0
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

    @asynccontextmanager
    async def call(self, goes_on: Callable[[], bool] = lambda: True, among: Sequence[Door] = (HERE,)) -> AsyncIterator[Door]:
        """Make one call of the classifier inside, through the door that it gets, when its turn has come.

        What it raises tells the pace of the quota, and whether the door is well: while another one is, a door that serves nobody
        (Refused, Misconfigured) is a passing fault. Raises Halted when the run does not go on and the turn is still more than a
        moment away.
        """
        started, door = await self._turn(goes_on, among)
        loop = asyncio.get_running_loop()
        try:
            yield door
        except Transient as error:
            if error.throttled:
                self._doors.throttled(door, loop.time(), started, error.retry_after)
            else:
                self._failed(door, among, error, faults=1)
            raise
        except (Refused, Misconfigured) as error:
            if self._failed(door, among, error, faults=FAULTS):
                raise Transient("classify", door.name, error.cause, hint=error.hint, failure_class="endpoint") from error
            raise
        except BaseException as error:
            self._failed(door, among, error, faults=0)
            raise
        else:
            self._doors.answered(door, loop.time(), started)
        finally:
            self._news.set()

    def told(self, remaining: int, reset: float, door: Door = HERE) -> None:
        """Take what the headers of an answer say: so many calls remain of a window that ends in `reset` seconds."""
        self._doors.pace(door).told(asyncio.get_running_loop().time(), remaining, reset)

    @property
    def started(self) -> int:
        """How many calls were started."""
        return self._doors.started

    def share(self, part: float, until: float) -> None:
        """Use no more than a part of each quota that is known, none of it for 0 and from `until` on, by the event loop's clock."""
        self._doors.share(part, until)
        self._news.set()

    async def missed(self) -> None:
        """Wait until a call is held back."""
        self._missed.clear()
        if not self.waits:
            await self._missed.wait()

    def _failed(self, door: Door, among: Sequence[Door], error: BaseException, *, faults: int) -> bool:
        other = self._doors.failed(door, among, asyncio.get_running_loop().time(), faults=faults)
        if faults and len(among) > 1:
            log.warning("throttle.door", extra={"key": door.name, "reason": str(error)})
        return other

    async def _turn(self, goes_on: Callable[[], bool], among: Sequence[Door]) -> tuple[float, Door]:
        """Wait until a call may start, in the order of asking; return when it did, and at which door."""
        loop = asyncio.get_running_loop()
        async with self._line:
            try:
                while True:
                    at, door = self._doors.admit(among, now := loop.time())
                    if at <= now:
                        return now, door
                    self.held += not self.waits
                    if at - now > GLANCE and not goes_on():
                        raise Halted("classify", "", "the run admits no more calls")
                    self.waits = True
                    self._missed.set()
                    self._news.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(at - now, GLANCE)):
                            await self._news.wait()
            finally:
                self.waits = False

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
