"""The command that groups near-duplicates."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict

import click

from jobs import wiring
from jobs.cli.output import RESUMABLE, answering, out, print_json
from jobs.cli.reports import Stop, stoppable
from jobs.draw import Drawn, draw
from jobs.erase import Shelf
from jobs.group import Grouping, group
from jobs.ports import Ledger
from jobs.settings import Settings, load
from jobs.wiring.drawing import AT_ONCE, sketching


@click.command("group", short_help="Group near-duplicates: one picture, encoded anew, resized, cropped a little.")
@click.option(
    "--read", is_flag=True, help="First read the images that have no sketch yet, and draw theirs; no classifier is called."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def group_command(*, read: bool, as_json: bool) -> None:
    """Find near-duplicates among all images of the sources: one picture, encoded anew, resized, cropped or brightened a little.

    The first of a group is its largest picture. Searches hide the others by `copies:hide`, show only them by `copies:only`, and a
    whole group by `group:ID`. Nothing is read, and no classifier is called: sweeps keep a sketch of each picture that they decode.
    Run it after the sweep and the audit, by the same schedule; it changes only what has another group than before. Images that were
    classified before there were sketches have none; with --read they get one.

    \b
    Examples:
      imagesweep group
      imagesweep group --read                   once, after an update
      imagesweep search 'dog copies:hide'

    Exit status: 0 complete; 75 stopped early, or some records were another process's: run it again; 1 failed; 2 usage.
    """  # noqa: D301
    with answering(as_json=as_json):
        found, drawn = asyncio.run(_group(load(), read=read))
        if as_json:
            print_json(asdict(found) | {"drawn": drawn.drawn, "failed": drawn.failed})
        else:
            _print(found, drawn)
        sys.exit(RESUMABLE if found.stopped or found.left else 0)


async def _group(settings: Settings, *, read: bool) -> tuple[Grouping, Drawn]:
    async with wiring.sole(settings, "group"), wiring.store(settings) as store, wiring.publishing(settings, store) as index:
        with stoppable() as stop:
            drawn = await _draw(settings, store, stop) if read else Drawn()
            if drawn.stopped:
                return Grouping(stopped=True), drawn
            shelf = Shelf(store, store, store, index)
            return await group(sources=await wiring.keys(settings), shelf=shelf, stopped=stop), drawn


async def _draw(settings: Settings, ledger: Ledger, stop: Stop) -> Drawn:
    """Draw what is missing of every source."""
    drawn = Drawn()
    with sketching(settings) as look:
        for opener in wiring.sources(settings):
            async with opener as source:
                more = await draw(source=source, ledger=ledger, look=look, at_once=AT_ONCE, stopped=stop)
            drawn = Drawn(drawn.drawn + more.drawn, drawn.failed + more.failed, more.stopped)
            if drawn.stopped:
                break
    return drawn


def _print(found: Grouping, drawn: Drawn) -> None:
    if drawn.drawn or drawn.failed:
        failed = f"; {drawn.failed:,} images have changed, are gone, or cannot be decoded" if drawn.failed else ""
        out.print(f"{drawn.drawn:,} sketches drawn{failed}.")
    if found.stopped and not found.images:
        out.print("Stopped before anything was grouped. Run it again.")
        return
    out.print(f"{found.images:,} images: {found.groups:,} groups with {found.copies:,} copies beside their first.")
    out.print(f"{found.changed:,} records changed and published.")
    if found.without:
        out.print(
            f"{found.without:,} have no sketch and are in no group: they show nothing, or were classified before there were "
            "sketches, or with IMAGESWEEP_VISION_COLOURS off. `imagesweep group --read` draws what is missing."
        )
    if found.left or found.stopped:
        out.print(f"{found.left:,} were changed by others meanwhile. Run it again." if found.left else "Stopped. Run it again.")
