"""Processes side by side over one container: the lease keeps a second sweep out, claims keep a backfill from paying twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.kills.archive import Archive
from tests.kills.azure import PROGRAM, Azure, joined
from tests.kills.checks import world_faults
from tests.kills.program import environment
from tests.standins.search import SearchService, app
from tests.standins.serve import Receive, Scope, Send, served
from tests.standins.vision import VisionStandin

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(120)]

CONCURRENCY, PAGE = 4, 10
PATIENCE = 60.0


@dataclass(slots=True)
class Gate:
    """Holds the calls of AI Vision until it is opened; `busy` says that `enough` of them wait."""

    eyes: VisionStandin
    enough: int
    waiting: int = 0
    busy: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.waiting += 1
        if self.waiting >= self.enough:
            self.busy.set()
        await asyncio.to_thread(self.open.wait)
        await self.eyes(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Site:
    """A container of pictures, a service that is slow to answer, and a command line."""

    stage: Azure
    archive: Archive
    gate: Gate

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, *arguments, "--json"],
            cwd=self.stage.home,
            env=environment(self.stage.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def paid(self) -> dict[str, int]:
        return dict(self.gate.eyes.counts.paid)


def ended(process: subprocess.Popen[str]) -> tuple[int, Any]:
    """Return exit status and report of a process once it has ended; a message in the place of a report."""
    out, err = process.communicate(timeout=PATIENCE)
    try:
        return process.returncode, json.loads(out)
    except ValueError:
        return process.returncode, out + err


@contextmanager
def site(folder: Path, azurite_endpoint: str, cosmos: str, *, enough: int, copies: int, **terms: str) -> Iterator[Site]:
    """Make sixty pictures under ascending names, of which the last `copies` have the bytes of the first."""
    gate = Gate(VisionStandin(fast=True), enough)
    with served(gate) as eyes, served(app(SearchService())) as documents:
        more = {"concurrency": str(CONCURRENCY), "page": str(PAGE), "write_buffer": "8", **terms}
        with joined(folder, blobs=azurite_endpoint, records=cosmos, eyes=eyes, documents=documents, **more) as stage:
            archive = Archive(stage, random.Random(1))
            pictures = [stage.picture(str(number).encode()) for number in range(60 - copies)]
            for number, data in enumerate(pictures + pictures[:copies]):
                archive.put(f"photo-{number:02}.jpg", data)
            try:
                yield Site(stage, archive, gate)
            finally:
                gate.open.set()


def test_the_lease_keeps_a_second_sweep_out(run: Run, tmp_path: Path, azurite_endpoint: str, cosmos: str) -> None:
    long = {"lease_seconds": "60", "call_seconds": "40"}
    with site(tmp_path / "home", azurite_endpoint, cosmos, enough=CONCURRENCY, copies=0, **long) as one:
        first = one.start("sweep", "--yes")
        assert one.gate.busy.wait(PATIENCE)
        status, told = ended(one.start("sweep", "--yes"))
        assert status == 75
        assert "is at it" in str(told)
        one.gate.open.set()
        status, report = ended(first)
        assert (status, report["classified"], report["calls"]) == (0, 60, 60)
        assert set(one.paid().values()) == {1}
        assert run(world_faults(one.archive)) == []


def test_a_backfill_beside_a_sweep_pays_for_nothing_that_the_sweep_pays_for(
    run: Run, tmp_path: Path, azurite_endpoint: str, cosmos: str
) -> None:
    long = {"lease_seconds": "60", "call_seconds": "40"}
    with site(tmp_path / "home", azurite_endpoint, cosmos, enough=CONCURRENCY + 1, copies=20, **long) as one:
        sweep = one.start("sweep", "--yes")
        backfill = one.start("backfill", "--yes")
        assert one.gate.busy.wait(PATIENCE)  # more calls than either of them makes at once
        one.gate.open.set()
        reports = [ended(process) for process in (sweep, backfill)]
        assert [status for status, _ in reports] == [0, 0]
        assert all(report["classified"] > 0 for _, report in reports)
        assert set(one.paid().values()) == {1}
        assert sum(report["calls"] for _, report in reports) == len(one.paid()) == 40
        assert run(world_faults(one.archive, jobs=2)) == []


def test_a_sweep_that_froze_until_another_took_its_place_changes_nothing(
    run: Run, tmp_path: Path, azurite_endpoint: str, cosmos: str
) -> None:
    with site(tmp_path / "home", azurite_endpoint, cosmos, enough=CONCURRENCY, copies=0) as one:
        frozen = one.start("sweep", "--yes")
        assert one.gate.busy.wait(PATIENCE)
        frozen.send_signal(signal.SIGSTOP)
        one.gate.open.set()
        run(one.stage.ready())
        status, report = ended(one.start("sweep", "--yes"))
        assert (status, report["classified"]) == (0, 60)
        frozen.send_signal(signal.SIGCONT)
        status, report = ended(frozen)
        assert (status, report["classified"]) == (75, 0)
        assert sum(one.paid().values()) - 60 <= CONCURRENCY
        assert run(world_faults(one.archive)) == []
