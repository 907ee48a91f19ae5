"""The command that says what a sweep would do: plan."""

from __future__ import annotations

import asyncio
from dataclasses import fields

import click
from rich.text import Text

from jobs.cli.output import answering, out, print_json, printable, table
from jobs.plan import Part, Plan, Sampling
from jobs.settings import load
from jobs.wiring.lookahead import plans

COUNTS = ("new", "changed", "stale", "duplicate", "local", "unreadable", "archived", "deferred", "unchanged", "skipped")


@click.command("plan", short_help="Say what a sweep would do, cost and take.")
@click.option("--prefix", default="", help="Only names that begin with this.")
@click.option("--quick", is_flag=True, help="List only, read no image: duplicates and unreadable ones count as calls.")
@click.option("--sample", type=click.IntRange(min=1), help="Read about so many images only, and estimate the rest from them.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws another sample.")
@click.option("--by-prefix", is_flag=True, help="Count new, changed and stale images for each first part of the names as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan_command(*, prefix: str, quick: bool, sample: int | None, seed: int, by_prefix: bool, as_json: bool) -> None:
    """List without classifying: how many are new, changed, duplicate, unreadable; the calls, cost and time they will take.

    After a change of model, features or language it says what is stale: a sweep runs again what it meets, `imagesweep backfill
    --stale` all of it. What a changed taxonomy touches is derived anew from stored tags, without a call.

    \b
    Examples:
      imagesweep plan
      imagesweep plan --prefix 2026/ --json
      imagesweep plan --sample 2000             of an archive too large to read
      imagesweep plan --quick --by-prefix       what does a change touch, and where?
    """  # noqa: D301
    if quick and sample:
        raise click.UsageError("--quick reads no image, --sample some: choose one of them.")
    with answering(as_json=as_json):
        sampling = Sampling(sample, seed) if sample else None
        made = asyncio.run(plans(load(), prefix=prefix, read=not quick, by_prefix=by_prefix, sampling=sampling))
        if as_json:
            print_json(made[0] if len(made) == 1 else {"sources": made})
            return
        for one in made:
            _print_plan(one)


def _print_plan(one: Plan) -> None:
    out.print(Text("plan for ", style="bold").append(printable(one.source)))
    counts = table("", "images", "between", right=("images", "between")) if one.sampled else table("", "images", right=("images",))
    counts.add_row("listed", f"{one.listed:,}", style="bold")
    for name in COUNTS:
        counts.add_row(f"  {name}", f"{getattr(one, name):,}", *([_between(one, name)] if one.sampled else []))
    out.print(counts)
    if one.sampled:
        out.print(f"From {one.sampled:,} images that were read, of {one.candidates:,}; 95 of 100 such samples hold the truth.")
    _print_price(one)
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


def _print_price(one: Plan) -> None:
    time = "an unknown time (no run yet to judge by)" if one.seconds is None else f"about {one.seconds:,.0f} s {one.pace}".rstrip()
    spread = f" (between {_between(one, 'calls')})" if one.sampled else ""
    cost = f", cost {one.cost:,.2f}" if one.cost else ", free"
    if one.sampled and one.cost:
        low, high = one.ranges["cost"]
        cost += f" (between {low:,.2f} and {high:,.2f})"
    out.print(f"{one.calls:,} calls{spread}{cost}, {time}")
    if one.features and one.calls:
        rows = table("feature", "transactions", "cost", "for 1,000, by transactions of the month", right=("transactions", "cost"))
        for line in one.features:
            rows.add_row(line.feature, f"{line.transactions:,}", f"{line.cost:,.2f}", line.tier)
        out.print(rows)
        out.print(f"Prices: {printable(one.prices)}; all calls in this month.")


def _between(one: Plan, name: str) -> str:
    if name not in one.ranges:
        return ""
    low, high = one.ranges[name]
    return f"{low:,.0f} and {high:,.0f}"


def _print_prefixes(one: Plan) -> None:
    counts = [field.name for field in fields(Part)]
    rows = table("prefix", *counts, right=tuple(counts))
    for prefix, part in one.by_prefix.items():
        rows.add_row(printable(prefix) or "(top)", *(f"{getattr(part, count):,}" for count in counts))
    out.print(rows)
