"""The index is rebuilt beside sweeps by processes of their own, some of which are killed."""

from __future__ import annotations

import random
import sqlite3
import time

import pytest

from tests.acceptance.conftest import Desk


def agrees(desk: Desk, images: int) -> None:
    """Say by the program itself that index and store agree, and that nothing is left over."""
    status = desk.run("index", "status", "--json")
    assert status.status == 0, status
    [source] = status.json["sources"]
    assert (source["documents"], source["records"], source["differ"]) == (images, images, 0)
    assert (status.json["rebuild"], status.json["left"], status.json["fault"]) == (None, [], "")
    assert sorted(path.name for path in (desk.home / ".imagesweep").iterdir() if "index" in path.name) == ["index"]


def test_a_rebuild_beside_a_sweep_keeps_nobody_out_and_loses_nothing(desk: Desk) -> None:
    for at in range(120):
        desk.photo(f"{at}.png", at)
    sweeping = desk.start("sweep", "--json", page="8", write_buffer="6")
    rebuilt = 0
    while sweeping.poll() is None:
        rebuild = desk.run("index", "rebuild", "--json")
        assert rebuild.status == 0, rebuild
        rebuilt += rebuild.json["switched"]
    sweeping.communicate(timeout=50)
    assert (sweeping.returncode, rebuilt > 0) == (0, True)
    agrees(desk, 120)


def test_a_correction_beside_a_rebuild_is_in_both(desk: Desk) -> None:
    for at in range(4):
        desk.photo(f"{at}.png", at)
    assert desk.run("sweep").status == 0
    rebuild = desk.start("index", "rebuild", "--json")
    assert desk.run("correct", "1.png", "--add", "dog house").status == 0
    rebuild.communicate(timeout=50)
    assert rebuild.returncode == 0
    agrees(desk, 4)
    assert [hit["name"] for hit in desk.run("search", 'tag:"dog house"', "--json").json["results"]] == ["1.png"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_rebuilds_that_are_killed_at_any_time_harm_no_sweep_and_leave_nothing(desk: Desk) -> None:
    dice = random.Random(12)
    for at in range(60):
        desk.photo(f"{at}.png", at)
    assert desk.run("sweep").status == 0
    images = 60
    for turn in range(12):
        for _ in range(20):
            desk.photo(f"more{images}.png", images)
            images += 1
        sweeping = desk.start("sweep", "--json", page="8", write_buffer="6")
        for _ in range(3):
            rebuild = desk.start("index", "rebuild", "--json")
            time.sleep(dice.uniform(0.3, 1.6))
            rebuild.kill()
            rebuild.communicate(timeout=50)
        out, err = sweeping.communicate(timeout=60)
        assert sweeping.returncode == 0, f"turn {turn}: {out} {err}"
        looked = desk.run("index", "status", "--json").json
        assert [one["differ"] for one in looked["sources"]] == [0], f"turn {turn}: {looked}"
    last = desk.run("index", "rebuild", "--json")
    assert (last.status, last.json["documents"]) == (0, images)
    agrees(desk, images)


def test_an_interrupted_rebuild_is_told_of_and_cleared_by_the_next(desk: Desk) -> None:
    desk.photo("a.png")
    assert desk.run("sweep").status == 0
    beside = desk.home / ".imagesweep" / ".index.rebuild-20260102T030405-1a2b3c4d"
    beside.mkdir()
    key = f"tantivy:{desk.home / '.imagesweep' / 'index'}"
    body = (
        '{"schema":1,"fresh":"rebuild-20260102T030405-1a2b3c4d","run_id":"r","begun":"2026-01-02T03:04:05Z",'
        '"touched":"2026-01-02T03:05:05Z","step":"filling","done":3,"total":9,"failed":""}'
    )
    with sqlite3.connect(desk.home / ".imagesweep" / "results.db") as store:
        store.execute("INSERT INTO documents (kind, key, body) VALUES ('Rebuild', ?, ?)", (key, body))
    store.close()
    told = desk.run("index", "status")
    assert "interrupted" in told.out
    assert "left over: rebuild-20260102T030405-1a2b3c4d" in told.out
    desk.photo("b.png", 2)
    swept = desk.run("sweep", "--json")
    assert (swept.status, swept.json["published"]) == (0, 1)
    rebuilt = desk.run("index", "rebuild")
    assert "Cleared what interrupted rebuilds had left: rebuild-20260102T030405-1a2b3c4d" in rebuilt.out
    assert "2 documents" in rebuilt.out
    assert "switched to" in rebuilt.out
    agrees(desk, 2)


def test_an_older_index_says_so_and_what_to_do(desk: Desk) -> None:
    desk.photo("a.png")
    assert desk.run("sweep").status == 0
    (desk.home / ".imagesweep" / "index" / "imagesweep.json").write_text('{"schema": 1}')
    status = desk.run("index", "status")
    assert status.status == 1
    assert "schema 1" in status.out
    assert "imagesweep index rebuild" in status.out
    assert desk.run("index", "rebuild").status == 0
    agrees(desk, 1)
