"""A process of the simulated world: slow, crashing, freezing and waking up as a zombie; its calls fail before and after the effect.

A port is wrapped by `Wire`, which takes every call through the process's fate. The production code runs unchanged behind it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import Conflict, Transient


class Dead(BaseException):
    """The process is gone: nothing that it still does has an effect. Not an Exception, so that no handler may swallow it."""


@dataclass(slots=True)
class Fate:
    """What may happen to the calls of a process, as chances for each call."""

    fail_before: float = 0.0
    fail_after: float = 0.0
    slow: float = 0.0
    latency: float = 0.05
    crash_at: int | None = None
    freeze_at: int | None = None
    freeze_for: float = 0.0


@dataclass(slots=True)
class Process:
    """One process: `step` counts its port calls, `frozen` is the moment at which it wakes up."""

    name: str
    random: random.Random
    hazards: Counter[str]
    fate: Fate = field(default_factory=Fate)
    alive: bool = True
    step: int = 0
    frozen: float = 0.0
    was_frozen: bool = False

    async def before(self, what: str) -> None:
        """Come to a call: latency, freezing, crashing, failing before the effect."""
        self.step += 1
        quick = self.random.random() >= self.fate.slow
        latency = self.random.expovariate(1 / self.fate.latency) if quick else self.random.uniform(5, 40)
        await asyncio.sleep(latency)
        if self.step == self.fate.freeze_at:
            self.frozen = asyncio.get_running_loop().time() + self.fate.freeze_for
            self.was_frozen = True
            self.hazards[f"freeze at {what}"] += 1
        await self._thaw()
        self._live()
        if self.step == self.fate.crash_at and self.random.random() < 0.5:
            self._die(f"crash before {what}")
        if self.random.random() < self.fate.fail_before:
            self.hazards[f"fault before {what}"] += 1
            raise Transient(what, "", "simulated fault before the effect")

    async def after(self, what: str) -> None:
        """Leave a call, whose effect has happened."""
        if self.step == self.fate.crash_at:
            self._die(f"crash after {what}")
        if self.random.random() < 0.3:
            await asyncio.sleep(self.random.expovariate(1 / self.fate.latency))
        await self._thaw()
        self._live()
        if self.random.random() < self.fate.fail_after:
            self.hazards[f"lost acknowledgement of {what}"] += 1
            raise Transient(what, "", "simulated loss of the acknowledgement", unknown=True)

    def _die(self, how: str) -> None:
        self.alive = False
        self.hazards[how] += 1
        raise Dead(how)

    def _live(self) -> None:
        if not self.alive:
            raise Dead(self.name)

    async def _thaw(self) -> None:
        await asyncio.sleep(max(self.frozen - asyncio.get_running_loop().time(), 0))


class Wire:
    """A port as a process reaches it; `names` says what a call is called by its method and arguments."""

    def __init__(self, port: Any, process: Process, names: Callable[[str, tuple[Any, ...]], str]) -> None:
        self._port = port
        self._process = process
        self._names = names

    def __getattr__(self, method: str) -> Any:
        target = getattr(self._port, method)
        if not callable(target):
            return target
        if method in {"pages", "scan", "revisions"}:
            return lambda *args, **kwargs: self._stream(method, target(*args, **kwargs))

        async def call(*args: Any, **kwargs: Any) -> Any:
            what = self._names(method, args)
            await self._process.before(what)
            if (
                method in {"write", "publish"}
                and len(args[0]) > 1
                and self._process.random.random() < self._process.fate.fail_after
            ):
                part = self._process.random.sample(list(args[0]), self._process.random.randrange(1, len(args[0])))
                await target(part, **kwargs)
                self._process.hazards[f"torn {what}"] += 1
                raise Transient(what, "", "simulated failure in the middle of a batch", unknown=True)
            result = await self._effect(target, *args, **kwargs)
            await self._process.after(what)
            return result

        return call

    async def _effect(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do what was called for, and note when a zombie is refused."""
        try:
            result = await target(*args, **kwargs)
        except Conflict:
            self._process.hazards["zombie refused"] += self._process.was_frozen
            raise
        if self._process.was_frozen and isinstance(result, list) and None in result:
            self._process.hazards["zombie refused"] += target.__name__ == "write"
        return result

    async def _stream(self, method: str, stream: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        what = self._names(method, ())
        await self._process.before(what)
        async for item in stream:
            await self._process.after(what)
            yield item
            await self._process.before(what)
