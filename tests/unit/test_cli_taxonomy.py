"""Taxonomies and properties as an operator meets them: settings, plan, backfill, search, show."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs import wiring
from jobs.cli import main
from jobs.ports import Classifier
from jobs.settings import Settings
from tests.fakes.classifier import FakeClassifier

SHOP = "name: shop\nversion: 1\nrules:\n  - {category: stuff, any: [thing], confidence: 0.4}\n"


class Desk:
    """A folder to work in, with a classifier that costs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.till = FakeClassifier()

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    def text(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.text(*arguments, "--json"))


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
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:photos")
    (tmp_path / "shop.yaml").write_text(SHOP)
    for name in ("ss26/100001.jpg", "ss26/100002.jpg", "aw25/100003.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return desk


def test_a_taxonomy_is_set_planned_derived_and_searched(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.json("sweep")["classified"] == 3
    assert desk.json("search", "--category", "stuff")["count"] == 0

    monkeypatch.setenv("IMAGESWEEP_TAXONOMY", "./shop.yaml")
    planned = desk.json("plan", "--quick", "--by-prefix")
    assert (planned["rederive"], planned["calls"]) == (3, 0)
    assert planned["by_prefix"] == {
        "aw25/": {"new": 0, "changed": 0, "stale": 0, "rederive": 1},
        "ss26/": {"new": 0, "changed": 0, "stale": 0, "rederive": 2},
    }
    printed = desk.text("plan", "--quick", "--by-prefix")
    assert "3 of the unchanged get other categories" in printed
    assert "aw25/" in printed
    assert "aw25/" not in desk.text("plan", "--quick")
    assert "outdated       3" in desk.text("audit")

    assert "3 of the unchanged have new categories" in desk.text("backfill", "--stale")
    assert desk.json("backfill", "--stale")["rederived"] == 0
    assert sum(desk.till.paid.values()) == 3
    found = desk.json("search", "--category", "stuff", "--facet", "categories")
    assert (found["count"], found["facets"]) == (3, {"categories": [{"value": "stuff", "count": 3}]})
    assert {tuple(hit["categories"]) for hit in found["results"]} == {("stuff",)}
    assert desk.json("search", "stuff")["count"] == 3, "a category is found as a word, too"
    assert desk.json("search", "--category", "other")["count"] == 0
    assert "stuff (by shop/1/" in desk.text("show", "ss26/100001.jpg")
    assert desk.json("show", "ss26/100001.jpg")["categories"] == ["stuff"]


def test_the_sweep_says_what_it_derived(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("sweep")
    monkeypatch.setenv("IMAGESWEEP_TAXONOMY", "./shop.yaml")
    report = desk.json("sweep")
    assert (report["listed"], report["unchanged"], report["rederived"], report["calls"]) == (3, 3, 3, 0)


def test_a_ledger_that_is_imported_gets_the_categories_of_its_new_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("sweep")
    desk.json("export", "ledger.jsonl")
    monkeypatch.setenv("IMAGESWEEP_STORE", "sqlite:new.db")
    monkeypatch.setenv("IMAGESWEEP_TAXONOMY", "./shop.yaml")
    assert desk.json("import", "ledger.jsonl")["imported"] == 3
    assert desk.json("show", "ss26/100001.jpg")["categories"] == ["stuff"]


def test_parts_of_the_name_are_properties(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_NAME_PATTERN", r"^(?P<season>\w+)/(?P<sku>\d+)")
    desk.json("sweep")
    found = desk.json("search", "--property", "season=ss26", "--facet", "properties")
    assert [hit["name"] for hit in found["results"]] == ["ss26/100001.jpg", "ss26/100002.jpg"]
    assert found["facets"]["properties"][0] == {"value": "season=ss26", "count": 2}
    both = ("--property", "season=ss26", "--property", "sku=100002")
    assert [hit["name"] for hit in desk.json("search", *both)["results"]] == ["ss26/100002.jpg"]
    assert "season=aw25, sku=100003" in desk.text("show", "aw25/100003.jpg")

    monkeypatch.setenv("IMAGESWEEP_NAME_PATTERN", r"^(?P<season>[a-z]+)")
    assert desk.json("backfill")["rederived"] == 3
    assert desk.json("search", "--property", "season=ss")["count"] == 2


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("TAXONOMY", "cars", "there is no taxonomy 'cars'"),
        ("TAXONOMY", "./cars.yaml", "No such file"),
        ("NAME_PATTERN", "(", "no regular expression"),
        ("NAME_PATTERN", r"\d+", "has no named group"),
    ],
)
def test_a_wrong_setting_is_said_before_anything_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"IMAGESWEEP_{setting}", value)
    for command in ("sweep", "plan"):
        result = desk.run(command)
        assert result.exit_code == 2
        assert said in result.stderr
    assert not desk.till.paid
