"""The commands that decide what is kept: forget, export and import."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click

from jobs import wiring
from jobs.cli.output import COMPLETE, RESUMABLE, answering, out, print_json, printable
from jobs.erase import Shelf
from jobs.errors import Misconfigured
from jobs.forget import forget
from jobs.model import Record, blob_id
from jobs.retire import retire
from jobs.settings import Settings, load
from jobs.transfer import Imported, export, import_

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_FILE = click.Path(path_type=Path, dir_okay=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def _age(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    """Read `365d`, `8w` or `12h`."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no age: write 365d, 8w or 12h.")
    return int(found[1]) * _UNITS[found[2]]


@click.command("forget", short_help="Remove an image's record and document, and never take it again.")
@click.argument("name", required=False)
@click.option("--source", "source_key", help="Of which source, as `imagesweep show` says, where several have the name.")
@click.option("--older-than", callback=_age, help="Instead of one image: all last changed longer ago, as 365d, 8w or 12h.")
@click.option("--yes", is_flag=True, help="Do remove all that is older.")
@_JSON
def forget_command(*, name: str | None, source_key: str | None, older_than: timedelta | None, yes: bool, as_json: bool) -> None:
    """Remove the record and the document of the image NAME, and remember not to take it again. The image itself stays.

    NAME is the path below its source with forward slashes; it need not have been swept yet.

    \b
    Examples:
      imagesweep forget people/passport.jpg
      imagesweep forget -- -name-with-a-dash.jpg
      imagesweep forget --older-than 365d --yes   results of images that were last changed over a year ago
    """  # noqa: D301
    if (name is None) == (older_than is None):
        raise click.UsageError("Give either NAME or --older-than.")
    if name is None and source_key is not None:
        raise click.UsageError("--source goes with NAME.")
    with answering(as_json=as_json):
        if name is not None:
            _told(asyncio.run(_forget(load(), name, source_key)), as_json=as_json)
        elif older_than is not None:
            retired = asyncio.run(_retire(load(), older_than, yes=yes))
            if as_json:
                print_json({"retired": retired})
            else:
                out.print(f"The results of {retired:,} images were removed from store and index, and are not taken again.")


def _told(left: list[Record], *, as_json: bool) -> None:
    if as_json:
        print_json({"forgotten": [{"name": one.name, "source": one.source, "id": one.id, "rev": one.rev} for one in left]})
        return
    for one in left:
        out.print(f"{printable(one.name)} of {printable(one.source)} is forgotten, and is not taken again.")


async def _forget(settings: Settings, name: str, source_key: str | None) -> list[Record]:
    keys = await wiring.keys(settings)
    if source_key is not None and source_key not in keys:
        raise Misconfigured("forget", name, f"there is no source {source_key}", hint=f"There are: {', '.join(keys)}.")
    async with wiring.store(settings) as store, wiring.publishing(settings, store) as index:
        known = await store.look_up([blob_id(key, name) for key in keys])
        meant = [source_key] if source_key else [key for key in keys if blob_id(key, name) in known] or keys
        if len(meant) > 1 and known:
            raise Misconfigured(
                "forget", name, f"{len(meant)} sources have it", hint=f"Say --source and one of: {', '.join(meant)}."
            )
        return [await forget(source=key, name=name, shelf=Shelf(store, store, store, index)) for key in meant]


async def _retire(settings: Settings, older_than: timedelta, *, yes: bool) -> int:
    if not yes:
        cause = f"this removes the results of all images last changed over {older_than} ago, for good"
        raise Misconfigured("forget", "", cause, hint="Export the ledger if you may want them back; then say --yes.")
    async with wiring.store(settings) as store, wiring.publishing(settings, store) as index:
        return await retire(areas=await wiring.areas(settings), older_than=older_than, shelf=Shelf(store, store, store, index))


@click.command("export", short_help="Write the ledger to a file.")
@click.argument("file", type=_FILE)
@_JSON
def export_command(*, file: Path, as_json: bool) -> None:
    """Write all that is known of the images of the sources in the settings to FILE: what was paid for, and can be moved.

    FILE is JSON Lines, compressed when its name ends in .gz. A file of that name is replaced when the new one is whole.

    \b
    Example:
      imagesweep export ledger.jsonl.gz
    """  # noqa: D301
    with answering(as_json=as_json):
        count = asyncio.run(_export(load(), file))
        if as_json:
            print_json({"exported": count, "file": str(file)})
        else:
            out.print(f"{count:,} records are in {printable(str(file))}.")


async def _export(settings: Settings, file: Path) -> int:
    async with wiring.store(settings, read_only=True) as store:
        return await export(ledger=store, sources=await wiring.keys(settings), path=file)


@click.command("import", short_help="Read a ledger from a file, into the store.")
@click.argument("file", type=_FILE)
@_JSON
def import_command(*, file: Path, as_json: bool) -> None:
    """Read the records of FILE, as `imagesweep export` wrote it, into the store. What is settled there already stands.

    The index is not touched: rebuild it afterwards.

    \b
    Example:
      IMAGESWEEP_STORE=sqlite:new.db imagesweep import ledger.jsonl.gz
      IMAGESWEEP_STORE=sqlite:new.db imagesweep index rebuild

    Exit status: 0 done, 75 some records were being changed by a run: import the file again.
    """  # noqa: D301
    with answering(as_json=as_json):
        done = asyncio.run(_import(load(), file))
        if as_json:
            print_json(asdict(done))
        else:
            out.print(f"{done.imported:,} records imported, {done.kept:,} stood in the store already.")
            if done.answers:
                out.print(f"{done.answers:,} answers of those are kept under their hashes, and not paid for again.")
            if done.refused:
                out.print(f"{done.refused:,} were being changed by a run: import the file again.")
            out.print("Now make the index show them: imagesweep index rebuild")
        sys.exit(RESUMABLE if done.refused else COMPLETE)


async def _import(settings: Settings, file: Path) -> Imported:
    async with wiring.store(settings) as store:
        return await import_(ledger=store, path=file, taxonomy=wiring.terms(settings).taxonomy)
