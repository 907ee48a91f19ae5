"""Both: while an index is rebuilt, what is published goes to the new one as well as to the one in use.

The document that names the new one is read with every batch, which is after the batch was stored. So a record that the rebuild's
scan did not see was stored after the document was there, and is written to both. The new one is written first: embedded, the two
change places, and what is written first cannot have missed it. See docs/adr/0012-index-life.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from jobs.errors import Conflict, StorageFailed, SweepError, Transient
from jobs.model import Rebuild, Record
from jobs.ports import Index, State

FAULTS = 3
"""Passing faults of the new index alone, in a row, after which it is given up: no more than one publish tries."""

ROUNDS = 10
"""How often the rebuild may change under the hands of one batch before that is a fault of its own."""

T = TypeVar("T")
Opener = Callable[[str], AbstractAsyncContextManager[Index]]

log = logging.getLogger("imagesweep")


class Both:
    """An index by the contract of `jobs.ports.Index`: the one in use, and beside it whichever is being filled.

    A document that either of them refuses for good is refused: it would be missing after the switch.
    """

    def __init__(self, index: Index, *, state: State, key: str, opened: Opener, stack: AsyncExitStack) -> None:
        self._index = index
        self._state = state
        self._key = key
        self._opened = opened
        self._stack = stack
        self._turn = asyncio.Lock()
        self._fresh: tuple[str, Index] | None = None
        self._faults = ("", 0)

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        """Replace whole documents in both."""
        used, fresh = await self._write(lambda index: index.publish(records))
        return used if fresh is None else [ours or theirs for ours, theirs in zip(used, fresh, strict=True)]

    async def remove(self, ids: Sequence[str]) -> None:
        """Remove these documents from both."""
        await self._write(lambda index: index.remove(ids))

    def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]], None]:
        """Stream what the one in use holds."""
        return self._index.revisions(source)

    async def _write(self, write: Callable[[Index], Awaitable[T]]) -> tuple[T, T | None]:
        """Do it to the new one, if there is one, and to the one in use; once more where the rebuild changed meanwhile."""
        for _ in range(ROUNDS):
            found = await self._state.get(Rebuild, self._key)
            if found is None or found[0].failed:
                return await write(self._index), None
            try:
                fresh = await write(await self._beside(found[0].fresh))
            except SweepError as error:
                if not isinstance(error, Transient):
                    self._fresh = None  # embedded, what was opened by its name is the former one after the switch
                await write(self._index)
                await self._blame(found[0], error)
            else:
                used = await write(self._index)
                self._faults = ("", 0)
                return used, fresh
        raise StorageFailed("publish", self._key, "the rebuild of the index keeps changing", hint="Run it again.")

    async def _beside(self, name: str) -> Index:
        """Return the new index, opened once a rebuild and closed with this one."""
        async with self._turn:
            if self._fresh is None or self._fresh[0] != name:
                self._fresh = name, await self._stack.enter_async_context(self._opened(name))
            return self._fresh[1]

    async def _blame(self, rebuild: Rebuild, error: SweepError) -> None:
        """Return when this rebuild is over, or given up; raise the error when it is to be tried again.

        It is given up before anything goes on without it, and durably: else it could take the place without what it missed.
        """
        found = await self._state.get(Rebuild, self._key)
        if found is None or found[0].fresh != rebuild.fresh or found[0].failed:
            return
        if isinstance(error, Transient):
            of, number = self._faults
            self._faults = rebuild.fresh, number + 1 if of == rebuild.fresh else 1
            if self._faults[1] < FAULTS:
                raise error
        if found[0].step == "switching":  # it may be the one in use by now
            cause = f"the new index is about to take the place, and fails: {error}"
            raise Transient("publish", self._key, cause, hint="See `imagesweep index status`.") from error
        try:
            await self._state.put(self._key, replace(found[0], failed=f"{_who()}: {error}"), found[1])
        except Conflict:
            return
        log.warning("rebuild.failed", extra={"key": rebuild.fresh, "reason": str(error)})


def _who() -> str:
    return f"process {os.getpid()} of {socket.gethostname()}"


@asynccontextmanager
async def open_both(index: Index, *, state: State, key: str, opened: Opener) -> AsyncIterator[Both]:
    """Publish to `index`, and to whichever `opened` opens by the name that the rebuild of `key` gives."""
    async with AsyncExitStack() as stack:
        yield Both(index, state=state, key=key, opened=opened, stack=stack)
