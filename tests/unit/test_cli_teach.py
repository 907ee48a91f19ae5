"""Categories by example as an operator meets them: taught from photos, set, derived, searched; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from jobs.ports import Embedder
from jobs.settings import Settings
from jobs.wiring import embedders
from tests.unit.test_teach import Axes

SAMPLES = Path(__file__).parents[2] / "samples"
SHOWN = {"windmills": ("windmill", "windmill1", "windmill12"), "hammers": ("hammer1", "hammer2", "hammer3")}


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def told(*arguments: str) -> Any:
    result = invoked(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def put(folder: Path, *paths: Path) -> None:
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copy(path, folder / path.name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with examples of windmills and hammers, and an archive with others."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGESWEEP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:photos")
    monkeypatch.setenv("IMAGESWEEP_WORKERS", "1")
    for category, stems in SHOWN.items():
        put(tmp_path / "shown" / category, *(path for stem in stems for path in sorted(SAMPLES.rglob(f"{stem}.*"))))
    put(tmp_path / "none", *sorted((SAMPLES / "animals").glob("*"))[:6])
    rest = [SAMPLES / "renewable/windmill5.png", SAMPLES / "tools/hammer4.jpg", SAMPLES / "animals/owl.webp"]
    put(tmp_path / "photos", *rest)
    return tmp_path


def test_categories_are_taught_derived_and_searched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("sweep")["classified"] == 3
    (home / "shown/hammers/broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    (home / "own.yaml").write_text("# Ours.\nname: own\nversion: 1\nrules:\n  - {category: animals, any: [animal]}\n")
    taught = told("teach", "shown", "--into", "own.yaml", "--against", "none")
    assert [(one["category"], one["pictures"], one["wrong"]) for one in taught["categories"]] == [
        ("hammers", 3, 0),
        ("windmills", 3, 0),
    ]
    assert [Path(one["name"]).name for one in taught["skipped"]] == ["broken.jpg"]
    assert (home / "own.yaml").read_text().startswith("# Ours.\nname: own")
    monkeypatch.setenv("IMAGESWEEP_TAXONOMY", "./own.yaml")
    assert "by example" in invoked("check").output
    derived = told("backfill", "--stale")
    assert (derived["rederived"], derived["classified"], derived["message"]) == (3, 0, "")
    for category, name in {"hammers": "hammer4.jpg", "windmills": "windmill5.png", "animals": "owl.webp"}.items():
        assert [hit["name"] for hit in told("search", f"category:{category}")["results"]] == [name]


def test_the_table_says_what_was_learned_and_what_to_do(home: Path) -> None:
    printed = invoked("teach", "shown", "--into", "new.yaml")
    assert (printed.exit_code, (home / "new.yaml").exists()) == (0, True)
    for said in ("recalled", "wrongly taken", "windmills", "IMAGESWEEP_TAXONOMY=./new.yaml", "backfill --stale"):
        assert said in printed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shown", "--into", "own.txt"], "ends in .yaml"),
        (["none", "--into", "own.yaml"], "no folder in it"),
        (["nowhere", "--into", "own.yaml"], "does not exist"),
        (["shown"], "--into"),
        (["few", "--into", "own.yaml"], "2 pictures"),
        (["shown", "--into", "broken.yaml"], "broken.yaml"),
        (["shown", "--into", "latin.yaml"], "no text in UTF-8"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(home: Path, arguments: list[str], said: str) -> None:
    put(home / "few/one", SAMPLES / "animals/owl.webp")
    put(home / "few/two", SAMPLES / "animals/dog.webp", SAMPLES / "animals/cat.webp")
    (home / "broken.yaml").write_text("rules: [")
    (home / "latin.yaml").write_bytes(b"name: \xe9\n")
    result = invoked("teach", *arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert not (home / "own.yaml").exists()
    assert (home / "broken.yaml").read_text() == "rules: ["


@pytest.mark.parametrize(
    ("into", "category", "said"),
    [
        ("spoilt.yaml", "dogs", "spoilt.yaml"),
        ("nowhere/own.yaml", "dogs", "nothing can be written there"),
        ("own.yaml", "d" * 101, "cannot be that of a category"),
        ("own.yaml", "dogs ", "cannot be that of a category"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, into: str, category: str, said: str
) -> None:
    axes = paying(tmp_path, monkeypatch, ("cats", category))
    (tmp_path / "spoilt.yaml").write_text("name: x\nversion: 1\nrules: [")
    result = invoked("teach", "shown", "--into", into, "--pay")
    assert (result.exit_code, axes.names) == (2, [])
    assert said in result.output


def test_a_category_in_two_spellings_of_its_name_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paying(tmp_path, monkeypatch, ("cats", "caf\u00e9", "cafe\u0301"))
    taught = told("teach", "shown", "--into", "own.yaml", "--pay")
    assert [(one["category"], one["pictures"]) for one in taught["categories"]] == [("caf\u00e9", 4), ("cats", 2)]


def test_a_file_that_cannot_be_replaced_is_as_it_was_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paying(tmp_path, monkeypatch, ("cats", "dogs"))
    (tmp_path / "own.yaml").write_text("name: own\nversion: 1\n")

    def refuse(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    assert invoked("teach", "shown", "--into", "own.yaml", "--pay").exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.yaml", "shown"]
    assert (tmp_path / "own.yaml").read_text() == "name: own\nversion: 1\n"


def paying(home: Path, monkeypatch: pytest.MonkeyPatch, categories: tuple[str, ...]) -> Axes:
    """Set a paid embedder, and make folders with two pictures each."""
    monkeypatch.chdir(home)
    axes = Axes()
    axes.price = 0.1

    @asynccontextmanager
    async def paid(_: Settings, __: str) -> AsyncIterator[Embedder]:
        yield axes

    monkeypatch.setitem(embedders.EMBEDDERS, "paid", paid)
    monkeypatch.setenv("IMAGESWEEP_EMBEDDER", "paid:1")
    for at, name in enumerate(categories):
        (home / "shown" / name).mkdir(parents=True)
        for one in "ab":
            (home / "shown" / name / f"{one}.jpg").write_text(f"{at} {one} {name}")
    return axes


def test_a_paid_embedder_is_asked_only_when_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = paying(tmp_path, monkeypatch, ("cats", "dogs"))
    refused = invoked("teach", "shown", "--into", "own.yaml")
    assert (refused.exit_code, "--pay" in refused.output, axes.names) == (2, True, [])
    assert told("teach", "shown", "--into", "own.yaml", "--pay")["calls"] == 4
    monkeypatch.setenv("IMAGESWEEP_EMBEDDER", "none")
    assert "no vectors here" in invoked("teach", "shown", "--into", "own.yaml").output


def test_another_embedder_than_that_of_the_examples_is_found_by_a_check(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told("teach", "shown", "--into", "own.yaml")
    text = (home / "own.yaml").read_text()
    (home / "own.yaml").write_text(text.replace("onnx:efficientnet-lite0@", "onnx:another@"))
    monkeypatch.setenv("IMAGESWEEP_TAXONOMY", "./own.yaml")
    result = invoked("check")
    assert (result.exit_code, "Teach them again" in result.output) == (2, True)
