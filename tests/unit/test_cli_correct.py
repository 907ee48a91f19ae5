"""Corrections as an operator meets them: said of an image, searched, undone, taken away for training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.test_cli_taxonomy import Desk, desk

__all__ = ["desk"]
ONE = "ss26/100001.jpg"


def test_labels_are_corrected_searched_and_given_out(desk: Desk, tmp_path: Path) -> None:
    desk.json("sweep", "--yes")
    told = desk.json("correct", ONE, "--add", "red shoe", "--remove", "thing")
    assert told["labels"][0] == "red shoe"
    assert "thing" not in told["labels"]
    assert [hit["name"] for hit in desk.json("search", 'tag:"red shoe"')["results"]] == [ONE]
    assert desk.json("search", "tag:thing")["count"] == 2
    assert desk.json("show", ONE)["corrections"][0]["label"] == "red shoe"
    assert desk.json("correct", "--training", "said.jsonl")["images"] == 1
    (line,) = (tmp_path / "said.jsonl").read_text().splitlines()
    assert json.loads(line)["removed"] == ["thing"]
    assert "thing" in desk.text("correct", ONE, "--undo", "thing")
    assert desk.json("search", "tag:thing")["count"] == 3


@pytest.mark.parametrize("arguments", [[], [ONE], ["--training", "x", ONE], ["nothing.jpg", "--add", "x"], [ONE, "--add", " "]])
def test_what_makes_no_sense_is_refused(desk: Desk, arguments: list[str]) -> None:
    desk.json("sweep", "--yes")
    assert desk.run("correct", *arguments).exit_code == 2
