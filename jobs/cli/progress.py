"""Progress on stderr from the first second, quiet when nobody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from jobs.cli.output import err
from jobs.errors import SweepError
from jobs.ports import Source
from jobs.run import Counts

SURVEY = 500_000
"""Names counted ahead, for an estimate of the end; beyond that it is only said that there are more."""


class Live:
    """The counts of the run at hand, once it has begun."""

    def __init__(self) -> None:
        self.counts: Counts | None = None
        self.total = 0
        self.counted = False

    def watch(self, counts: Counts) -> None:
        """Take the live counts of a run."""
        self.counts = counts


class _End(ProgressColumn):
    """The estimated time left: how long what is left will take at the rate so far."""

    def render(self, task: Task) -> Text:
        left = (task.total or 0) - task.completed
        if not task.fields["counted"] or not task.completed or not task.elapsed:
            return Text("end unknown yet")
        seconds = int(left * task.elapsed / task.completed)
        return Text(f"about {seconds // 60}:{seconds % 60:02} left")


@asynccontextmanager
async def progress(source: Source, *, prefix: str = "") -> AsyncIterator[Live]:
    """Show listed, settled, images a second and the estimated end while the body runs."""
    live = Live()
    if not err.is_terminal:
        yield live
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[figures]}"))
    with Progress(*columns, TimeElapsedColumn(), _End(), console=err, transient=True) as bar:
        task = bar.add_task("listing", total=None, figures="", counted=False)
        helpers = [asyncio.create_task(_survey(live, source, prefix)), asyncio.create_task(_draw(live, bar, task))]
        try:
            yield live
        finally:
            for helper in helpers:
                helper.cancel()
                with suppress(asyncio.CancelledError):
                    await helper


async def _survey(live: Live, source: Source, prefix: str) -> None:
    with suppress(SweepError):  # the sweep's own listing tells of faults
        async for page in source.pages(prefix=prefix):
            live.total += len(page.blobs) + len(page.odd)
            if live.total > SURVEY:
                return
        live.counted = True


async def _draw(live: Live, bar: Progress, task: int) -> None:
    from rich.progress import TaskID  # noqa: PLC0415

    begun = asyncio.get_running_loop().time()
    while True:
        counts = live.counts or Counts()
        took = asyncio.get_running_loop().time() - begun
        rate = (counts.classified + counts.reused) / took if took else 0.0
        figures = f"{max(live.total, counts.seen):,} listed · {counts.listed:,} settled · {rate:,.0f} images/s"
        total = live.total if live.counted else None
        bar.update(
            TaskID(task),
            description="sweeping" if counts.listed else "listing",
            completed=counts.listed,
            total=total,
            figures=figures,
            counted=live.counted,
        )
        await asyncio.sleep(0.1)
