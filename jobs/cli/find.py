"""The command that finds: search."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import click
from rich.text import Text

from jobs import wiring
from jobs.cli.output import answering, out, print_json, printable, table
from jobs.settings import Settings, load
from search.query import FACETS, Query, Results, Sort

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command("search", short_help="Find images by what is in them.")
@click.argument("text", nargs=-1)
@click.option("--tag", "tags_all", multiple=True, help="Must have this tag; may be repeated.")
@click.option("--not-tag", "tags_none", multiple=True, help="Must not have this tag; may be repeated.")
@click.option("--confidence", type=click.FloatRange(0, 1), help="Least confidence of those tags, else of the best one.")
@click.option("--category", "categories", multiple=True, help="Must be of this category; may be repeated.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="Must have this property; may be repeated.")
@click.option("--has-text/--no-text", default=None, help="With or without text in the image.")
@click.option("--has-people/--no-people", default=None, help="With or without people.")
@click.option("--prefix", default="", help="Names that begin with this.")
@click.option("--after", type=_DATE, help="Taken (else changed) at or after this UTC date.")
@click.option("--before", type=_DATE, help="Taken (else changed) before this UTC date.")
@click.option("--format", "formats", multiple=True, help="JPEG, PNG, WEBP …; may be repeated.")
@click.option("--min-size", type=click.IntRange(0), help="Least bytes.")
@click.option("--max-size", type=click.IntRange(0), help="Most bytes.")
@click.option(
    "--facet", "facets", multiple=True, type=click.Choice(FACETS), help="Count the values of this field; may be repeated."
)
@click.option("--sort", type=click.Choice(get_args(Sort)), help="Order; by relevance if nothing is said.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, help="Results on a page.")
@click.option("--page", type=click.IntRange(1), default=1, help="Which page, from 1.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def search_command(text: tuple[str, ...], *, as_json: bool, **filters: object) -> None:
    """Find images by words in their caption, tags and name, narrowed by filters; docs/search.md has the language of TEXT.

    \b
    Examples:
      imagesweep search dog
      imagesweep search 'dog -cat tag:beach after:2026 size:>2mb "exact words"'
      imagesweep search castle --tag building --confidence 0.5
      imagesweep search --prefix tools/ --sort largest --limit 5
      imagesweep search --category footwear --property season=ss26 --facet categories
      imagesweep search bird --json
    """  # noqa: D301
    with answering(as_json=as_json):
        query = _query(" ".join(text), filters)
        results = asyncio.run(_search(load(), query))
        if as_json:
            print_json({"count": results.count, "results": results.hits, "facets": dict(results.facets)})
        else:
            _print_results(query, results)


def _query(text: str, filters: dict[str, object]) -> Query:
    """Return what the text asks for, and the options beside it: lists are joined, of the rest the option counts."""
    from search.language import parse  # noqa: PLC0415  # a grammar that the other commands do not need

    asked = parse(text).query
    changes: dict[str, object] = {}
    for name, value in filters.items():
        if isinstance(value, datetime):
            changes[name] = value.replace(tzinfo=UTC)
        elif isinstance(value, tuple):
            changes[name] = value if name == "facets" else (*getattr(asked, name), *value)
        else:
            changes[name] = value
    given = {name: value for name, value in changes.items() if value is not None and value not in ((), "")}
    return replace(asked, **given)  # type: ignore[arg-type]  # click checked the types


async def _search(settings: Settings, query: Query) -> Results:
    async with wiring.index(settings) as index:
        return await index.search(query)


def _print_results(query: Query, results: Results) -> None:
    if not results.hits:
        out.print("Nothing found." if not results.count else f"{results.count:,} found; page {query.page} is past the end.")
        return
    rows = table("score", "name", "caption", "tags", right=("score",))
    for hit in results.hits:
        tags = ", ".join(f"{tag.name} {tag.confidence:.2f}" for tag in hit.tags[:4])
        rows.add_row(f"{hit.score:.2f}", printable(hit.name), printable(hit.caption), printable(tags))
    out.print(f"{results.count:,} found" + (f", page {query.page}" if results.count > len(results.hits) else ""))
    out.print(rows)
    for field, buckets in results.facets.items():
        if buckets:
            values = ", ".join(f"{printable(bucket.value) or '(top)'} {bucket.count:,}" for bucket in buckets)
            out.print(Text(f"{field}: ", style="bold").append(values, style="default"))
