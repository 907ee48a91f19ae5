from __future__ import annotations

import os
import shutil
import signal
import time
from datetime import UTC, datetime

import pytest

from tests.acceptance.conftest import SAMPLES, Answer, Desk

pytestmark = pytest.mark.slow

COUNTS = ("classified", "reused", "unchanged", "skipped", "deferred", "dead", "gone")


def _adds_up(answer: Answer) -> None:
    report = answer.json
    assert report["listed"] == sum(report[name] for name in COUNTS)


def test_the_samples_are_swept_and_found(desk: Desk) -> None:
    shutil.copytree(SAMPLES, desk.photos, dirs_exist_ok=True)
    first = desk.run("sweep", "--json")
    assert (first.status, first.err) == (0, "")
    _adds_up(first)
    assert first.json["status"] == "complete"
    assert first.json["reused"] >= 1
    assert first.json["published"] == first.json["classified"] + first.json["reused"]

    for word, part in (("dog", "dog"), ("castle", "monuments/"), ("hammer", "hammer"), ("bird", "animals/")):
        found = desk.run("search", word, "--json").json
        assert found["count"] > 0, word
        assert part in found["results"][0]["name"], (word, found["results"][0])
    bird = desk.run("search", "bird", "--json", "--limit", "50").json
    assert "bird" in {tag["name"] for tag in bird["results"][0]["tags"]}

    groups = {group["failure_class"]: group for group in desk.run("failures", "--json").json["failures"]}
    classes = {name: [example["name"] for example in group["examples"]] for name, group in groups.items()}
    assert classes == {
        "empty": ["odd/empty.jpg"],
        "not-an-image": ["odd/text.jpg"],
        "too-small": ["odd/small.png"],
        "truncated": ["odd/truncated.jpg"],
    }

    again = desk.run("sweep", "--json")
    _adds_up(again)
    assert (again.status, again.json["classified"], again.json["calls"], again.json["published"]) == (0, 0, 0, 0)


def test_the_ledger_decides_and_the_counts_add_up(desk: Desk) -> None:
    for n in range(5):
        desk.photo(f"{n}.png", n)
    shutil.copy(desk.photos / "1.png", desk.photos / "copy.png")
    (desk.photos / "notes.txt").write_text("not an image")
    (desk.photos / "hidden-image").write_bytes((desk.photo("tmp.png", 9)).read_bytes())
    (desk.photos / "tmp.png").unlink()
    (desk.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    first = desk.run("sweep", "--json")
    _adds_up(first)
    assert first.status == 0
    assert {name: first.json[name] for name in ("listed", *COUNTS)} == {
        "listed": 9, "classified": 6, "reused": 1, "unchanged": 0, "skipped": 1, "deferred": 0, "dead": 1, "gone": 0,
    }  # fmt: skip

    desk.photo("2.png", 77)
    second = desk.run("sweep", "--json")
    _adds_up(second)
    assert (second.json["classified"], second.json["calls"]) == (1, 1)
    shown = desk.run("show", "2.png", "--json").json
    assert (shown["outcome"], shown["rev"], shown["analysed"]) == ("classified", 2, shown["etag"])
    found = desk.run("search", "--prefix", "2.png", "--json").json
    assert (found["count"], found["results"][0]["rev"]) == (1, 2)


def test_plan_says_what_a_sweep_then_does(desk: Desk) -> None:
    for n in range(4):
        desk.photo(f"{n}.png", n)
    shutil.copy(desk.photos / "1.png", desk.photos / "copy.png")
    (desk.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    plan = desk.run("plan", "--json")
    assert plan.status == 0
    assert {name: plan.json[name] for name in ("listed", "new", "duplicate", "unreadable", "calls", "cost")} == {
        "listed": 6, "new": 4, "duplicate": 1, "unreadable": 1, "calls": 4, "cost": 0,
    }  # fmt: skip
    report = desk.run("sweep", "--json").json
    assert (report["classified"], report["reused"], report["dead"]) == (4, 1, 1)
    after = desk.run("plan", "--json").json
    assert (after["calls"], after["unchanged"]) == (0, 6)


def test_names_of_all_sorts_come_through(desk: Desk) -> None:
    names = [
        "quo\"te's.png",
        "new\nline.png",
        "emoji 🐕.png",
        "עברית.png",
        "x" * 220 + ".png",
        "-dash.png",
        "a b/c%20d.png",
        "tab\t.png",
    ]
    for n, name in enumerate(names):
        desk.photo(name, n)
    desk.photo("plain.png", 99).rename(desk.photos / os.fsdecode(b"caf\xe9.png"))
    report = desk.run("sweep", "--json")
    assert (report.status, report.json["classified"]) == (0, 9)
    found = {hit["name"] for hit in desk.run("search", "--json", "--limit", "50").json["results"]}
    assert found >= set(names)
    (undecodable,) = found - set(names)
    for name in [*names, undecodable]:
        assert desk.run("show", "--json", "--", name).json["name"] == name
    text = desk.run("search", "--limit", "50")
    assert text.status == 0
    assert "new\\nline.png" in text.out
    assert "\x1b" not in text.out


def test_a_slice_stops_in_time_and_the_next_goes_on(desk: Desk) -> None:
    for n in range(40):
        desk.photo(f"{n:02}.png", n)
    first = desk.run("sweep", "--slice", "0.001", "--json", page="5")
    assert (first.status, first.json["status"]) == (75, "stopped")
    _adds_up(first)
    assert "Run it again" in first.json["message"]
    last = desk.run("sweep", "--json", page="5")
    assert (last.status, last.json["status"]) == (0, "complete")
    assert first.json["classified"] + last.json["classified"] == 40
    assert desk.run("search", "--json").json["count"] == 40


def test_a_budget_stops_cleanly_and_the_next_run_goes_on(desk: Desk) -> None:
    for n in range(12):
        desk.photo(f"{n:02}.png", n)
    first = desk.run("sweep", "--max-calls", "5", "--json")
    assert (first.status, first.json["calls"], first.json["classified"]) == (75, 5, 5)
    _adds_up(first)
    last = desk.run("sweep", "--json")
    assert (last.status, last.json["classified"]) == (0, 7)


def test_from_now_leaves_history_out(desk: Desk) -> None:
    desk.photo("old.png", 1)
    assert desk.run("sweep", "--from", "now", "--json").json["unchanged"] == 1
    desk.photo("young.png", 2)
    assert desk.run("sweep", "--json").json["classified"] == 1
    status = desk.run("status")
    assert "history     left out" in status.out
    since = datetime.fromisoformat(desk.run("status", "--json").json["from_now"])
    assert abs((datetime.now(UTC) - since).total_seconds()) < 100
    again = desk.run("sweep", "--from", "now")
    assert (again.status, "swept up to" in again.err) == (2, True)


def test_ctrl_c_stops_at_a_checkpoint_and_says_how_to_go_on(desk: Desk) -> None:
    for n in range(400):
        desk.photo(f"{n:03}.png", n, size=(400, 300))
    process = desk.start("sweep", "--json", page="10")
    home = desk.home / ".imagesweep"
    while not any(log.stat().st_size > 200_000 for log in home.glob("results.db-wal")) and process.poll() is None:
        time.sleep(0.02)  # another process is at it: there is no other way to see it begin
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    first = Answer(process.returncode, out, err)
    assert (first.status, first.json["status"]) == (75, "stopped")
    assert "Stopping at the next checkpoint" in first.err
    _adds_up(first)
    last = desk.run("sweep", "--json")
    assert last.status == 0
    assert first.json["calls"] + last.json["calls"] == 400
