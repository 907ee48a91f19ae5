"""Lookahead: settings in, plans out; and the plan that the gallery shows: by listing alone, and not made anew for each who asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from jobs import wiring
from jobs.errors import Transient
from jobs.plan import Plan, Sampling, plan
from jobs.settings import Settings

SECONDS: Final = 20.0
"""How long a page may wait for a listing; an archive takes longer, and is for the command line."""
KEPT: Final = 600.0
"""Seconds that a plan is shown for: listing a container is paid for, and the page may be open to all."""


async def plans(
    settings: Settings,
    *,
    prefix: str = "",
    read: bool = True,
    by_prefix: bool = False,
    sampling: Sampling | None = None,
    read_only: bool = False,
) -> list[Plan]:
    """Return what the next sweep of each source would do; a store that is not there yet is made, unless `read_only`."""
    made = []
    async with wiring.classifier(settings) as classifier, wiring.store(settings, read_only=read_only) as store:
        for opener in wiring.sources(settings):
            async with opener as source:
                one = await plan(
                    source=source,
                    classifier=classifier,
                    ledger=store,
                    state=store,
                    clock=store,
                    terms=wiring.terms(settings),
                    prefix=prefix,
                    read=read,
                    by_prefix=by_prefix,
                    tariff=wiring.tariff(settings),
                    sampling=sampling,
                )
                made.append(one)
    return made


@dataclass(slots=True)
class Lookahead:
    """What the next sweep would do, as of some minutes ago at most."""

    settings: Settings
    clock: Callable[[], float] = time.monotonic
    made: Sequence[Plan] | None = None
    at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> Sequence[Plan]:
        """Return a plan of each source. Raises Transient when the listing takes too long."""
        async with self.turn:
            if self.made is None or self.clock() - self.at > KEPT:
                try:
                    async with asyncio.timeout(SECONDS):
                        self.made = await plans(self.settings, read=False, by_prefix=True, read_only=True)
                except TimeoutError as error:
                    cause = f"listing takes longer than {SECONDS:.0f} s"
                    raise Transient("plan", "", cause, hint="Run imagesweep plan, which takes its time.") from error
                self.at = self.clock()
            return self.made
