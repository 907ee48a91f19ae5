"""Report: what one run did, why it ended, and when it goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from jobs.model import Estimate, Report, Scan
from jobs.run import Run
from jobs.window import Window


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of a job over a source ended: `seconds` of wall time and request units since it `started`."""

    job: str
    source: str
    status: str
    started: datetime
    seconds: float
    ru: float


def reported(ended: Ended, run: Run, scan: Scan, *, ahead: Estimate | None) -> Report:
    """Return the report of a run; `ahead` is what a look ahead said of it."""
    counts = {name: value for name, value in asdict(run.counts).items() if name != "seen"}
    rate = (run.counts.classified + run.counts.reused) / ended.seconds if ended.seconds > 0 else 0.0
    return Report(
        run_id=run.run_id,
        job=ended.job,
        source=ended.source,
        status=ended.status,
        started=ended.started,
        seconds=round(ended.seconds, 3),
        images_per_second=round(rate, 1),
        cost=round(run.cost, 9),
        ru=round(ended.ru, 2),
        watermark=scan.watermark,
        checkpoint=scan.checkpoint.after if scan.checkpoint else None,
        message=_message(run, ended.status),
        estimate=ahead,
        goes_on=_goes_on(run, ended.status),
        **counts,
    )


def closed(scan: Scan, window: Window, *, job: str, source: str, run_id: str, now: datetime) -> Report:
    """Return the report of a run that did not begin, because it is not its time of the day."""
    opens = window.opens(now)
    return Report(
        run_id=run_id,
        job=job,
        source=source,
        status="stopped",
        started=now,
        watermark=scan.watermark,
        checkpoint=scan.checkpoint.after if scan.checkpoint else None,
        message=f"Outside of the window {window}. {_from(opens)}",
        goes_on=opens,
    )


def _goes_on(run: Run, status: str) -> datetime | None:
    if run.goes_on is not None or status != "stopped" or run.terms.window is None:
        return run.goes_on
    opens = run.terms.window.opens(run.now())
    return None if run.terms.window.holds(run.now()) else opens


def _message(run: Run, status: str) -> str:
    """Say in a sentence why the run ended as it did, and what to do."""
    if run.halted is not None:
        return str(run.halted)
    if status == "partial":
        return f"{run.counts.unread} folders could not be read: what is in them waits until they can be, or are excluded."
    again = _goes_on(run, status)
    further = _from(again) if again else "Run it again to go on from here."
    if run.exhausted:
        return f"{run.exhausted}. {further}"
    if status != "stopped":
        return f"{_late(run)} {_untaught(run)}".strip()
    return f"The window {run.terms.window} is over. {further}" if again else f"Stopped early. {further} {_late(run)}".rstrip()


def _untaught(run: Run) -> str:
    if not run.untaught:
        return ""
    of = run.terms.taxonomy.embedder
    return f"{run.untaught:,} images have no vector by {of}, so the examples of the taxonomy say nothing of them; its rules do."


def _late(run: Run) -> str:
    late = run.deadline is not None and run.now() > run.deadline.at
    return f"It was to be done by {run.deadline.at:%Y-%m-%d %H:%M} UTC." if late and run.deadline else ""


def _from(time: datetime) -> str:
    return f"It goes on from {time:%Y-%m-%d %H:%M} UTC, when it is run then."
