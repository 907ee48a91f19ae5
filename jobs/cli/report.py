"""The command that tells what the runs of a period did: to people as HTML, to programs as JSON, CSV or Parquet."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs import wiring
from jobs.cli.output import answering, out, print_json, printable, table
from jobs.errors import Misconfigured, StorageFailed
from jobs.model import Report
from jobs.settings import Settings, load
from jobs.summary import Period, Summary, TagCount, summary

if TYPE_CHECKING:
    import pandas as pd

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
_FILE = click.Path(path_type=Path, dir_okay=False)
_RISKY = ("=", "+", "-", "@", "\t", "\r")


@click.command("report", short_help="Tell what the runs of a period did.")
@click.option("--run", "run_id", default="", help="Only the run with this id.")
@click.option("--after", type=_DATE, help="Runs that began at or after this UTC date.")
@click.option("--before", type=_DATE, help="Runs that began before this UTC date.")
@click.option("--html", type=_FILE, help="Write a page for people, with plots, to this file.")
@click.option("--csv", type=_FILE, help="Write a row for each run to this file.")
@click.option("--parquet", type=_FILE, help="The same as Parquet; needs the extra `parquet`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def report_command(
    *,
    run_id: str,
    after: datetime | None,
    before: datetime | None,
    html: Path | None,
    csv: Path | None,
    parquet: Path | None,
    as_json: bool,
) -> None:
    """Tell what the runs of a period did: outcomes, cost, throughput; which tags are frequent and new; what failed.

    \b
    Examples:
      imagesweep report --after 2026-03-01 --html march.html
      imagesweep report --run 20260301T020000-1a2b3c4d --json
    """  # noqa: D301
    with answering(as_json=as_json):
        period = Period(_utc(after), _utc(before), run_id)
        found = asyncio.run(_summary(load(), period))
        if run_id and not found.runs:
            raise Misconfigured("report", run_id, "there is no such run", hint="imagesweep status shows the last ones.")
        _write(found, html, csv, parquet)
        if as_json:
            print_json(found)
        else:
            _print(found, [path for path in (html, csv, parquet) if path])


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


async def _summary(settings: Settings, period: Period) -> Summary:
    async with wiring.store(settings, read_only=True) as store:
        return await summary(store=store, areas=await wiring.areas(settings), period=period)


def _write(found: Summary, html: Path | None, csv: Path | None, parquet: Path | None) -> None:
    try:
        if html:
            html.write_text(_html(found), encoding="utf-8")
        if csv:
            _frame(found.runs, harmless=True).to_csv(csv, index=False)
        if parquet:
            _with_parquet()
            _frame(found.runs, harmless=False).to_parquet(parquet, index=False)
    except OSError as error:
        raise StorageFailed("report", str(error.filename or ""), error.strerror or str(error)) from error


def _html(found: Summary) -> str:
    from search.gallery.plots import HEIGHT, OUTCOMES, WIDTH, plots  # noqa: PLC0415  # templates take a while to load
    from search.gallery.web import environment  # noqa: PLC0415

    totals = _frame(found.runs, harmless=False).select_dtypes("number").sum().to_dict() if found.runs else {}
    template = environment().get_template("report.html")
    drawn = plots(found.runs[:100])
    return template.render(
        found=found, totals=totals, plots=drawn, width=WIDTH, height=HEIGHT, outcomes=OUTCOMES, now=datetime.now(UTC)
    )


def _frame(runs: Sequence[Report], *, harmless: bool) -> pd.DataFrame:
    """Return a row for each run, the oldest first; with `harmless` no cell is what a spreadsheet takes for a formula."""
    import pandas as pd  # noqa: PLC0415  # half a second

    frame = pd.DataFrame([asdict(run) for run in reversed(runs)])
    if harmless:
        for column in frame.select_dtypes(exclude="number"):
            frame[column] = [f"'{one}" if isinstance(one, str) and one.startswith(_RISKY) else one for one in frame[column]]
    return frame


def _with_parquet() -> None:
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise Misconfigured(
            "report", "Parquet", "it needs the package pyarrow", hint="Install the extra `parquet`, or use --csv."
        ) from error


def _print(found: Summary, written: Sequence[Path]) -> None:
    listed, calls, cost = (sum(getattr(run, name) for run in found.runs) for name in ("listed", "calls", "cost"))
    out.print(f"{len(found.runs):,} runs: {listed:,} listed, {calls:,} calls, ${cost:,.2f}; {found.images:,} images settled")
    for heading, some in (("most frequent tags", found.frequent), ("new tags", found.new), ("label drift", found.drift)):
        if some:
            out.print(f"\n{heading}")
            out.print(_tags(some[:10]))
    if found.failures:
        out.print("\nfailures: " + ", ".join(f"{count:,} {printable(name)}" for name, count in found.failures.items()))
    for path in written:
        out.print(f"written: {printable(str(path))}")


def _tags(some: Sequence[TagCount]) -> object:
    rows = table("tag", "images", "share", "before", right=("images", "share", "before"))
    for one in some:
        rows.add_row(printable(one.tag), f"{one.images:,}", f"{one.share:.1%}", f"{one.share_before:.1%}")
    return rows
