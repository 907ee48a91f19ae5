"""Near-duplicates as an operator meets them: swept by the local model, grouped, searched."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from jobs.cli import main
from jobs.cli.reports import Stop

SAMPLES = Path(__file__).parents[2] / "samples/animals"


def told(*arguments: str, status: int = 0) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two photos and a small copy of one, swept."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGESWEEP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:photos")
    monkeypatch.setenv("IMAGESWEEP_WORKERS", "1")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("cat.webp", "dog.webp"):
        shutil.copy(SAMPLES / name, photos / name)
    with Image.open(photos / "cat.webp") as image:
        image.convert("RGB").resize((image.width // 2, image.height // 2)).save(photos / "cat-small.jpg", quality=60)
    Image.new("RGB", (200, 100), "white").save(photos / "blank.png")
    assert told("sweep")["classified"] == 4
    return photos


def test_a_small_copy_is_found_and_hidden(archive: Path) -> None:
    assert archive.is_dir()
    grouped = told("group")
    assert (grouped["images"], grouped["without"], grouped["groups"], grouped["copies"], grouped["changed"]) == (4, 1, 1, 1, 2)
    assert [hit["name"] for hit in told("search", "copies:only")["results"]] == ["cat-small.jpg"]
    assert {hit["name"] for hit in told("search", "copies:hide")["results"]} == {"cat.webp", "dog.webp", "blank.png"}
    group = told("show", "cat-small.jpg")["group"]
    assert {hit["name"] for hit in told("search", f"group:{group}")["results"]} == {"cat.webp", "cat-small.jpg"}
    assert told("group")["changed"] == 0
    printed = CliRunner().invoke(main, ["group"]).stdout
    assert "1 groups with 1 copies" in printed
    assert "1 have no sketch" in printed


def test_what_was_stopped_before_it_compared_tells_no_figures(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive.is_dir()
    monkeypatch.setattr(Stop, "__call__", lambda _: True)
    printed = CliRunner().invoke(main, ["group"])
    assert (printed.exit_code, printed.stdout) == (75, "Stopped before anything was grouped. Run it again.\n")


def test_what_cannot_be_grouped_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGESWEEP_STORE", "sqlite:")
    result = CliRunner().invoke(main, ["group"])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_images_of_an_older_program_are_read_once(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (archive / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing else")
    with sqlite3.connect(".imagesweep/results.db") as store:
        changed = store.execute("""UPDATE records SET body = json_remove(body, '$.analysis.facts.sketch')""").rowcount
    store.close()
    assert changed == 4
    assert told("group")["without"] == 4
    monkeypatch.setenv("IMAGESWEEP_MAX_MEGAPIXELS", "1")
    read = told("group", "--read")
    assert (read["drawn"] + read["failed"], read["without"]) == (4, 1 + read["failed"])
    assert told("group", "--read")["drawn"] == 0
    assert [hit["name"] for hit in told("search", "copies:only")["results"]] == ["cat-small.jpg"]
