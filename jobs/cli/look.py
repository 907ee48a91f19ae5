"""The commands that look: show, failures and status."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import click
from rich.text import Text

from jobs import wiring
from jobs.budget import NANOS, balance, begins_again, spent
from jobs.cli.output import FAILED, ago, answering, err, out, print_json, printable, table
from jobs.failures import FailureGroup, failures
from jobs.model import Lease, Outcome, Record, Report, Scan, blob_id, shown
from jobs.settings import Settings, load
from jobs.wiring.kinds import Store


@click.command("show", short_help="Show everything known of one image.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show_command(name: str, *, as_json: bool) -> None:
    """Show everything known of the image NAME, the path below its source with forward slashes.

    \b
    Examples:
      imagesweep show animals/dog.webp
      imagesweep show -- -name-with-a-dash.jpg
    """  # noqa: D301
    with answering(as_json=as_json):
        record = asyncio.run(_show(load(), name))
        if record is None:
            err.print(f"imagesweep: {printable(name)} is not in the ledger. If it is in the source, a sweep takes it.")
            if as_json:
                print_json({"error": {"kind": "NotFound", "key": name}})
            sys.exit(FAILED)
        if as_json:
            print_json(record)
        else:
            _print_record(record)


async def _show(settings: Settings, name: str) -> Record | None:
    async with wiring.store(settings, read_only=True) as store:
        ids = [blob_id(key, name) for key in await wiring.keys(settings)]
        found = await store.look_up(ids, vectors=True)
    return next((found[one] for one in ids if one in found), None)


def _print_record(record: Record) -> None:
    rows = table("", "")
    outcome = record.outcome.value if record.outcome else "claimed"

    def row(label: str, value: object) -> None:
        if value not in (None, "", ()):
            rows.add_row(Text(label, style="bold"), printable(str(value)))

    row("name", record.name)
    row("outcome", outcome)
    if record.failure:
        row("why", f"{record.failure.failure_class}: {record.failure.reason} (attempt {record.failure.attempts})")
        row("next try", record.failure.next_try)
    analysis = record.analysis
    if analysis:
        facts = analysis.facts
        row("caption", f"{analysis.caption} ({analysis.caption_confidence:.2f})")
        row("tags", ", ".join(f"{tag.name} {tag.confidence:.2f}" for tag in analysis.tags))
        row("near-duplicates", f"group:{record.group}" if record.group else None)
        row("categories", f"{', '.join(record.categories) or 'none'} (by {record.derived})" if record.derived else None)
        row("objects", ", ".join(f"{one.name} {one.confidence:.2f}" for one in analysis.objects))
        row("people", len(analysis.people) or None)
        row("text", " / ".join(line.text for line in analysis.text))
        row("picture", f"{facts.width} x {facts.height} {facts.format}" + (f", {facts.frames} frames" if facts.frames > 1 else ""))
        row("colours", ", ".join(facts.colours))
        row("taken", facts.taken)
        row("camera", facts.camera)
        if facts.latitude is not None:
            row("place", f"{facts.latitude:.5f}, {facts.longitude:.5f}")
        row("embedding", f"{len(analysis.embedding) // 4} dimensions" if analysis.embedding else None)
        row("answered by", analysis.answered)
    row("properties", ", ".join(f"{name}={value}" for name, value in record.properties))
    row("asked", record.asked)
    row("bytes", f"{record.size:,}")
    row("sha-256", record.content_hash)
    row("version", record.etag)
    if record.analysed != record.etag:
        row("analysed version", record.analysed)
    row("modified", record.modified)
    row("settled", record.settled)
    row("run", record.run_id)
    row("revision", record.rev)
    row("in the index", record.unpublished or ("yes" if shown(record) else "no"))
    row("id", record.id)
    row("source", record.source)
    out.print(rows)


@click.command("failures", short_help="Show dead letters and deferred blobs, by class.")
@click.option("--class", "failure_class", help="Only this class, with all its images.")
@click.option("--prefix", default="", help="Names that begin with this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def failures_command(*, failure_class: str | None, prefix: str, as_json: bool) -> None:
    """Show what could not be classified and why: counts by class, examples, and what to do.

    \b
    Examples:
      imagesweep failures
      imagesweep failures --class truncated
    """  # noqa: D301
    with answering(as_json=as_json):
        groups = asyncio.run(_failures(load(), failure_class, prefix))
        if as_json:
            print_json({"failures": [_group(group) for group in groups]})
            return
        if not groups:
            out.print("Nothing is dead or deferred.")
        for group in groups:
            out.print(
                Text(f"{group.outcome.value} · {group.failure_class}", style="bold").append(f"  {group.count:,}", style="default")
            )
            out.print(f"  {group.hint}")
            for record in group.examples:
                reason = record.failure.reason if record.failure else ""
                out.print(f"    {printable(record.name)}: {printable(reason)}")
            if group.count > len(group.examples):
                out.print(f"    and {group.count - len(group.examples):,} more: imagesweep failures --class {group.failure_class}")


def _group(group: FailureGroup) -> dict[str, object]:
    return {
        **{key: value for key, value in asdict(group).items() if key != "examples"},
        "examples": [{"name": record.name, "id": record.id, "failure": record.failure} for record in group.examples],
    }


async def _failures(settings: Settings, failure_class: str | None, prefix: str) -> list[FailureGroup]:
    every = 1_000_000 if failure_class else 3
    async with wiring.store(settings, read_only=True) as store:
        return [
            group
            for key in await wiring.keys(settings)
            for group in await failures(ledger=store, source=key, failure_class=failure_class, prefix=prefix, examples=every)
        ]


BESIDE = ("backfill", "redrive", "audit")
"""The jobs that run beside the sweeps of a source, each under keys of its own."""

_LOOKED_AT = 50
"""Reports of each job beside the sweeps that are read, since their keys do not follow time."""

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Balance:
    """What was spent in a period that it is now, of how much; the rest of a block that a run holds or a crash lost counts as spent.

    `goes_on` is when the period ends, where nothing is left of its budget.
    """

    calls: int
    cost: float
    most_calls: int | None
    most_cost: float | None
    goes_on: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the sweeps over one source are. `balances` are those of the whole deployment, by period."""

    source: str
    watermark: datetime | None
    lag_seconds: float | None
    from_now: datetime | None
    checkpoint: str | None
    scanning_since: datetime | None
    lease: str | None
    outcomes: Mapping[str, int]
    classes: Mapping[str, int]
    runs: Sequence[Report]
    balances: Mapping[str, Balance]


@click.command("status", short_help="Show watermark, lag, checkpoint, lease and last runs.")
@click.option("--prefix", default="", help="The prefix that was swept, if one was.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def status_command(*, prefix: str, as_json: bool) -> None:
    """Show how far the sweeps are: watermark and lag, checkpoint of an unfinished scan, lease, counts and the last runs.

    \b
    Example:
      imagesweep status --json
    """  # noqa: D301
    with answering(as_json=as_json):
        standings = asyncio.run(_status(load(), prefix))
        if as_json:
            print_json(standings[0] if len(standings) == 1 else {"sources": standings})
            return
        for standing in standings:
            _print_standing(standing)


async def _status(settings: Settings, prefix: str) -> list[Standing]:
    standings = []
    async with wiring.store(settings, read_only=True) as store:
        now = await store.now()
        balances = await _balances(settings, store, now)
        for key, area in await wiring.areas(settings):
            where = f"{key}|{prefix or area}"
            found = await store.get(Scan, where)
            lease = await store.get(Lease, where)
            scan = found[0] if found else Scan()
            counts = await store.tally(key)
            runs = [report for _, report, _ in await store.list(Report, f"{where}|", last=5)]
            for job in BESIDE:
                runs += [report for _, report, _ in await store.list(Report, f"{job}|{key}|", last=_LOOKED_AT)]
            runs = sorted(runs, key=lambda report: report.started, reverse=True)[:_SHOWN]
            outcomes = {one.value: sum(n for (name, _), n in counts.items() if name == one.value) for one in Outcome}
            standings.append(
                Standing(
                    source=key,
                    watermark=scan.watermark,
                    lag_seconds=(now - scan.watermark).total_seconds() if scan.watermark else None,
                    from_now=scan.from_now,
                    checkpoint=scan.checkpoint.after if scan.checkpoint else None,
                    scanning_since=scan.checkpoint.started if scan.checkpoint else None,
                    lease=lease[0].owner if lease and lease[0].expires > now else None,
                    outcomes=outcomes,
                    classes={name: number for (_, name), number in sorted(counts.items()) if name},
                    runs=runs,
                    balances=balances,
                )
            )
    return standings


async def _balances(settings: Settings, store: Store, now: datetime) -> Mapping[str, Balance]:
    terms = wiring.terms(settings)
    found: dict[str, Balance] = {}
    for period, account in (await balance(store, now, terms.retry)).items():
        limit = terms.budget.limit(period)
        goes_on = begins_again(period, now) if spent(period, limit, account, price=1) else None
        most_cost = None if limit.nanos is None else limit.nanos / NANOS
        found[period] = Balance(account.calls, round(account.nanos / NANOS, 9), limit.calls, most_cost, goes_on)
    return found


def _print_balances(balances: Mapping[str, Balance]) -> None:
    for period, one in balances.items():
        if not one.calls and one.most_calls is None and one.most_cost is None:
            continue
        calls = f"{one.calls:,}" + (f" of {one.most_calls:,}" if one.most_calls else "")
        cost = f"{one.cost:,.2f}" + (f" of {one.most_cost:,.2f}" if one.most_cost else "")
        again = f"; spent: it goes on at {one.goes_on:%Y-%m-%d %H:%M} UTC" if one.goes_on else ""
        out.print(f"  this {period:<6} {calls} calls, cost {cost}{again}")


def _print_standing(one: Standing) -> None:
    now = datetime.now(UTC)
    out.print(Text(printable(one.source), style="bold"))
    if one.watermark:
        out.print(f"  watermark   {one.watermark:%Y-%m-%d %H:%M:%S} UTC ({ago(one.watermark, now)}): everything older is settled")
    else:
        out.print("  watermark   none yet: no sweep has listed the whole source")
    if one.from_now:
        out.print(f"  history     left out: only what changed since {one.from_now:%Y-%m-%d %H:%M:%S} UTC is swept")
    if one.scanning_since:
        after = f"up to {printable(one.checkpoint)}" if one.checkpoint else "at its first page"
        out.print(f"  unfinished  scan of {one.scanning_since:%Y-%m-%d %H:%M:%S} UTC, {after}: run `imagesweep sweep` to go on")
    out.print(f"  lease       {printable(one.lease) if one.lease else 'free'}")
    out.print("  images      " + (", ".join(f"{number:,} {name}" for name, number in one.outcomes.items() if number) or "none"))
    if one.classes:
        out.print("  failures    " + ", ".join(f"{number:,} {name}" for name, number in one.classes.items()))
    _print_balances(one.balances)
    if one.runs and one.runs[0].goes_on and one.runs[0].goes_on > now:
        out.print(f"  waits       {printable(one.runs[0].message)}")
    if one.runs:
        rows = table(
            "run", "job", "status", "listed", "classified", "calls", "seconds", right=("listed", "classified", "calls", "seconds")
        )
        for report in one.runs:
            rows.add_row(
                report.run_id,
                report.job,
                report.status,
                f"{report.listed:,}",
                f"{report.classified:,}",
                f"{report.calls:,}",
                f"{report.seconds:.1f}",
            )
        out.print(rows)
