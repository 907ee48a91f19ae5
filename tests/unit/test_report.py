"""The report of a period: which runs, which tags are frequent, new and moved; and its files."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from jobs.model import Tag
from jobs.summary import Period, Summary, summary
from tests.unit.shop_kit import Shop, opened
from tests.unit.test_cli_taxonomy import Desk, desk

__all__ = ["desk"]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def told(shop: Shop, period: Period) -> Summary:
    return shop.run(summary(store=shop.store, areas=[(shop.source.key, "")], period=period))


def tagged(shop: Shop, name: str, *tags: str) -> None:
    """Give an image these tags behind everybody's back."""
    record = shop.record(name)
    assert record.analysis
    shop.change(name, analysis=replace(record.analysis, tags=tuple(Tag(tag, 0.9) for tag in tags)))


def test_a_period_knows_its_runs_and_what_its_images_show(shop: Shop) -> None:
    names = shop.fill(4)
    shop.sweep()
    border = shop.loop.now()
    shop.later(60)
    for at in range(4):
        shop.source.put(f"new{at}.jpg", f"new {at}".encode())
    shop.source.put("bad.jpg", b"bad")
    shop.sweep()
    for name in names:
        tagged(shop, name, "dog")
    for at in range(4):
        tagged(shop, f"new{at}.jpg", "dog" if at else "cat", "night")
    second = told(shop, Period(after=border))
    assert [run.classified for run in second.runs] == [4]
    assert (second.images, second.images_before) == (4, 4)
    assert [(one.tag, one.images) for one in second.frequent] == [("night", 4), ("dog", 3), ("cat", 1)]
    assert [one.tag for one in second.new] == ["night", "cat"]
    assert [one.tag for one in second.drift] == ["night", "dog"]
    assert dict(second.failures) == {"not-an-image": 1}
    first = told(shop, Period(before=border))
    assert ([run.classified for run in first.runs], first.images, first.images_before) == ([4], 4, 0)
    assert told(shop, Period(run_id=second.runs[0].run_id)) == second
    assert told(shop, Period(run_id="nothing")).runs == []
    assert len(told(shop, Period()).runs) == 2


def test_a_report_is_written_for_people_and_programs(desk: Desk, tmp_path: Path) -> None:
    desk.json("sweep", "--yes")
    text = desk.text("report", "--html", "report.html", "--csv", "report.csv")
    assert "3 listed" in text
    assert "thing" in text
    page = (tmp_path / "report.html").read_text()
    assert "<b>3</b>classified" in page
    assert 'class="k-classified"' in page
    assert "<script" not in page
    with (tmp_path / "report.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["classified"], row["status"]) == ("3", "complete")
    assert desk.json("report")["runs"][0]["classified"] == 3
    assert desk.json("report", "--before", "2001-01-01")["runs"] == []


def test_a_report_as_parquet_has_the_same_rows(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("sweep", "--yes")
    assert desk.run("report", "--parquet", "x.parquet").exit_code == 0
    assert list(pd.read_parquet("x.parquet")["classified"]) == [3]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    failed = desk.run("report", "--parquet", "y.parquet", "--json")
    assert failed.exit_code == 2
    assert "pyarrow" in json.loads(failed.stdout)["error"]["cause"]


def test_what_cannot_be_told_is_refused(desk: Desk) -> None:
    desk.json("sweep", "--yes")
    assert desk.run("report", "--run", "nothing").exit_code == 2
    assert desk.run("report", "--csv", "no/such/folder.csv").exit_code == 1
