"""Quota: the calls a second that one resource allows, shared by all processes over one store.

Each process has a share of the rate, written conditionally into one document; all shares together are never more than the quota.
A share ends by the store's clock unless it is renewed, so that of a dead process comes back, and its owner stops by its own clock.
Who asks for less than its share leaves the rest to the others. docs/adr/0009-shared-quota.md says why shares, and not permits.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from jobs.errors import Conflict, SweepError
from jobs.model import Quota, Share
from jobs.ports import Clock, State
from jobs.retry import Policy, retry
from jobs.throttle import Throttle
from jobs.write import put

SHARE_SECONDS: Final = 10.0
"""How long a share lasts unless it is renewed: what a dead process withholds from the others."""
EVERY: Final = 1.0
"""Seconds between two renewals: how soon the others make room for a newcomer."""
SOON: Final = 0.2
"""Seconds between two renewals of a share that is smaller than it should be: how long what was given up is used by nobody."""
_NEAR: Final = 0.95
IDLE: Final = 20.0
"""Seconds without a call after which a process leaves its share to the others until it has a call to make."""
ABREAST: Final = 0.98
"""Part of the quota that is shared out where several share it: their calls are even one by one, but not among each other."""
_MOST: Final = 0.5
_ROOM: Final = 1.25
_TRIES: Final = 20


def fair(wants: Sequence[float], whole: float) -> list[float]:
    """Share out a rate: nobody gets less than an equal part unless it wants less; what nobody wants is spread evenly."""
    shares = [0.0] * len(wants)
    left = whole
    for place, at in enumerate(order := sorted(range(len(wants)), key=lambda at: wants[at])):
        shares[at] = min(wants[at], left / (len(order) - place))
        left -= shares[at]
    return [share + left / len(wants) for share in shares]


def granted(quota: Quota, owner: str, wants: float, *, whole: float, now: datetime) -> Share:
    """Return the share that a process may write for itself: its fair one, as far as the others have left it already."""
    others = living(quota, owner, now)
    free = _part(others, whole) - sum(share.rate for share in others)
    rate = max(min(due(quota, owner, wants, whole=whole, now=now), free), 0.0)
    return Share(owner, rate, wants, now + timedelta(seconds=SHARE_SECONDS))


def due(quota: Quota, owner: str, wants: float, *, whole: float, now: datetime) -> float:
    """Return the fair share of a process, whether the others have left it already or not."""
    others = living(quota, owner, now)
    return fair([wants, *(share.wants for share in others)], _part(others, whole))[0]


def _part(others: Sequence[Share], whole: float) -> float:
    return whole * ABREAST if others else whole


def living(quota: Quota, owner: str, now: datetime) -> tuple[Share, ...]:
    """Return the shares of all others that have not ended."""
    return tuple(share for share in quota.shares if share.owner != owner and share.expires > now)


def wanted(used: float, held: float, whole: float) -> float:
    """Return what a process asks for that made so many calls a second and held so many back: all there is, if it held most back."""
    return whole if held > _MOST * used else min(used * _ROOM + 1 / EVERY, whole)


class Member:
    """One process that shares a quota. `whole` is the quota in calls a second, `key` names the resource that has it."""

    def __init__(self, throttle: Throttle, state: State, clock: Clock, *, key: str, whole: float, policy: Policy) -> None:
        self.owner = uuid.uuid4().hex
        self._throttle, self._state, self._clock = throttle, state, clock
        self._key, self._whole, self._policy = key, whole, policy
        self._rate, self._wants, self._short = 0.0, whole, False
        self._looked, self._started, self._held = 0.0, 0, 0

    async def join(self) -> None:
        """Get a share, or renew it. Raises SweepError when the store is out of reach: the share then ends by itself."""
        loop = asyncio.get_running_loop()
        self._measure(loop.time())
        for attempt in range(_TRIES):
            asked = loop.time()
            now = await retry(self._clock.now, self._policy)
            found, version = await retry(partial(self._state.get, Quota, self._key), self._policy) or (Quota(), None)
            share = granted(found, self.owner, self._wants, whole=self._whole, now=now)
            quota = Quota((*living(found, self.owner, now), share), uuid.uuid4().hex)
            with suppress(Conflict):
                await put(self._state, self._key, quota, version, self._policy)
                self._rate = share.rate
                self._short = share.rate < _NEAR * due(found, self.owner, self._wants, whole=self._whole, now=now)
                self._throttle.share(share.rate / self._whole, asked + SHARE_SECONDS)
                return
            await asyncio.sleep(random.random() * 0.02 * (attempt + 1))

    async def leave(self) -> None:
        """Give the share back."""
        self._throttle.share(0.0, 0.0)
        with suppress(SweepError):
            for _ in range(_TRIES):
                found = await retry(partial(self._state.get, Quota, self._key), self._policy)
                if found is None:
                    return
                rest = tuple(share for share in found[0].shares if share.owner != self.owner)
                with suppress(Conflict):
                    await put(self._state, self._key, Quota(rest, uuid.uuid4().hex), found[1], self._policy)
                    return

    async def keep(self) -> None:
        """Renew the share for ever; leave it to the others while there is nothing to call for."""
        loop = asyncio.get_running_loop()
        busy, started = loop.time(), self._throttle.started
        while True:
            await asyncio.sleep(SOON if self._short else EVERY)
            if self._throttle.started != started or self._throttle.waits:
                busy, started = loop.time(), self._throttle.started
            elif loop.time() - busy > IDLE:
                await self.leave()
                await self._throttle.missed()
                self._wants, busy = self._whole, loop.time()
            with suppress(SweepError):
                await self.join()

    def _measure(self, now: float) -> None:
        started, held, seconds = self._throttle.started, self._throttle.held, max(now - self._looked, 0.1)
        if self._rate:
            self._wants = wanted((started - self._started) / seconds, (held - self._held) / seconds, self._whole)
        self._looked, self._started, self._held = now, started, held


@asynccontextmanager
async def sharing(
    throttle: Throttle, state: State, clock: Clock, *, resource: str, whole: float | None, policy: Policy
) -> AsyncIterator[None]:
    """Share the quota of a resource with all processes over one store for as long as the body runs; none: there is none to share.

    Raises Transient when the store is out of reach from the start.
    """
    if whole is None or not resource:
        yield
        return
    member = Member(throttle, state, clock, key=f"quota|{resource}", whole=whole, policy=policy)
    await member.join()
    task = asyncio.create_task(member.keep())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await member.leave()
