"""Desk: the parts that the calls of one process share, each opened when it is first needed and kept open from call to call."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar, cast

from jobs import wiring
from jobs.ports import Classifier, Index, Source
from jobs.quota import sharing
from jobs.run import Terms
from jobs.settings import Settings, load, several
from jobs.throttle import FIRST, Throttle
from jobs.wiring.kinds import Store
from jobs.work import Ports

T = TypeVar("T")

QUEUE = "sweep-continue"
"""Where the next slice of a round is asked for."""
CONNECTION = "AzureWebJobsStorage"
"""The host's own setting for its storage account; the trigger reads the queue by it, so it is put on by it."""


class Queue(Protocol):
    """What calls this app again."""

    async def put(self, message: str, *, delay: float = 0.0) -> None:
        """Put a message that is delivered at least once, no sooner than after `delay` seconds. Durable when it returns.

        Raises Transient for a passing fault, Misconfigured when this identity may not.
        """
        ...


def open_queue() -> AbstractAsyncContextManager[Queue]:
    """Open the queue that `continue_sweep` is triggered by."""
    from jobs.adapters import azure_queue  # noqa: PLC0415 its SDK is not needed to import the app

    return azure_queue.open_azure_queue(QUEUE, CONNECTION, os.environ)


class Desk:
    """The open parts of a deployment."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._parts: dict[str, Any] = {}

    def terms(self, *, max_calls: int | None = None) -> Terms:
        """Return what a run settles by."""
        return wiring.terms(self.settings, max_calls=max_calls)

    async def store(self) -> Store:
        """Return the store."""
        return await self.part("store", lambda: wiring.store(self.settings))

    async def index(self) -> Index:
        """Return the index, to publish to."""
        store = await self.store()
        return await self.part("index", lambda: wiring.publishing(self.settings, store))

    async def classifier(self) -> Classifier:
        """Return the classifier."""
        return await self.part("classifier", lambda: wiring.classifier(self.settings))

    async def queue(self) -> Queue:
        """Return the queue."""
        return await self.part("queue", open_queue)

    async def source(self, named: str) -> Source:
        """Return the source that the settings name so."""
        alone = self.settings.model_copy(update={"source": named})
        [opener] = wiring.sources(alone)
        return await self.part(f"source {named}", lambda: opener)

    async def ports(self, named: str) -> Ports:
        """Return all that a job over one source is joined to."""
        source, classifier, store, index = (
            await self.source(named),
            await self.classifier(),
            await self.store(),
            await self.index(),
        )
        return Ports(source, classifier, store, store, store, index)

    async def throttle(self) -> Throttle:
        """Return what the slices and events of this process share, and learn together: the pace of the classifier's service."""
        first = FIRST if (await self.classifier()).price else math.inf
        store = await self.store()
        return await self.part("throttle", lambda: self._throttled(first, store))

    @asynccontextmanager
    async def _throttled(self, first: float, store: Store) -> AsyncIterator[Throttle]:
        terms = self.terms()
        throttle = Throttle(
            concurrency=terms.concurrency, max_bytes=terms.max_flying_bytes, per_second=terms.per_second, first=first
        )
        async with sharing(throttle, store, store, resource=terms.quota, whole=terms.per_second, policy=terms.retry):
            yield throttle

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources, as the settings name them."""
        return several(self.settings.source)

    async def close(self) -> None:
        """Close what was opened."""
        self._parts.clear()
        await self._stack.aclose()

    async def part(self, name: str, opener: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Return what is open under a name, opened the first time."""
        async with self._turn:
            if name not in self._parts:
                self._parts[name] = await self._stack.enter_async_context(opener())
            return cast("T", self._parts[name])


_desks: dict[asyncio.AbstractEventLoop, Desk] = {}


def desk() -> Desk:
    """Return the desk of this process, which ends with it. Raises Misconfigured when a setting is wrong."""
    loop = asyncio.get_running_loop()
    if loop not in _desks:
        _desks.clear()
        _desks[loop] = Desk(load())
    return _desks[loop]
