"""What the pages of one run share: its name, its terms, its counts, and whether it still admits work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from jobs.budget import NANOS, Budget, Purse, nanos
from jobs.deadline import Deadline, Progress
from jobs.errors import Spent, SweepError, Transient
from jobs.gather import Gather
from jobs.model import Analysis, Outcome, Record
from jobs.ports import Classifier, Ledger, Source, State
from jobs.retry import Policy
from jobs.taxonomy import NO_TAXONOMY, Taxonomy
from jobs.throttle import Throttle
from jobs.window import Window

LONGEST_WAIT = 300.0
"""Seconds of Retry-After that a run waits for; it ends, resumable, when a service asks for more."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run settles by. Seconds unless said otherwise.

    A crash repeats at most `concurrency` + `write_buffer` calls. `scope` names the filters, so that a changed one is noticed.
    `quota` names the resource whose `per_second` is shared by all processes over the store; empty: it is this run's alone.
    `taxonomy` gives what is stored its categories. `max_calls` and `max_cost` bound this run alone, `budget` all runs of a day
    and a month; nothing begins outside of the `window`.
    """

    concurrency: int = 32
    max_flying_bytes: int = 128 << 20
    per_second: float | None = None
    quota: str = ""
    write_buffer: int = 64
    linger: float = 0.25
    call_seconds: float = 60.0
    lease_seconds: float = 180.0
    attempts: int = 5
    retry: Policy = field(default_factory=Policy)
    lookback: timedelta = timedelta(minutes=15)
    pages_in_flight: int = 3
    deferred_share: int = 500
    max_calls: int | None = None
    max_cost: float | None = None
    budget: Budget = field(default_factory=Budget)
    window: Window | None = None
    scope: str = ""
    taxonomy: Taxonomy = NO_TAXONOMY

    @property
    def write_batch(self) -> int:
        """How many results are stored at once: a share of the buffer for each page in flight."""
        return max(1, self.write_buffer // self.pages_in_flight)

    @property
    def claim_seconds(self) -> float:
        """How long a claim lives: longer than all tries of the call that it covers."""
        return self.lease_seconds + self.retry.seconds + self.call_seconds


@dataclass(slots=True)
class Counts:
    """The running figures of a run; `seen` is what the listing has shown so far."""

    seen: int = 0
    listed: int = 0
    classified: int = 0
    reused: int = 0
    unchanged: int = 0
    skipped: int = 0
    deferred: int = 0
    dead: int = 0
    gone: int = 0
    rederived: int = 0
    retried: int = 0
    published: int = 0
    unpublished: int = 0
    removed: int = 0
    calls: int = 0
    unknown_calls: int = 0
    throttled: int = 0
    saved: int = 0
    unread: int = 0

    def settle(self, outcome: Outcome, number: int = 1) -> None:
        """Count blob versions that came to an outcome."""
        self.listed += number
        match outcome:
            case Outcome.CLASSIFIED:
                self.classified += number
            case Outcome.REUSED:
                self.reused += number
            case Outcome.DEFERRED:
                self.deferred += number
            case Outcome.DEAD:
                self.dead += number
            case Outcome.GONE:
                self.gone += number
            case Outcome.FORGOTTEN:
                self.skipped += number
            case _:
                assert_never(outcome)

    def leave(self, number: int = 1) -> None:
        """Count blob versions that were settled before."""
        self.listed += number
        self.unchanged += number

    def skip(self, number: int = 1) -> None:
        """Count names that are not to be settled."""
        self.listed += number
        self.skipped += number


@dataclass(frozen=True, slots=True)
class Parts:
    """The ports that settling needs."""

    source: Source
    classifier: Classifier
    ledger: Ledger
    state: State


async def _nothing(_: Sequence[str]) -> Mapping[str, Record]:
    return {}


@dataclass(slots=True)
class Run:
    """One run in this process.

    `now` is the store's time, `reusable` finds a stored answer by content hash, `covered` says whether our lease outlives a call
    that begins now.
    `answering` holds the analyses by content hash that are asked for or not yet stored, so that identical bytes in flight are
    paid once, and `paying` the versions of our claims on content. `buffer` bounds the results that
    wait to be stored. `purse` is what may be spent, `deadline` when all is to be done. `halted` is the error that stopped the
    run, `exhausted` the budget that did, until `goes_on` where that is known; `storm` counts
    the passing failures since the last of the `successes`, `nanos` what the calls cost, in billionths. `untaught` are images of
    which the examples of the taxonomy could say nothing.
    """

    run_id: str
    owner: str
    terms: Terms
    throttle: Throttle
    now: Callable[[], datetime]
    reusable: Gather[str, Record] = field(default_factory=lambda: Gather(_nothing))
    counts: Counts = field(default_factory=Counts)
    may_go_on: Callable[[], bool] = lambda: True
    covered: Callable[[], bool] = lambda: True
    answering: dict[str, asyncio.Future[Analysis]] = field(default_factory=dict)
    paying: dict[str, str] = field(default_factory=dict)
    buffer: asyncio.Semaphore = field(init=False)
    purse: Purse = field(default_factory=Purse)
    deadline: Deadline | None = None
    halted: SweepError | None = None
    exhausted: str = ""
    goes_on: datetime | None = None
    storm: int = 0
    successes: int = 0
    nanos: int = 0
    untaught: int = 0

    def __post_init__(self) -> None:
        self.buffer = asyncio.Semaphore(self.terms.write_buffer)

    def admits(self) -> bool:
        """Say whether a new piece of work may begin."""
        return self.halted is None and not self.exhausted and self.may_go_on()

    def halt(self, error: SweepError) -> None:
        """Stop admitting because of `error`; the first one counts."""
        if self.halted is None:
            self.halted = error

    def exhaust(self, error: Spent) -> None:
        """Stop admitting because a budget is spent."""
        self.exhausted = f"{error.cause[:1].upper()}{error.cause[1:]}"
        self.goes_on = error.goes_on

    @property
    def cost(self) -> float:
        """What the calls cost."""
        return self.nanos / NANOS

    def progress(self) -> Progress:
        """Return how far the run is."""
        counts = self.counts
        called = counts.classified + counts.dead - counts.saved
        return Progress(called + counts.saved + counts.reused + counts.gone, called, counts.calls)

    def spend(self, price: float) -> bool:
        """Count a call if the run may still make one; a spent budget stops it.

        The lease is asked here once more: since the work was admitted this process may have been frozen.
        """
        if self.halted is not None or not self.covered():
            return False
        terms, dear = self.terms, self.nanos + nanos(price)
        if terms.max_calls is not None and self.counts.calls >= terms.max_calls:
            self.exhausted = f"The budget of {terms.max_calls:,} calls is spent"
        elif terms.max_cost is not None and dear > nanos(terms.max_cost):
            self.exhausted = f"The budget of {terms.max_cost:,.2f} is spent"
        else:
            self.counts.calls += 1
            self.nanos = dear
            return True
        return False

    def fared(self, error: Transient | None) -> None:
        """Learn how a call ended: a row of passing failures without one success stops the run instead of deferring an archive."""
        if error is None:
            self.storm = 0
            self.successes += 1
            return
        self.counts.throttled += error.throttled
        self.counts.unknown_calls += error.unknown
        if error.throttled and (error.retry_after or 0) > LONGEST_WAIT:
            hint = "Nothing is lost: run it again after that."
            self.halt(Transient("classify", "", f"the service wants no calls for {error.retry_after:,.0f} seconds", hint=hint))
        self.storm += 1
        if self.storm >= max(2 * self.terms.concurrency, 20):
            self.halt(
                Transient(
                    "classify",
                    "",
                    f"{self.storm} calls in a row failed, the last one: {error}",
                    hint="The run is paused, nothing is marked dead; run it again when the service is well.",
                )
            )
