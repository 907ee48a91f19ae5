"""What the commands that do work share: how they are stopped, and what they say at the end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from rich.text import Text

from jobs.cli.output import COMPLETE, FAILED, RESUMABLE, USAGE, err, out, printable, table
from jobs.errors import Misconfigured
from jobs.model import Estimate, Report

OUTCOMES = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")
STATUS = {"complete": COMPLETE, "partial": COMPLETE, "stopped": RESUMABLE, "misconfigured": USAGE, "failed": FAILED}


SEVERITY = (COMPLETE, RESUMABLE, USAGE, FAILED)


def exit_status(statuses: Iterable[str]) -> int:
    """Return the exit status for the worst of several runs."""
    return max((STATUS[status] for status in statuses), key=SEVERITY.index, default=COMPLETE)


class Stop:
    """Whether a signal asked to stop; a second one ends the process at once."""

    asked = False

    def __call__(self) -> bool:
        """Say whether to stop."""
        return self.asked


@contextmanager
def stoppable() -> Iterator[Stop]:
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


def guard(source: str, calls: int, *, most: int, price: float) -> None:
    """Raise Misconfigured when more paid calls are ahead than may be made without asking."""
    if calls > most:
        raise Misconfigured(
            "sweep",
            source,
            f"more than {most:,} paid calls are ahead, at {price:g} each",
            hint="See `imagesweep plan`; then say --yes, or set a budget with --max-calls or --max-cost.",
        )


def together(reports: list[Report]) -> dict[str, object]:
    """Return one report as it is, several as their sum with each beside it."""
    if len(reports) == 1:
        return asdict(reports[0])
    if not reports:
        return {"status": "complete", "sources": []}
    worst = max(reports, key=lambda report: SEVERITY.index(STATUS[report.status]))
    summed = {
        name: round(sum(getattr(report, name) for report in reports), 6)
        for name, value in asdict(worst).items()
        if isinstance(value, (int, float)) and name != "images_per_second"
    }
    ahead = [report.estimate for report in reports if report.estimate]
    seconds = sum(report.seconds for report in reports)
    rate = sum(report.classified + report.reused for report in reports) / seconds if seconds else 0.0
    return {
        **asdict(worst),
        **summed,
        "images_per_second": round(rate, 1),
        "estimate": asdict(_added(ahead)) if len(ahead) == len(reports) else None,
        "source": ",".join(report.source for report in reports),
        "sources": [asdict(report) for report in reports],
    }


def _added(ahead: Sequence[Estimate]) -> Estimate:
    seconds = [one.seconds for one in ahead if one.seconds is not None]
    return Estimate(
        sum(one.calls for one in ahead),
        round(sum(one.cost for one in ahead), 6),
        sum(seconds) if len(seconds) == len(ahead) else None,
        all(one.whole for one in ahead),
        sum(one.images for one in ahead),
    )


def _print_money(report: Report) -> None:
    if report.cost or report.estimate:
        ahead = report.estimate
        said = f"; estimated: {'' if ahead.whole else 'more than '}{ahead.calls:,} calls, {ahead.cost:,.2f}" if ahead else ""
        out.print(f"cost {report.cost:,.2f}{said}")
    if report.saved:
        out.print(f"{report.saved:,} calls saved: the first one of the cascade was sure.")


def print_report(report: Report) -> None:
    """Print what one run did, for people."""
    head = Text("imagesweep ", style="bold").append(f"{report.status} ", style="green" if report.status == "complete" else "yellow")
    out.print(head.append(printable(report.source), style="default"))
    counts = table("", "images", right=("images",))
    counts.add_row("listed", f"{report.listed:,}", style="bold")
    for name in OUTCOMES:
        counts.add_row(f"  {name}", f"{getattr(report, name):,}")
    out.print(counts)
    if report.rederived:
        out.print(f"{report.rederived:,} of the unchanged have new categories or properties, without a call.")
    out.print(
        f"{report.calls:,} calls, {report.published:,} published, {report.removed:,} removed from the index; "
        f"{report.seconds:.1f} s, {report.images_per_second:,.0f} images/s"
    )
    _print_money(report)
    if report.ru:
        out.print(f"{report.ru:,.0f} request units in the store")
    if report.unpublished:
        out.print(f"{report.unpublished:,} documents were refused by the index: see `imagesweep status`.")
    if report.dead or report.deferred:
        out.print("Why some are dead or deferred: imagesweep failures")
    if report.message and STATUS[report.status] not in (FAILED, USAGE):
        out.print(printable(report.message), style="yellow" if out.is_terminal else None)
