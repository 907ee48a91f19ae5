"""What bounds a run from the command line: time, calls, money, and when it is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from jobs.budget import affordable
from jobs.errors import Misconfigured
from jobs.model import Report
from jobs.ports import Clock
from jobs.settings import Settings
from jobs.window import moment, zone

SLICE = click.option(
    "--slice", "seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds; the next call goes on."
)
MAX_CALLS = click.option("--max-calls", type=click.IntRange(min=1), help="Budget: stop after so many classifier calls.")
MAX_COST = click.option(
    "--max-cost", type=click.FloatRange(min=0, min_open=True), help="Budget: stop before the calls cost more, at the first tier."
)
FINISH_BY = click.option(
    "--finish-by", metavar="TIME", help="Spread the calls so as to be done by then: 06:00 (the next one), or 2026-11-30T06:00."
)
YES = click.option("--yes", is_flag=True, help="Do not ask before many paid calls.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds, calls and money over all sources, whether many paid calls need no asking, and the time to be done by, as given."""

    seconds: float | None = None
    max_calls: int | None = None
    max_cost: float | None = None
    yes: bool = False
    finish_by: str | None = None

    @property
    def unguarded(self) -> bool:
        """Whether many calls may be made without asking."""
        return self.yes or self.max_calls is not None or self.max_cost is not None

    def calls_left(self, reports: Sequence[Report]) -> int | None:
        """Return the calls that are left after these runs."""
        return None if self.max_calls is None else max(self.max_calls - sum(report.calls for report in reports), 0)

    def cost_left(self, reports: Sequence[Report]) -> float | None:
        """Return the money that is left after these runs."""
        return None if self.max_cost is None else max(self.max_cost - sum(report.cost for report in reports), 0.0)

    def check(self, price: float) -> None:
        """Raise Misconfigured when the money is not enough for one image."""
        affordable(self.max_cost, price, name="--max-cost")

    async def deadline(self, settings: Settings, clock: Clock) -> datetime | None:
        """Return the time to be done by. Raises Misconfigured for what is no time to come."""
        if self.finish_by is None:
            return None
        try:
            return moment(self.finish_by, now=await clock.now(), where=zone(settings.time_zone))
        except ValueError as error:
            raise Misconfigured("read", "--finish-by", str(error)) from error


def shared(by: datetime | None, *, now: datetime, mine: int, all_of_it: int) -> datetime | None:
    """Return the time by which one of several sources is to be done: its share of what is left, by its images."""
    if by is None or not all_of_it:
        return by
    return now + (by - now) * (mine / all_of_it)
