"""The right to sweep one source: acquired, renewed with a margin, and lost without harm.

A lease is a document of the store, written conditionally and expiring by the store's clock. Its token grows with every owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from jobs.errors import Conflict, LeaseHeld, LeaseLost, Transient
from jobs.model import Lease
from jobs.ports import Clock, State
from jobs.retry import Policy, retry
from jobs.write import put


class Hold:
    """A lease that is held; `left` and `now` are safe to ask at any time, also after a pause of this process.

    The store's clock is read when the lease is taken or renewed, and carried on by the event loop's in between.
    """

    def __init__(self, key: str, lease: Lease, version: str, *, seconds: float, asked: float, told: datetime) -> None:
        self.key = key
        self.token = lease.token
        self.seconds = seconds
        self.lost = False
        self._lease = lease
        self._version = version
        self._asked = asked
        self._told = told

    def left(self) -> float:
        """Return the seconds for which the lease is surely ours yet."""
        return 0.0 if self.lost else self._asked + self.seconds - _loop_time()

    def now(self) -> datetime:
        """Return the time by the store's clock."""
        return self._told + timedelta(seconds=_loop_time() - self._asked)

    async def renew(self, state: State, clock: Clock, policy: Policy) -> None:
        """Push the end of the lease out. Raises LeaseLost when another has it, Transient when the store cannot be asked."""
        asked, told = await _time(clock, policy)
        lease = Lease(self._lease.owner, self.token, told + timedelta(seconds=self.seconds))
        try:
            self._version = await put(state, self.key, lease, self._version, policy)
        except Conflict as error:
            self.lost = True
            raise LeaseLost("renew lease of", self.key, "another process took the source over") from error
        self._lease, self._asked, self._told = lease, asked, told

    async def release(self, state: State) -> None:
        """Give the lease back, keeping its token for the next owner; nothing happens when it is not ours any more."""
        ended = replace(self._lease, expires=datetime.min.replace(tzinfo=UTC))
        with suppress(Conflict, Transient):
            await state.put(self.key, ended, self._version)
        self.lost = True


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


async def _time(clock: Clock, policy: Policy) -> tuple[float, datetime]:
    """Return the loop's time before the store was asked, and the store's answer: what is left is never overrated."""
    asked = 0.0

    async def ask() -> datetime:
        nonlocal asked
        asked = _loop_time()
        return await clock.now()

    told = await retry(ask, policy)
    return asked, told


async def acquire(state: State, clock: Clock, *, key: str, owner: str, seconds: float, policy: Policy, sole: bool = False) -> Hold:
    """Take the lease of `key`. Raises LeaseHeld while another holds it.

    `sole` says that an operating-system lock proves any other owner dead: then its lease is taken over at once.
    """
    asked, now = await _time(clock, policy)
    found = await retry(partial(state.get, Lease, key), policy)
    if found and found[0].expires > now and found[0].owner != owner and not sole:
        left = (found[0].expires - now).total_seconds()
        raise LeaseHeld("sweep", key, f"{found[0].owner} is at it", hint=f"Its lease ends in {left:.0f} s unless it renews it.")
    lease = Lease(owner, found[0].token + 1 if found else 1, now + timedelta(seconds=seconds))
    try:
        version = await put(state, key, lease, found[1] if found else None, policy)
    except Conflict as error:
        raise LeaseHeld("sweep", key, "another process took it in this moment", hint="Try again later.") from error
    return Hold(key, lease, version, seconds=seconds, asked=asked, told=now)


@asynccontextmanager
async def kept(hold: Hold, state: State, clock: Clock, policy: Policy) -> AsyncIterator[None]:
    """Renew the lease three times in its length for as long as the body runs, and release it after.

    A renewal that fails in passing is tried again; a lost lease shows in `hold.lost`, and nothing is interrupted.
    """

    async def renewing() -> None:
        while not hold.lost:
            await asyncio.sleep(hold.seconds / 3)
            with suppress(LeaseLost, Transient):
                await hold.renew(state, clock, policy)

    task = asyncio.create_task(renewing())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if not hold.lost:
            await hold.release(state)
