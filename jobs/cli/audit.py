"""The command audit."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import fields

import click
from rich.text import Text

from jobs import wiring
from jobs.audit import Audit, audit
from jobs.cli.output import FAILED, USAGE, answering, err, out, print_json, printable, table
from jobs.cli.reports import SEVERITY, STATUS, exit_status, stoppable
from jobs.erase import Shelf
from jobs.retire import retire
from jobs.run import Counts
from jobs.settings import Settings, load
from jobs.work import Control, Ports

MEANINGS = {
    "missing": "in the source, not in the store",
    "stale": "overwritten since it was classified",
    "orphaned_store": "in the store, gone from the source",
    "orphaned_index": "in the index, not in the store",
    "unpublished": "in the store, not as such in the index",
    "outdated": "has categories of another taxonomy",
}


@click.command("audit", short_help="Compare source, store and index; mend what differs.")
@click.option("--repair", is_flag=True, help="Mend what is found; without it, nothing is changed.")
@click.option("--prefix", default="", help="Only names that begin with this.")
@click.option(
    "--brake",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    metavar="FRACTION",
    help="Delete nothing when more than this share of the images in store and index would go; 1 allows all.",
)
@click.option("--max-calls", type=click.IntRange(min=1), help="Budget: stop after so many classifier calls.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def audit_command(*, repair: bool, prefix: str, brake: float, max_calls: int | None, as_json: bool) -> None:
    """Compare every name in the source, the store and the index, and say what differs: images that no sweep could see (restored,
    renamed, arrived late), results of images that are gone, and documents that are not what the store holds.

    With --repair, missing images are classified (a moved one takes its result along, and costs nothing), what is gone leaves
    store and index, and the index is brought up to the store. Run it by schedule, as often as you want deletions to show.
    Where calls are paid for, a repair makes at most IMAGESWEEP_GUARD_CALLS of them unless --max-calls says otherwise.

    \b
    Examples:
      imagesweep audit                          what differs?
      imagesweep audit --repair                 mend it
      imagesweep audit --repair --prefix 2026/
      imagesweep audit --repair --brake 0.5     after half of the archive was deleted on purpose

    Exit status: 0 compared, and with --repair mended (what was found is in the output); 75 stopped early, run it again; 1 failed,
    held back by the brake, or names out of order; 2 usage or configuration.
    """  # noqa: D301, D205
    with answering(as_json=as_json):
        audits = asyncio.run(_audit_all(load(), repair=repair, prefix=prefix, brake=brake, max_calls=max_calls))
        if as_json:
            shown = [_shown(one) for one in audits]
            worst = max(audits, key=lambda one: SEVERITY.index(STATUS[one.report.status]))
            print_json(shown[0] if len(shown) == 1 else {"status": worst.report.status, "sources": shown})
        else:
            for one in audits:
                _print_audit(one, repair=repair)
        sys.exit(exit_status(one.report.status for one in audits))


async def _audit_all(settings: Settings, *, repair: bool, prefix: str, brake: float, max_calls: int | None) -> list[Audit]:
    audits: list[Audit] = []
    async with (
        wiring.classifier(settings) as classifier,
        wiring.store(settings) as store,
        wiring.publishing(settings, store) as index,
    ):
        guarded = max_calls or (settings.guard_calls if classifier.price else None)
        with stoppable() as stop:
            for opener in wiring.sources(settings):
                async with opener as source, wiring.sole(settings, f"audit|{source.key}") as sole, _progress() as live:
                    ports = Ports(source, classifier, store, store, store, index)
                    terms = wiring.terms(settings, max_calls=guarded)
                    control = Control(stopped=stop, watch=live.append, sole=sole)
                    audits.append(await audit(ports=ports, terms=terms, prefix=prefix, repair=repair, brake=brake, control=control))
                if stop.asked:
                    break
        if repair and settings.retention is not None and not stop.asked:
            shelf = Shelf(store, store, store, index)
            await retire(areas=_both(await wiring.areas(settings), prefix), older_than=settings.retention, shelf=shelf)
    return audits


def _both(areas: Sequence[tuple[str, str]], prefix: str) -> list[tuple[str, str]]:
    """Return the part of each area whose names begin with a prefix as well, of those that have one."""
    return [(key, max(own, prefix, key=len)) for key, own in areas if own.startswith(prefix) or prefix.startswith(own)]


@asynccontextmanager
async def _progress() -> AsyncIterator[list[Counts]]:
    """Show how many names were compared and settled while the body runs; it hands the live counts to the list."""
    live: list[Counts] = []
    if not err.is_terminal:
        yield live
        return
    with err.status("comparing") as line:

        async def draw() -> None:
            while True:
                await asyncio.sleep(0.2)
                for counts in live:
                    line.update(f"{counts.seen:,} names compared, {counts.listed:,} settled, {counts.published:,} published")

        drawing = asyncio.create_task(draw())
        try:
            yield live
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing


def _shown(one: Audit) -> dict[str, object]:
    """Return what a script wants first: the status and the findings; the report of what was settled is inside."""
    return {"status": one.report.status, "found": one.found} | {field.name: getattr(one, field.name) for field in fields(one)}


def _print_audit(one: Audit, *, repair: bool) -> None:
    style = "green" if one.report.status == "complete" else "yellow"
    out.print(
        Text("audit ", style="bold").append(f"{one.report.status} ", style=style).append(printable(one.report.source), "default")
    )
    rate = f", {one.rate:,.0f} a second" if one.rate else ""
    sides = f"{one.blobs:,} in the source, {one.records:,} in the store, {one.documents:,} in the index"
    out.print(f"{one.compared:,} names compared{rate}: {sides}")
    if one.found:
        _print_findings(one, repair=repair)
    elif one.report.status == "complete":
        out.print("Source, store and index agree.")
    for line in _notes(one, repair=repair):
        out.print(line)
    if STATUS[one.report.status] in (FAILED, USAGE):
        err.print(f"imagesweep: {printable(one.message)}", style="red" if err.is_terminal else None)
    elif one.message:
        out.print(printable(one.message), style="yellow" if out.is_terminal else None)


def _notes(one: Audit, *, repair: bool) -> Iterator[str]:
    if one.moved:
        yield f"{one.moved:,} of the missing {'were' if repair else 'are surely'} moved: same image, new name, no call."
    if one.unlisted:
        yield f"{one.unlisted:,} more are there but were not listed: chosen out, or new. They stay as they are."
    if one.report.unread:
        yield f"{one.report.unread:,} folders could not be read; nothing in them was deleted."
    if one.report.calls:
        yield f"{one.report.calls:,} calls" + (f", cost {one.report.cost:,.2f}" if one.report.cost else "")
    if one.found and not repair:
        yield "Nothing was changed. To mend it: imagesweep audit --repair"


def _print_findings(one: Audit, *, repair: bool) -> None:
    rows = table("", "images", *(("mended",) if repair else ()), "", right=("images", "mended"))
    for kind, meaning in MEANINGS.items():
        number = getattr(one, kind)
        if number:
            rows.add_row(kind.replace("_", " "), f"{number:,}", *((f"{one.repaired[kind]:,}",) if repair else ()), meaning)
            for name in one.examples[kind]:
                rows.add_row("", "", *(("",) if repair else ()), Text(f"  {printable(name)}", style="dim"))
    out.print(rows)
