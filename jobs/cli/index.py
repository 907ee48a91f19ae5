"""The command that makes the store and the index, and tends the index: create and rebuild."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import click

from jobs import wiring
from jobs.cli.output import answering, out, print_json
from jobs.decide import KEEPSAKES
from jobs.settings import Settings, load
from search.rebuild import rebuild


@click.group("index", short_help="Create the index, or rebuild it from the store.")
def index_command() -> None:
    """Tend the index. It is a projection of the store: it can always be rebuilt, and that costs no call."""


@index_command.command("create")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def rebuild_command(*, as_json: bool) -> None:
    """Build a new index from the store beside the old one, then put it in its place.

    Searches go on meanwhile; sweeps of these sources wait.

    \b
    Example:
      imagesweep index rebuild
    """  # noqa: D301
    with answering(as_json=as_json):
        settings = load()
        taken = asyncio.run(_rebuild(settings))
        if as_json:
            print_json({"index": settings.index, "documents": taken})
        else:
            out.print(f"{taken:,} documents are in {settings.index}.")


async def _rebuild(settings: Settings) -> int:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(wiring.store(settings))
        for opener in wiring.sources(settings):
            source = await stack.enter_async_context(opener)
            await stack.enter_async_context(wiring.sole(settings, source.key))
        everything = [key for key in await store.sources() if key != KEEPSAKES]
        async with wiring.fresh_index(settings) as fresh:
            return await rebuild(ledger=store, index=fresh, sources=everything)
