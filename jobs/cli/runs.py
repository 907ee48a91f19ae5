"""The commands that do work: sweep and plan."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.text import Text

from jobs import wiring
from jobs.cli.output import COMPLETE, FAILED, RESUMABLE, USAGE, answering, err, out, print_json, printable, table
from jobs.cli.progress import progress
from jobs.errors import Misconfigured
from jobs.model import Report
from jobs.plan import Plan, plan
from jobs.ports import Source
from jobs.settings import Settings, load
from jobs.sweep import sweep
from jobs.work import Control, Ports

OUTCOMES = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")
STATUS = {"complete": COMPLETE, "partial": COMPLETE, "stopped": RESUMABLE, "misconfigured": USAGE, "failed": FAILED}


class Stop:
    """Whether a signal asked to stop; a second one ends the process at once."""

    asked = False

    def __call__(self) -> bool:
        """Say whether to stop."""
        return self.asked


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop at the next checkpoint."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def ask() -> None:
        stop.asked = True
        err.print("Stopping at the next checkpoint; press Ctrl-C again to stop at once.")
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


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
        whole = _together(reports)
        if as_json:
            print_json(whole)
        else:
            for report in reports:
                _print_report(report)
        for report in reports:
            if STATUS[report.status] in (FAILED, USAGE):
                err.print(f"imagesweep: {printable(report.message)}", style="red" if err.is_terminal else None)
        sys.exit(max(STATUS[report.status] for report in reports) if reports else COMPLETE)


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
    with _stoppable() as stop:
        async with wiring.classifier(settings) as classifier, wiring.store(settings) as store, wiring.index(settings) as index:
            for opener in openers:
                async with opener as source, wiring.sole(settings, source) as sole:
                    terms = wiring.terms(settings, max_calls=max_calls)
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
                        _guard(ahead, settings.guard_calls, classifier.price)
                    async with progress(source, prefix=prefix) as live:
                        left = None if end is None else max(end - loop.time(), 0.001)
                        control = Control(left, stop, live.watch, sole)
                        ports = Ports(source, classifier, store, store, store, index)
                        reports.append(await sweep(ports=ports, terms=terms, prefix=prefix, from_now=from_now, control=control))
                    if stop.asked:
                        break
    return reports


def _guard(ahead: Plan, most: int, price: float) -> None:
    if ahead.calls > most:
        raise Misconfigured(
            "sweep",
            ahead.source,
            f"more than {most:,} paid calls are ahead, at {price:g} each",
            hint="See `imagesweep plan`; then say --yes, or set a budget with --max-calls.",
        )


def _together(reports: list[Report]) -> dict[str, object]:
    """Return one report as it is, several as their sum with each beside it."""
    if len(reports) == 1:
        return asdict(reports[0])
    if not reports:
        return {"status": "complete", "sources": []}
    worst = max(reports, key=lambda report: STATUS[report.status])
    summed = {
        name: round(sum(getattr(report, name) for report in reports), 6)
        for name, value in asdict(worst).items()
        if isinstance(value, (int, float)) and name != "images_per_second"
    }
    seconds = sum(report.seconds for report in reports)
    rate = sum(report.classified + report.reused for report in reports) / seconds if seconds else 0.0
    return {
        **asdict(worst),
        **summed,
        "images_per_second": round(rate, 1),
        "source": ",".join(report.source for report in reports),
        "sources": [asdict(report) for report in reports],
    }


def _print_report(report: Report) -> None:
    head = Text("imagesweep ", style="bold").append(f"{report.status} ", style="green" if report.status == "complete" else "yellow")
    out.print(head.append(printable(report.source), style="default"))
    counts = table("", "images", right=("images",))
    counts.add_row("listed", f"{report.listed:,}", style="bold")
    for name in OUTCOMES:
        counts.add_row(f"  {name}", f"{getattr(report, name):,}")
    out.print(counts)
    out.print(
        f"{report.calls:,} calls, {report.published:,} published, {report.removed:,} removed from the index; "
        f"{report.seconds:.1f} s, {report.images_per_second:,.0f} images/s"
    )
    if report.cost:
        out.print(f"cost {report.cost:,.2f}")
    if report.unpublished:
        out.print(f"{report.unpublished:,} documents were refused by the index: see `imagesweep status`.")
    if report.dead or report.deferred:
        out.print("Why some are dead or deferred: imagesweep failures")
    if report.message and STATUS[report.status] not in (FAILED, USAGE):
        out.print(printable(report.message), style="yellow" if out.is_terminal else None)


@click.command("plan", short_help="Say what a sweep would do, cost and take.")
@click.option("--prefix", default="", help="Only names that begin with this.")
@click.option("--quick", is_flag=True, help="List only, read no image: duplicates and unreadable ones count as calls.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan_command(*, prefix: str, quick: bool, as_json: bool) -> None:
    """List without classifying: how many are new, changed, duplicate, unreadable; the calls, cost and time they will take.

    \b
    Examples:
      imagesweep plan
      imagesweep plan --prefix 2026/ --json
    """  # noqa: D301
    with answering(as_json=as_json):
        plans = asyncio.run(_plan_all(load(), prefix, read=not quick))
        if as_json:
            print_json(plans[0] if len(plans) == 1 else {"sources": plans})
            return
        for one in plans:
            _print_plan(one)


async def _plan_all(settings: Settings, prefix: str, *, read: bool) -> list[Plan]:
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
    if one.unread:
        out.print(f"{one.unread:,} folders could not be read; what is in them is not counted.")
