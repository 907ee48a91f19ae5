"""An event loop without real time: sleeping moves the clock, nothing waits, and the same seed gives the same run."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
END = 3_000_000.0
"""Seconds after which a world has hung."""

EPOCH = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


class _Skip(selectors.SelectSelector):
    """Instead of waiting for a time-out, moves the loop's clock to it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer will wake one")
        self.loop.moment += max(timeout, 0)
        if self.loop.moment > END:
            raise RuntimeError("the world does not come to an end")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is a number."""

    def __init__(self) -> None:
        self.moment = 0.0
        selector = _Skip()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.moment

    def now(self) -> datetime:
        """Return the world's true time."""
        return EPOCH + timedelta(seconds=self.moment)


def run_virtually(coroutine: Coroutine[Any, Any, T], loop: VirtualLoop, *, skew: float = 0.0) -> T:
    """Run a coroutine to its end on a virtual loop; the worker's wall clock goes `skew` seconds before the world's."""
    real = time.time
    time.time = lambda: EPOCH.timestamp() + loop.moment + skew
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(coroutine)
    finally:
        time.time = real
