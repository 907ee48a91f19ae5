"""The commands that do work: sweep and plan."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import fields

import click
from rich.text import Text

from jobs import wiring
from jobs.cli.output import FAILED, USAGE, answering, err, out, print_json, printable, table
from jobs.cli.progress import progress
from jobs.cli.reports import STATUS, exit_status, guard, print_report, stoppable, together
from jobs.model import Report
from jobs.plan import Part, Plan, plan
from jobs.ports import Source
from jobs.settings import Settings, load
from jobs.sweep import sweep
from jobs.work import Control, Ports


@click.command("sweep", short_help="Classify what is new, store and publish it.")
@click.option(
    "--slice", "seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds; the next call goes on."
)
@click.option("--prefix", default="", help="Only names that begin with this; has its own watermark.")
@click.option("--from", "begin", type=click.Choice(["now"]), help="Start at today; history is left to a backfill.")
@click.option("--max-calls", type=click.IntRange(min=1), help="Budget: stop after so many classifier calls.")
@click.option("--yes", is_flag=True, help="Do not ask before many paid calls.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def sweep_command(
    *, seconds: float | None, prefix: str, begin: str | None, max_calls: int | None, yes: bool, as_json: bool
) -> None:
    """Classify what is new or changed since the last sweep, store each result and publish it to the index.

    A sweep can be stopped at any time and goes on where it was: nothing is lost, and nothing is paid twice.

    \b
    Examples:
      imagesweep sweep                          the folder `samples`
      IMAGESWEEP_SOURCE=folder:photos imagesweep sweep
      imagesweep sweep --slice 300              five minutes of it
      imagesweep sweep --from now               leave what is there, take what comes

    Exit status: 0 complete, 75 stopped early and resumable, 1 failed, 2 usage or configuration.
    """  # noqa: D301
    with answering(as_json=as_json):
        settings = load()
        reports = asyncio.run(_sweep_all(settings, seconds, prefix, max_calls, from_now=begin == "now", yes=yes))
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


async def _sweep_all(
    settings: Settings,
    seconds: float | None,
    prefix: str,
    max_calls: int | None,
    *,
    from_now: bool,
    yes: bool,
) -> list[Report]:
    """Sweep the sources one after the other, within one box of time."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    reports: list[Report] = []
    openers = wiring.sources(settings)
    with stoppable() as stop:
        async with wiring.classifier(settings) as classifier, wiring.store(settings) as store, wiring.index(settings) as index:
            for opener in openers:
                async with opener as source, wiring.sole(settings, source.key) as sole:
                    spent = sum(report.calls for report in reports)
                    terms = wiring.terms(settings, max_calls=None if max_calls is None else max_calls - spent)
                    if classifier.price and not yes and max_calls is None and not from_now:
                        ahead = await plan(
                            source=source,
                            classifier=classifier,
                            ledger=store,
                            state=store,
                            clock=store,
                            terms=terms,
                            prefix=prefix,
                            read=False,
                            enough=settings.guard_calls,
                        )
                        guard(source.key, ahead.calls, most=settings.guard_calls, price=classifier.price)
                    async with progress(source, prefix=prefix) as live:
                        left = None if end is None else max(end - loop.time(), 0.001)
                        control = Control(left, stop, live.watch, sole)
                        ports = Ports(source, classifier, store, store, store, index)
                        reports.append(await sweep(ports=ports, terms=terms, prefix=prefix, from_now=from_now, control=control))
                    if stop.asked:
                        break
    return reports


@click.command("plan", short_help="Say what a sweep would do, cost and take.")
@click.option("--prefix", default="", help="Only names that begin with this.")
@click.option("--quick", is_flag=True, help="List only, read no image: duplicates and unreadable ones count as calls.")
@click.option("--by-prefix", is_flag=True, help="Count new, changed and stale images for each first part of the names as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan_command(*, prefix: str, quick: bool, by_prefix: bool, as_json: bool) -> None:
    """List without classifying: how many are new, changed, duplicate, unreadable; the calls, cost and time they will take.

    After a change of model, features or language it says what is stale: a sweep runs again what it meets, `imagesweep backfill
    --stale` all of it. What a changed taxonomy touches is derived anew from stored tags, without a call.

    \b
    Examples:
      imagesweep plan
      imagesweep plan --prefix 2026/ --json
      imagesweep plan --quick --by-prefix       what does a change touch, and where?
    """  # noqa: D301
    with answering(as_json=as_json):
        plans = asyncio.run(_plan_all(load(), prefix, read=not quick, by_prefix=by_prefix))
        if as_json:
            print_json(plans[0] if len(plans) == 1 else {"sources": plans})
            return
        for one in plans:
            _print_plan(one)


async def _plan_all(settings: Settings, prefix: str, *, read: bool, by_prefix: bool) -> list[Plan]:
    async def of(source: Source) -> Plan:
        return await plan(
            source=source,
            classifier=classifier,
            ledger=store,
            state=store,
            clock=store,
            terms=wiring.terms(settings),
            prefix=prefix,
            read=read,
            by_prefix=by_prefix,
        )

    plans = []
    async with wiring.classifier(settings) as classifier, wiring.store(settings) as store:
        for opener in wiring.sources(settings):
            async with opener as source:
                plans.append(await of(source))
    return plans


def _print_plan(one: Plan) -> None:
    out.print(Text("plan for ", style="bold").append(printable(one.source)))
    counts = table("", "images", right=("images",))
    counts.add_row("listed", f"{one.listed:,}", style="bold")
    for name in ("new", "changed", "stale", "duplicate", "unreadable", "deferred", "unchanged", "skipped"):
        counts.add_row(f"  {name}", f"{getattr(one, name):,}")
    out.print(counts)
    time = "an unknown time (no run yet to judge by)" if one.seconds is None else f"about {one.seconds:,.0f} s"
    cost = f", cost {one.cost:,.2f}" if one.cost else ", free"
    out.print(f"{one.calls:,} calls{cost}, {time}")
    if one.rederive:
        out.print(f"{one.rederive:,} of the unchanged get other categories or properties, free of charge.")
    if one.older_stale or one.older_rederive:
        older = f", cost {one.older_cost:,.2f}" if one.older_cost else ""
        out.print(
            f"Older than a sweep looks: {one.older_stale:,} stale ({one.older_stale:,} calls{older}), {one.older_rederive:,} with "
            "categories of another taxonomy (free). To bring them up to date: imagesweep backfill --stale"
        )
    if one.by_prefix:
        _print_prefixes(one)
    if one.unread:
        out.print(f"{one.unread:,} folders could not be read; what is in them is not counted.")


def _print_prefixes(one: Plan) -> None:
    counts = [field.name for field in fields(Part)]
    rows = table("prefix", *counts, right=tuple(counts))
    for prefix, part in one.by_prefix.items():
        rows.add_row(printable(prefix) or "(top)", *(f"{getattr(part, count):,}" for count in counts))
    out.print(rows)
