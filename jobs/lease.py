"""The right to sweep one source: acquired, renewed with a margin, and lost without harm.

A lease is a document of the store, written conditionally and expiring by the store's clock. Its token grows with every owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jobs.errors import Conflict, LeaseHeld, LeaseLost, Transient
from jobs.model import Lease
from jobs.ports import Clock, State


class Hold:
    """A lease that is held; `left` is safe to ask at any time, also after a pause of this process."""

    def __init__(self, key: str, lease: Lease, version: str, until: float, clock: Callable[[], float]) -> None:
        self.key = key
        self.token = lease.token
        self._lease = lease
        self._version = version
        self._until = until
        self._clock = clock
        self.lost = False

    def left(self) -> float:
        """Return the seconds for which the lease is surely ours yet."""
        return 0.0 if self.lost else self._until - self._clock()

    async def renew(self, state: State, clock: Clock, *, seconds: float) -> None:
        """Push the end of the lease out to `seconds` from now. Raises LeaseLost when another has it."""
        asked = self._clock()
        lease = Lease(self._lease.owner, self.token, await clock.now() + timedelta(seconds=seconds))
        try:
            self._version = await state.put(self.key, lease, self._version)
        except Conflict as error:
            self.lost = True
            raise LeaseLost("renew lease of", self.key, "another process took the source over") from error
        self._lease = lease
        self._until = asked + seconds

    async def release(self, state: State) -> None:
        """Give the lease back, keeping its token for the next owner; nothing happens when it is not ours any more."""
        ended = replace(self._lease, expires=datetime.min.replace(tzinfo=UTC))
        with suppress(Conflict):
            await state.put(self.key, ended, self._version)
        self.lost = True


async def acquire(
    state: State,
    clock: Clock,
    *,
    key: str,
    owner: str,
    seconds: float,
    sole: bool = False,
) -> Hold:
    """Take the lease of `key`. Raises LeaseHeld while another holds it.

    `sole` says that an operating-system lock proves any other owner dead: then its lease is taken over at once.
    """
    local = asyncio.get_running_loop().time
    begun = local()
    now = await clock.now()
    found = await state.get(Lease, key)
    if found and found[0].expires > now and found[0].owner != owner and not sole:
        left = (found[0].expires - now).total_seconds()
        raise LeaseHeld("sweep", key, f"{found[0].owner} is at it", hint=f"Its lease ends in {left:.0f} s unless it renews it.")
    lease = Lease(owner, found[0].token + 1 if found else 1, now + timedelta(seconds=seconds))
    try:
        version = await state.put(key, lease, found[1] if found else None)
    except Conflict as error:
        raise LeaseHeld("sweep", key, "another process took it in this moment", hint="Try again later.") from error
    return Hold(key, lease, version, begun + seconds, local)


@asynccontextmanager
async def kept(hold: Hold, state: State, clock: Clock, *, seconds: float) -> AsyncIterator[None]:
    """Renew the lease three times in its length for as long as the body runs, and release it after.

    A renewal that fails in passing is tried again; a lost lease shows in `hold.lost`, and nothing is interrupted.
    """

    async def renewing() -> None:
        while not hold.lost:
            await asyncio.sleep(seconds / 3)
            with suppress(LeaseLost, Transient):
                await hold.renew(state, clock, seconds=seconds)

    task = asyncio.create_task(renewing())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if not hold.lost:
            await hold.release(state)
