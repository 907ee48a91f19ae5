"""The one retry loop: a pure back-off and a thin skin that waits by it."""

from __future__ import annotations

import asyncio
import random as _random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from jobs.errors import Transient

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """How long one operation is tried: `attempts` in all, none after `seconds`, waits growing from `base` to `cap` seconds."""

    attempts: int = 5
    seconds: float = 60.0
    base: float = 0.5
    cap: float = 20.0


def backoff(attempt: int, policy: Policy, *, jitter: float, asked: float | None = None) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 1): what the service asked, else full jitter.

    `jitter` is a number from 0 to 1. The ceiling doubles with every attempt (AWS, "Exponential backoff and jitter").
    """
    if asked is not None:
        return asked + jitter * policy.base
    return jitter * min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 30))


async def retry(
    call: Callable[[], Awaitable[T]],
    policy: Policy,
    *,
    failed: Callable[[Transient], None] = lambda _: None,
    random: Callable[[], float] = _random.random,
) -> T:
    """Call until it succeeds; only Transient is tried again. `failed` is told of every failure.

    Time is the event loop's. Raises the last Transient when the attempts or the seconds are used up, anything else at once.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except Transient as error:
            failed(error)
            wait = backoff(attempt, policy, jitter=random(), asked=error.retry_after)
            if attempt >= policy.attempts or loop.time() - begun + wait > policy.seconds:
                raise
        await asyncio.sleep(wait)
