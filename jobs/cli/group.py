"""The command that groups near-duplicates."""

from __future__ import annotations

import asyncio
import sys

import click

from jobs import wiring
from jobs.cli.output import RESUMABLE, answering, out, print_json
from jobs.cli.reports import stoppable
from jobs.erase import Shelf
from jobs.group import Grouping, group
from jobs.settings import Settings, load


@click.command("group", short_help="Group near-duplicates: one picture, encoded anew, resized, cropped a little.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def group_command(*, as_json: bool) -> None:
    """Find near-duplicates among all images of the sources: one picture, encoded anew, resized, cropped or brightened a little.

    The first of a group is its largest picture. Searches hide the others by `copies:hide`, show only them by `copies:only`, and a
    whole group by `group:ID`. Nothing is read, and no classifier is called: sweeps keep a sketch of each picture that they decode.
    Run it after the sweep and the audit, by the same schedule; it changes only what has another group than before.

    \b
    Examples:
      imagesweep group
      imagesweep search 'dog copies:hide'

    Exit status: 0 complete; 75 stopped early, or some records were another process's: run it again; 1 failed; 2 usage.
    """  # noqa: D301
    with answering(as_json=as_json):
        found = asyncio.run(_group(load()))
        if as_json:
            print_json(found)
        else:
            _print(found)
        sys.exit(RESUMABLE if found.stopped or found.left else 0)


async def _group(settings: Settings) -> Grouping:
    async with wiring.sole(settings, "group"), wiring.store(settings) as store, wiring.index(settings) as index:
        with stoppable() as stop:
            shelf = Shelf(store, store, store, index)
            return await group(sources=await wiring.keys(settings), shelf=shelf, stopped=stop)


def _print(found: Grouping) -> None:
    out.print(f"{found.images:,} images: {found.groups:,} groups with {found.copies:,} copies beside their first.")
    out.print(f"{found.changed:,} records changed and published.")
    if found.without:
        out.print(
            f"{found.without:,} have no sketch and are in no group: they show nothing, or were classified before there were "
            "sketches, by a link, or with IMAGESWEEP_VISION_COLOURS off."
        )
    if found.left or found.stopped:
        out.print(f"{found.left:,} were changed by others meanwhile. Run it again." if found.left else "Stopped. Run it again.")
