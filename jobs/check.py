"""Check: ask each part of a deployment, one by one, whether it would serve, before a sweep needs it."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from PIL import Image as Pillow

from jobs.errors import SweepError
from jobs.model import Image
from jobs.ports import Checked, Classifier, Embedder
from jobs.retry import Policy, retry

PATIENCE: Final = Policy(attempts=3, seconds=20.0)
"""A part that is merely busy is asked again; one that is out of reach for longer is a finding."""

_SIDE = 64
"""Pixels a side of the picture that is classified: the least that every classifier takes is 50."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its name, where it is set to be, and what asks it for a fact about itself. `where` holds no secret."""

    name: str
    where: str
    ask: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of asking a part: a `fact`, or the `error` that says what to do."""

    part: Part
    fact: str = ""
    error: SweepError | None = None


async def check(parts: Iterable[Part]) -> AsyncGenerator[Finding]:
    """Ask the parts one after the other; what is wrong with one keeps none of the others from being asked."""
    for part in parts:
        try:
            yield Finding(part, fact=await retry(part.ask, PATIENCE))
        except SweepError as error:
            yield Finding(part, error=error)


async def said(part: object) -> str:
    """Return what an open part says of itself; that it could be opened, where it cannot say more."""
    return await part.check() if isinstance(part, Checked) else "it was opened"


async def classified(classifier: Classifier, *, pay: bool) -> str:
    """Return what a classifier says of itself, and how it answered: where that is free, or with `pay`."""
    if classifier.price and not pay:
        return await said(classifier)
    begun = time.monotonic()
    analysis = await classifier.classify(_picture())
    return f"{analysis.answered} answered in {time.monotonic() - begun:.1f} s{_paid(classifier.price)}"


async def embedded(embedder: Embedder, *, pay: bool) -> str:
    """Return what an embedder says of itself, and how it answered: where that is free, or with `pay`."""
    if embedder.price and not pay:
        return await said(embedder)
    begun = time.monotonic()
    vector = await embedder.embed(_picture())
    return f"{len(vector) // 4:,} numbers in {time.monotonic() - begun:.1f} s{_paid(embedder.price)}"


def _paid(price: float) -> str:
    return f", for {price:g}" if price else ""


def _picture() -> Image:
    file = io.BytesIO()
    Pillow.new("RGB", (_SIDE, _SIDE), "teal").save(file, "PNG")
    return Image("check.png", file.getvalue())
