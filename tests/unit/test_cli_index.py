"""What is said of a rebuild while it runs, and who is kept out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.adapters.process_lock import ProcessLock
from jobs.agree import Compared
from jobs.cli.index import _said, index_command
from jobs.errors import Misconfigured
from jobs.reindex import Progress
from jobs.settings import load
from jobs.wiring import index_key, sole
from tests.conftest import Run, entered


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(), "beginning"),
        (Progress("filling", 0, 3000, began=100.0), "filling · 0 of 3,000 records · 0 records/s · end unknown yet"),
        (Progress("filling", 1000, 3000, began=90.0), "filling · 1,000 of 3,000 records · 100 records/s · about 0:20 left"),
        (Progress("comparing", seen=Compared(1200, 1201, 1)), "comparing · 1,200 documents with 1,201 records · 1 differ"),
        (Progress("switching"), "switching"),
    ],
)
def test_how_far_a_rebuild_is(progress: Progress, said: str) -> None:
    assert _said(progress, 100.0) == said


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with an empty source."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:photos")
    return tmp_path


def test_a_second_rebuild_says_who_is_at_it_and_where_to_look(home: Path, run: Run) -> None:
    assert home.exists()
    with entered(run, sole(load(), f"rebuild|{index_key(load())}")):
        told = CliRunner().invoke(index_command, ["rebuild"])
    assert told.exit_code == 75
    assert "is at it" in told.stderr
    assert "imagesweep index status" in told.stderr


def test_the_same_folder_is_the_same_index_whatever_it_is_called(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "link").symlink_to(home)
    named = set()
    for name in (
        "tantivy:.imagesweep/index",
        f"tantivy:{home}/photos/../.imagesweep/index",
        f"tantivy:{home}/link/.imagesweep/index",
    ):
        monkeypatch.setenv("IMAGESWEEP_INDEX", name)
        named.add(index_key(load()))
    assert len(named) == 1


def test_the_same_address_is_the_same_index_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    named = set()
    for location in ("https://shop.search.windows.net/images", "HTTPS://Shop.search.windows.net/images/"):
        monkeypatch.setenv("IMAGESWEEP_INDEX", f"azure-search:{location}")
        named.add(index_key(load()))
    assert len(named) == 1


def test_an_empty_ledger_makes_an_empty_index(home: Path) -> None:
    done = CliRunner().invoke(index_command, ["rebuild"])
    assert done.exit_code == 0, done.output
    assert "0 documents are in tantivy:.imagesweep/index: 0 compared with the store, 0 repaired, switched" in done.stdout
    assert (home / ".imagesweep" / "index").is_dir()
    assert CliRunner().invoke(index_command, ["status"]).exit_code == 0


def test_who_may_only_read_is_told_how_the_index_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(index_command, ["rebuild"]).exit_code == 0

    def refuse(_: ProcessLock) -> bool:
        raise Misconfigured("lock", str(home), "permission denied")

    monkeypatch.setattr(ProcessLock, "acquire", refuse)
    told = CliRunner().invoke(index_command, ["status"])
    assert told.exit_code == 0, told.output
    assert "no rebuild is under way" in told.stdout
