"""The commands that go beside the sweep, over what it has done or left: backfill and redrive."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from jobs import redrive as redriving
from jobs import wiring
from jobs.backfill import Range, ahead, backfill, calls_ahead
from jobs.cli.bounds import JSON, MAX_CALLS, MAX_COST, SLICE, YES, Bounds
from jobs.cli.output import answering, print_json
from jobs.cli.progress import progress
from jobs.cli.reports import exit_status, guard, print_report, stoppable, together
from jobs.model import Report
from jobs.ports import Source
from jobs.run import Terms
from jobs.settings import Settings, load
from jobs.work import Control, Ports

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the command line runs it: `listed` is what it will meet, `calls` counts its calls up to a number that is enough."""

    name: str
    prefix: str
    run: Callable[[Ports, Terms, Control], Awaitable[Report]]
    listed: Callable[[Ports, Terms], Source]
    calls: Callable[[Ports, Terms, int], Awaitable[int]]


@click.command("backfill", short_help="Classify a range of names and dates, beside the sweeps.")
@click.option("--prefix", default="", help="Only names that begin with this.")
@click.option("--after", type=_DATE, help="Last changed (in a folder: or arrived) at or after this UTC date.")
@click.option("--before", type=_DATE, help="Last changed (in a folder: or arrived) before this UTC date.")
@click.option(
    "--stale",
    is_flag=True,
    help="Only what was classified by another model, for other features or in another language, or has categories of another "
    "taxonomy, which is free.",
)
@SLICE
@MAX_CALLS
@MAX_COST
@YES
@JSON
def backfill_command(
    *,
    prefix: str,
    after: datetime | None,
    before: datetime | None,
    stale: bool,
    seconds: float | None,
    max_calls: int | None,
    max_cost: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Classify what lies in a range of names and dates of change, whatever the sweeps have passed by.

    It has a checkpoint of its own: stopped, it goes on when it is called with the same range. It may run beside the nightly
    sweep; neither pays for what the other did. What lies outside the range is counted as skipped.

    \b
    Examples:
      imagesweep backfill --prefix 2019/
      imagesweep backfill --after 2015-01-01 --before 2020-01-01 --max-calls 5000
      imagesweep backfill --stale               after a change of model or taxonomy: only what it touches

    Exit status: 0 complete, 75 stopped early and resumable, 1 failed, 2 usage or configuration.
    """  # noqa: D301
    if after and before and after >= before:
        raise click.UsageError("--after must be earlier than --before.")
    span = Range(prefix, _utc(after), _utc(before), stale)
    job = Job(
        "backfill",
        prefix,
        lambda ports, terms, control: backfill(ports=ports, terms=terms, span=span, control=control),
        lambda ports, terms: ahead(
            source=ports.source, ledger=ports.ledger, asked=ports.classifier.asked, taxonomy=terms.taxonomy, span=span
        ),
        lambda ports, terms, enough: calls_ahead(ports=ports, terms=terms, span=span, enough=enough),
    )
    _answer(job, Bounds(seconds, max_calls, max_cost, yes), as_json=as_json)


@click.command("redrive", short_help="Try dead letters or deferred blobs of one class again.")
@click.option("--class", "failure_class", required=True, help="The class, as `imagesweep failures` shows it.")
@click.option("--prefix", default="", help="Only names that begin with this.")
@SLICE
@MAX_CALLS
@MAX_COST
@YES
@JSON
def redrive_command(
    *,
    failure_class: str,
    prefix: str,
    seconds: float | None,
    max_calls: int | None,
    max_cost: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Try again what is dead or deferred with one class of failure, as it is now and with its attempts forgiven.

    \b
    Examples:
      imagesweep failures                       which classes are there?
      imagesweep redrive --class too-large      after IMAGESWEEP_MAX_MB was raised
      imagesweep redrive --class forbidden --prefix scans/

    Exit status: 0 complete, 75 stopped early and resumable, 1 failed, 2 usage or configuration.
    """  # noqa: D301

    def listed(ports: Ports, _: Terms) -> Source:
        return redriving.ahead(source=ports.source, ledger=ports.ledger, failure_class=failure_class)

    async def calls(ports: Ports, terms: Terms, enough: int) -> int:
        found = 0
        async for page in listed(ports, terms).pages(prefix=prefix):
            found += len(page.blobs)
            if found > enough:
                break
        return found

    job = Job(
        "redrive",
        prefix,
        lambda ports, terms, control: redriving.redrive(
            ports=ports, terms=terms, failure_class=failure_class, prefix=prefix, control=control
        ),
        listed,
        calls,
    )
    _answer(job, Bounds(seconds, max_calls, max_cost, yes), as_json=as_json)


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


def _answer(job: Job, bounds: Bounds, *, as_json: bool) -> None:
    """Run a job over all sources, print its reports and exit with the worst status."""
    with answering(as_json=as_json):
        reports = asyncio.run(_over_sources(load(), job, bounds))
        if as_json:
            print_json(together(reports))
        else:
            for report in reports:
                print_report(report)
        sys.exit(exit_status(report.status for report in reports))


async def _over_sources(settings: Settings, job: Job, bounds: Bounds) -> list[Report]:
    """Run a job over the sources one after the other, within one box of time and one budget."""
    loop = asyncio.get_running_loop()
    end = None if bounds.seconds is None else loop.time() + bounds.seconds
    reports: list[Report] = []
    with stoppable() as stop:
        async with (
            wiring.classifier(settings) as classifier,
            wiring.store(settings) as store,
            wiring.publishing(settings, store) as index,
        ):
            bounds.check(classifier.price)
            for opener in wiring.sources(settings):
                async with opener as source, wiring.sole(settings, f"{job.name}|{source.key}") as sole:
                    ports = Ports(source, classifier, store, store, store, index)
                    terms = wiring.terms(settings, max_calls=bounds.calls_left(reports), max_cost=bounds.cost_left(reports))
                    if classifier.price and not bounds.unguarded:
                        calls = await job.calls(ports, terms, settings.guard_calls)
                        guard(source.key, calls, most=settings.guard_calls, price=classifier.price)
                    async with progress(job.listed(ports, terms), prefix=job.prefix) as live:
                        seconds = None if end is None else max(end - loop.time(), 0.001)
                        control = Control(seconds, stop, live.watch, sole)
                        reports.append(await job.run(ports, terms, control))
                if stop.asked:
                    break
    return reports
