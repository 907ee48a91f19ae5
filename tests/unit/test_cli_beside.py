"""The commands that go beside the sweep, in this process, over folders and a classifier that costs."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs import wiring
from jobs.cli.backfill import backfill_command, redrive_command
from jobs.cli.keep import export_command, forget_command, import_command
from jobs.cli.look import status_command
from jobs.ports import Classifier
from jobs.settings import Settings
from tests.fakes.classifier import FakeClassifier

COMMANDS = {
    "backfill": backfill_command,
    "redrive": redrive_command,
    "forget": forget_command,
    "export": export_command,
    "import": import_command,
    "status": status_command,
}


class Desk:
    """A folder to work in."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.till = FakeClassifier()

    def photo(self, name: str, data: bytes) -> None:
        path = self.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def run(self, command: str, *arguments: str) -> Result:
        return CliRunner().invoke(COMMANDS[command], arguments)

    def json(self, command: str, *arguments: str) -> Any:
        result = self.run(command, *arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path)

    @asynccontextmanager
    async def paid(_: Settings, __: str) -> AsyncIterator[Classifier]:
        yield desk.till

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGESWEEP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(wiring.CLASSIFIERS, "paid", paid)
    monkeypatch.setenv("IMAGESWEEP_CLASSIFIER", "paid:1")
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:a,folder:b")
    for folder in ("a", "b"):
        for n in range(3):
            desk.photo(f"{folder}/{n}.jpg", f"{folder}{n}".encode())
    return desk


def test_many_paid_calls_want_a_word(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_GUARD_CALLS", "2")
    refused = desk.run("backfill")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert not desk.till.paid
    assert desk.json("backfill", "--yes")["classified"] == 6


def test_a_budget_is_for_all_sources_together(desk: Desk) -> None:
    stopped = desk.run("backfill", "--max-calls", "4", "--json")
    assert stopped.exit_code == 75
    assert json.loads(stopped.stdout)["calls"] == sum(desk.till.paid.values()) == 4
    assert desk.json("backfill", "--max-calls", "4")["calls"] == 2


def test_dates_are_in_utc_and_must_leave_something_between_them(desk: Desk) -> None:
    day = timedelta(days=1)
    yesterday, tomorrow = (f"{datetime.now(UTC) + distance:%Y-%m-%d}" for distance in (-day, day))
    assert desk.json("backfill", "--after", tomorrow)["skipped"] == 6
    assert desk.json("backfill", "--before", yesterday)["skipped"] == 6
    assert desk.json("backfill", "--after", yesterday, "--before", f"{tomorrow}T00:00:01")["classified"] == 6
    for wrong in (["--after", tomorrow, "--before", yesterday], ["--after", tomorrow, "--before", tomorrow], ["--after", "soon"]):
        assert desk.run("backfill", *wrong).exit_code == 2


def test_a_class_is_redriven_in_every_source(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.photo("a/bad.jpg", b"bad a")
    desk.photo("b/bad.jpg", b"bad b")
    desk.json("backfill")
    assert desk.json("redrive", "--class", "not-an-image")["dead"] == 2
    monkeypatch.setenv("IMAGESWEEP_GUARD_CALLS", "0")
    assert desk.run("redrive", "--class", "not-an-image").exit_code == 2
    told = desk.run("redrive", "--class", "typo")
    assert told.exit_code == 0
    assert "There are: not-an-image." in told.stdout


def test_a_name_that_several_sources_have_is_not_guessed(desk: Desk) -> None:
    desk.json("backfill")
    refused = desk.run("forget", "1.jpg")
    assert refused.exit_code == 2
    assert "--source" in refused.stderr
    source = f"folder:{desk.home / 'b'}"
    assert [one["source"] for one in desk.json("forget", "1.jpg", "--source", source)["forgotten"]] == [source]
    assert desk.run("forget", "1.jpg", "--source", "folder:/elsewhere").exit_code == 2


def test_an_unknown_name_stays_out_of_every_source_also_with_a_dash(desk: Desk) -> None:
    told = desk.run("forget", "--", "-x.jpg")
    assert (told.exit_code, told.stdout.count("-x.jpg")) == (0, 2)
    desk.photo("a/-x.jpg", b"x")
    assert desk.json("backfill")["skipped"] == 1


def test_all_that_is_older_wants_a_word_and_an_age(desk: Desk) -> None:
    desk.json("backfill")
    refused = desk.run("forget", "--older-than", "52w")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert desk.json("forget", "--older-than", "52w", "--yes") == {"retired": 0}
    for wrong in (
        ["--older-than", "1y"],
        ["--older-than", "0d"],
        [],
        ["1.jpg", "--older-than", "1d"],
        ["--source", "s", "--older-than", "1d"],
    ):
        assert desk.run("forget", *wrong).exit_code == 2, wrong


def test_a_ledger_moves_and_nothing_is_paid_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("backfill")
    assert desk.json("export", "l.jsonl.gz") == {"exported": 6, "file": "l.jsonl.gz"}
    monkeypatch.setenv("IMAGESWEEP_STORE", "sqlite:other/results.db")
    told = desk.run("import", "l.jsonl.gz")
    assert told.exit_code == 0
    assert "imagesweep index rebuild" in told.stdout
    assert desk.json("import", "l.jsonl.gz") == {"imported": 0, "kept": 6, "refused": 0, "answers": 0}
    moved = desk.json("backfill")
    assert (moved["unchanged"], moved["calls"]) == (6, 0)
    assert desk.run("import", "none.jsonl").exit_code == 2
    (desk.home / "cut.jsonl").write_text('{"imagesweep-ledger": 1}\n')
    assert desk.run("import", "cut.jsonl").exit_code == 1


def test_status_shows_the_runs_of_all_jobs(desk: Desk) -> None:
    desk.json("backfill", "--yes")
    desk.json("redrive", "--class", "unreadable")
    sources = desk.json("status")["sources"]
    assert [[run["job"] for run in one["runs"]] for one in sources] == [["redrive", "backfill"]] * 2
