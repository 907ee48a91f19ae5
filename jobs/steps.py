"""Steps: the way to an answer, one request at a time, so that each can be counted and paced before it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Done(Generic[A]):
    """The answer. `saved` counts the paid calls that it would have needed and did not."""

    answer: A
    saved: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """An endpoint that requests go to, each with a quota of its own: calls a second at most, where that is known."""

    name: str = ""
    per_second: float | None = None


HERE = Door()
"""The one endpoint of a service that has no more of them."""


@dataclass(frozen=True, slots=True)
class Ready(Generic[A]):
    """One request that is ready to be made, at a price; it comes to the answer or to the next request.

    `make` takes the door that it is to go through, any of `doors`: the answer is the same. It may be called again after it failed:
    each time is a request of its own.
    """

    price: float
    make: Callable[[Door], Awaitable[Step[A]]]
    doors: tuple[Door, ...] = (HERE,)


Step = Done[A] | Ready[A]


async def finished(step: Step[A]) -> A:
    """Make whatever requests are left; return the answer."""
    while isinstance(step, Ready):
        step = await step.make(step.doors[0])
    return step.answer


async def chained(step: Step[A], then: Callable[[Done[A]], Awaitable[Step[B]]]) -> Step[B]:
    """Return the steps of `step`, followed by those that `then` makes of its answer."""
    if isinstance(step, Done):
        return await then(step)
    ready = step

    async def make(door: Door) -> Step[B]:
        return await chained(await ready.make(door), then)

    return Ready(ready.price, make, ready.doors)
