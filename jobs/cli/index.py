"""The commands that make the store and the index, and tend the index: create, rebuild and status."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import click

from jobs import wiring
from jobs.cli.output import COMPLETE, FAILED, ago, answering, err, out, plain, print_json, printable, table
from jobs.errors import LeaseHeld, Misconfigured
from jobs.mark import Rebuilder, Shelves
from jobs.reindex import Progress, Reindexed, reindex
from jobs.settings import Settings, load
from jobs.stock import Stock, stock

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group("index", short_help="Create the index, rebuild it from the store, or see how it stands.")
def index_command() -> None:
    """Tend the index. It is a projection of the store: it can always be rebuilt, and that costs no call."""


@index_command.command("create")
@_JSON
def create_command(*, as_json: bool) -> None:
    """Create the store and the index where there are none; what is there stays as it is.

    The only command that creates databases, containers and indexes at a service; it may be run again at any time.

    \b
    Example:
      imagesweep index create
    """  # noqa: D301
    with answering(as_json=as_json):
        settings = load()
        made, index = asyncio.run(_create(settings))
        if as_json:
            print_json({"store": settings.store, "index": settings.index, "made": made, "said": index})
        else:
            out.print(f"store {settings.store}: {', '.join(made) + ' made' if made else 'was there'}.")
            out.print(f"index {index}.")


async def _create(settings: Settings) -> tuple[list[str], str]:
    """Create both; return the names of what was made for the store, and what is said of the index."""
    return await wiring.create_store(settings), await wiring.create_index(settings)


@index_command.command("rebuild")
@_JSON
def rebuild_command(*, as_json: bool) -> None:
    """Build a new index from the store beside the old one, compare it with the store, then put it in the old one's place.

    Searches and sweeps go on meanwhile: until after the switch they publish to both. Costs no call, and may be interrupted at any
    time: until the switch the old one stays, and what is left over is cleared by the next rebuild.

    \b
    Example:
      imagesweep index rebuild
    """  # noqa: D301
    with answering(as_json=as_json):
        settings = load()
        done = asyncio.run(_rebuild(settings))
        if as_json:
            print_json({"index": settings.index, "switched": True} | plain(done))
        else:
            _print_rebuilt(settings, done)


def _print_rebuilt(settings: Settings, done: Reindexed) -> None:
    if done.finished:
        out.print("An interrupted rebuild had switched already; it was brought to its end first.")
    if done.cleared:
        out.print(f"Cleared what interrupted rebuilds had left: {', '.join(done.cleared)}.")
    out.print(
        f"{done.documents:,} documents are in {settings.index}: {done.compared:,} compared with the store,"
        f" {done.repaired:,} repaired, switched to {done.fresh} after {done.seconds:,.0f} s."
    )


async def _rebuild(settings: Settings) -> Reindexed:
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    owner = f"{socket.gethostname()}:{os.getpid()}:{run_id}"
    async with wiring.store(settings) as store, wiring.life(settings) as life, _alone(settings) as sole, _progress() as progress:
        shelves = Shelves(store, store, store, store, life, wiring.index_key(settings))
        by = Rebuilder(owner, run_id, settings.lease_seconds, sole=sole, settle=wiring.settle(settings))
        return await reindex(shelves, by=by, progress=progress)


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[bool]:
    """Keep other rebuilds of this machine out, where the store is a file; yield whether that proves them dead."""
    key = wiring.index_key(settings)
    try:
        async with wiring.sole(settings, f"rebuild|{key}") as sole:
            yield sole
    except LeaseHeld as error:
        if error.operation != "sweep":
            raise
        raise LeaseHeld("rebuild", key, error.cause, hint="See `imagesweep index status`.") from error


@asynccontextmanager
async def _progress() -> AsyncIterator[Progress]:
    """Show what a rebuild is doing while the body runs, from the first second."""
    progress = Progress()
    if not err.is_terminal:
        yield progress
        return
    loop = asyncio.get_running_loop()
    with err.status("beginning") as line:

        async def draw() -> None:
            while True:
                line.update(_said(progress, loop.time()))
                await asyncio.sleep(0.1)

        drawing = asyncio.create_task(draw())
        try:
            yield progress
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing


def _said(progress: Progress, now: float) -> str:
    """Say in one line how far a rebuild is."""
    if progress.step == "filling":
        took = now - progress.began
        rate = progress.done / took if took > 0 else 0.0
        end = "end unknown yet"
        if progress.done:
            seconds = int(max(progress.total - progress.done, 0) / rate) if rate else 0
            end = f"about {seconds // 60}:{seconds % 60:02} left"
        return f"filling · {progress.done:,} of {progress.total:,} records · {rate:,.0f} records/s · {end}"
    if progress.step == "comparing":
        seen = progress.seen
        return f"comparing · {seen.documents:,} documents with {seen.records:,} records · {seen.differ:,} differ"
    return progress.step


@index_command.command("status")
@_JSON
def status_command(*, as_json: bool) -> None:
    """Say which index is in use, what it holds beside what the store shows, and how a rebuild stands.

    Reads all names of both, as an audit does, and changes nothing. Exit status 1 when they differ, or the index cannot be read.

    \b
    Example:
      imagesweep index status
    """  # noqa: D301
    with answering(as_json=as_json):
        settings = load()
        found, now = asyncio.run(_status(settings))
        if as_json:
            print_json({"setting": settings.index} | plain(found))
        else:
            _print_stock(settings, found, now)
        sys.exit(FAILED if found.fault or any(one.differ for one in found.sources) else COMPLETE)


async def _status(settings: Settings) -> tuple[Stock, datetime]:
    async with wiring.store(settings, read_only=True) as store, wiring.life(settings) as life:
        shelves = Shelves(store, store, store, store, life, wiring.index_key(settings))
        policy = wiring.terms(settings).retry
        with err.status("comparing"):
            dead = await _nobody_rebuilds(settings)
            return await stock(shelves, opened=lambda: wiring.index(settings), policy=policy, dead=dead), await store.now()


async def _nobody_rebuilds(settings: Settings) -> bool:
    """Say whether a lock of this machine proves that no rebuild is alive; to who may only read, the lease alone tells."""
    try:
        async with _alone(settings) as sole:
            return sole
    except (LeaseHeld, Misconfigured):
        return False


def _print_stock(settings: Settings, found: Stock, now: datetime) -> None:
    named = f", {printable(found.index)}" if found.index else ""
    out.print(f"in use: {settings.index}{named}" if found.index is not None else f"{settings.index}: there is no index yet")
    if found.fault:
        out.print(f"it cannot be read: {printable(found.fault)}")
    shown = table("source", "documents", "shown by the store", "differ", right=("documents", "shown by the store", "differ"))
    for one in found.sources:
        shown.add_row(printable(one.source), f"{one.documents:,}", f"{one.records:,}", f"{one.differ:,}")
    if found.sources:
        out.print(shown)
    rebuild = found.rebuild
    if rebuild is not None and found.alive:
        out.print(
            f"a rebuild is under way since {ago(rebuild.begun, now)}, by {printable(found.holder)}: {rebuild.step},"
            f" {rebuild.done:,} of {rebuild.total:,} records, last heard of {ago(rebuild.touched, now)}"
        )
    elif rebuild is not None:
        why = f": {printable(rebuild.failed)}" if rebuild.failed else ""
        out.print(f"a rebuild was interrupted {ago(rebuild.touched, now)}, when it was {rebuild.step}{why}")
    elif found.alive:
        out.print(f"a rebuild is about to begin, by {printable(found.holder)}")
    else:
        out.print("no rebuild is under way")
    if found.left:
        out.print(f"left over: {', '.join(found.left)}; the next `imagesweep index rebuild` clears it")
