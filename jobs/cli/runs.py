"""The command that does the work: sweep."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from jobs import wiring
from jobs.cli.bounds import FINISH_BY, JSON, MAX_CALLS, MAX_COST, SLICE, YES, Bounds, shared
from jobs.cli.output import FAILED, USAGE, answering, err, print_json, printable
from jobs.cli.progress import progress
from jobs.cli.reports import STATUS, Stop, exit_status, guard, print_report, stoppable, together
from jobs.model import Estimate, Report
from jobs.plan import plan
from jobs.ports import Classifier, Index, Source
from jobs.settings import Settings, load
from jobs.sweep import sweep
from jobs.wiring.kinds import Store
from jobs.work import Control, Ports


@click.command("sweep", short_help="Classify what is new, store and publish it.")
@SLICE
@click.option("--prefix", default="", help="Only names that begin with this; has its own watermark.")
@click.option("--from", "begin", type=click.Choice(["now"]), help="Start at today; history is left to a backfill.")
@MAX_CALLS
@MAX_COST
@FINISH_BY
@YES
@JSON
def sweep_command(
    *,
    seconds: float | None,
    prefix: str,
    begin: str | None,
    max_calls: int | None,
    max_cost: float | None,
    finish_by: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Classify what is new or changed since the last sweep, store each result and publish it to the index.

    A sweep can be stopped at any time and goes on where it was: nothing is lost, and nothing is paid twice.

    \b
    Examples:
      imagesweep sweep                          the folder `samples`
      IMAGESWEEP_SOURCE=folder:photos imagesweep sweep
      imagesweep sweep --slice 300              five minutes of it
      imagesweep sweep --max-cost 25            no more than that
      imagesweep sweep --finish-by 06:00        in time, and no faster than that needs
      imagesweep sweep --from now               leave what is there, take what comes

    Exit status: 0 complete, 75 stopped early and resumable, 1 failed, 2 usage or configuration.
    """  # noqa: D301
    with answering(as_json=as_json):
        bounds = Bounds(seconds, max_calls, max_cost, yes, finish_by)
        reports = asyncio.run(_sweep_all(load(), bounds, prefix, from_now=begin == "now"))
        whole = together(reports)
        if as_json:
            print_json(whole)
        else:
            for report in reports:
                print_report(report)
        for report in reports:
            if STATUS[report.status] in (FAILED, USAGE):
                err.print(f"imagesweep: {printable(report.message)}", style="red" if err.is_terminal else None)
        sys.exit(exit_status(report.status for report in reports))


@dataclass(frozen=True, slots=True)
class Parts:
    """What the sweeps over all sources of one command share; `end` is the loop's time at which a slice is over."""

    settings: Settings
    bounds: Bounds
    prefix: str
    from_now: bool
    classifier: Classifier
    store: Store
    index: Index
    stop: Stop
    end: float | None


async def _sweep_all(settings: Settings, bounds: Bounds, prefix: str, *, from_now: bool) -> list[Report]:
    """Sweep the sources one after the other, within one box of time and one budget."""
    end = None if bounds.seconds is None else asyncio.get_running_loop().time() + bounds.seconds
    with stoppable() as stop:
        async with (
            wiring.classifier(settings) as classifier,
            wiring.store(settings) as store,
            wiring.publishing(settings, store) as index,
        ):
            bounds.check(classifier.price)
            return await _sweep_each(Parts(settings, bounds, prefix, from_now, classifier, store, index, stop, end))


async def _sweep_each(parts: Parts) -> list[Report]:
    """Sweep one source after the other. To be done by a time, all are looked at beforehand, and share what is left of it."""
    by = await parts.bounds.deadline(parts.settings, parts.store)
    estimates: list[Estimate] = []
    for opener in wiring.sources(parts.settings) if by else []:
        async with opener as source:
            estimates.append(await _ahead(parts, source, enough=None))
    reports: list[Report] = []
    for number, opener in enumerate(wiring.sources(parts.settings)):
        async with opener as source, wiring.sole(parts.settings, source.key) as sole:
            estimate = estimates[number] if estimates else await _guarded(parts, source)
            rest = sum(one.images for one in estimates[number:])
            mine = shared(by, now=await parts.store.now(), mine=estimate.images if estimate else 0, all_of_it=rest)
            reports.append(await _sweep_one(parts, source, reports, sole=sole, estimate=estimate, by=mine))
        if parts.stop.asked:
            break
    return reports


async def _sweep_one(
    parts: Parts, source: Source, reports: Sequence[Report], *, sole: bool, estimate: Estimate | None, by: datetime | None
) -> Report:
    """Sweep one source with what earlier ones have left of time and budget."""
    bounds = parts.bounds
    terms = wiring.terms(parts.settings, max_calls=bounds.calls_left(reports), max_cost=bounds.cost_left(reports))
    ports = Ports(source, parts.classifier, parts.store, parts.store, parts.store, parts.index)
    async with progress(source, prefix=parts.prefix) as live:
        left = None if parts.end is None else max(parts.end - asyncio.get_running_loop().time(), 0.001)
        control = Control(left, parts.stop, live.watch, sole, estimate=estimate, finish_by=by)
        return await sweep(ports=ports, terms=terms, prefix=parts.prefix, from_now=parts.from_now, control=control)


async def _guarded(parts: Parts, source: Source) -> Estimate | None:
    """Look ahead where many calls would be made unasked; outside of the window none are made."""
    window = wiring.terms(parts.settings).window
    closed = window is not None and not window.holds(await parts.store.now())
    if not parts.classifier.price or parts.bounds.unguarded or parts.from_now or closed:
        return None
    return await _ahead(parts, source, enough=parts.settings.guard_calls)


async def _ahead(parts: Parts, source: Source, *, enough: int | None) -> Estimate:
    """List what a sweep has ahead. Raises Misconfigured where that is more paid calls than may be made unasked."""
    found = await plan(
        source=source,
        classifier=parts.classifier,
        ledger=parts.store,
        state=parts.store,
        clock=parts.store,
        terms=wiring.terms(parts.settings),
        prefix=parts.prefix,
        read=False,
        enough=enough,
        tariff=wiring.tariff(parts.settings),
    )
    if parts.classifier.price and not parts.bounds.unguarded:
        guard(source.key, found.calls, most=parts.settings.guard_calls, price=parts.classifier.price)
    return found.estimate
