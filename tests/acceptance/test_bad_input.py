from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest

from jobs.adapters import onnx_model
from tests.acceptance.conftest import PROGRAM, Answer, Desk

pytestmark = pytest.mark.slow


def _one_clear_line(answer: Answer, status: int, *parts: str) -> None:
    assert answer.status == status, answer
    assert "Traceback" not in answer.err
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("imagesweep: ")
    for part in parts:
        assert part in lines[0], lines[0]


@pytest.mark.parametrize("part", ["source", "classifier", "store", "index"])
def test_an_unknown_kind_names_the_setting_and_the_known_ones(desk: Desk, part: str) -> None:
    _one_clear_line(
        desk.run("sweep", **{part: "carrier-pigeon:loft"}), 2, f"IMAGESWEEP_{part.upper()}", "carrier-pigeon", "Known kinds"
    )


@pytest.mark.parametrize("value", ["photos", "", ":photos", "folder:"])
def test_a_source_that_names_no_kind(desk: Desk, value: str) -> None:
    _one_clear_line(desk.run("sweep", source=value), 2, "IMAGESWEEP_SOURCE")


def test_a_missing_folder(desk: Desk) -> None:
    answer = desk.run("sweep", "--json", source="folder:nowhere")
    _one_clear_line(answer, 2, "nowhere")


def test_a_setting_of_the_wrong_type(desk: Desk) -> None:
    _one_clear_line(desk.run("sweep", page="many"), 2, "IMAGESWEEP_PAGE", "many")


def test_a_corrupt_database(desk: Desk) -> None:
    home = desk.home / ".imagesweep"
    home.mkdir()
    (home / "results.db").write_bytes(b"this is no database at all, however long it may be" * 100)
    _one_clear_line(desk.run("sweep"), 1, "results.db")


def test_a_corrupt_index(desk: Desk) -> None:
    desk.photo("a.png")
    assert desk.run("sweep").status == 0
    for path in (desk.home / ".imagesweep" / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage")
    _one_clear_line(desk.run("search", "a"), 1, "imagesweep index rebuild")
    rebuilt = desk.run("index", "rebuild", "--json")
    assert (rebuilt.status, rebuilt.json["documents"]) == (0, 1)
    assert desk.run("search", "--json").json["count"] == 1


def test_a_rebuild_never_takes_the_place_of_something_else(desk: Desk) -> None:
    desk.photo("a.png")
    assert desk.run("sweep").status == 0
    _one_clear_line(desk.run("index", "rebuild", index="tantivy:photos"), 2, "photos")
    assert (desk.photos / "a.png").exists()


def test_a_rebuild_keeps_what_other_sources_brought(desk: Desk) -> None:
    desk.photo("a.png", 1)
    (desk.home / "more").mkdir()
    (desk.home / "more" / "b.png").write_bytes(desk.photo("b.png", 2).read_bytes())
    (desk.photos / "b.png").unlink()
    assert desk.run("sweep", source="folder:photos,folder:more").status == 0
    assert desk.run("index", "rebuild", "--json").json["documents"] == 2


def test_a_model_with_a_wrong_checksum(desk: Desk) -> None:
    copy = desk.home / "model"
    shutil.copytree(onnx_model.MODELS / "efficientnet-lite0", copy)
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"!")
    desk.photo("a.png")
    _one_clear_line(desk.run("sweep", classifier="onnx:./model"), 2, "model.onnx", "checksum")
    _one_clear_line(desk.run("sweep", classifier="onnx:nothing-like-it"), 2, "nothing-like-it", "efficientnet-lite0")


@pytest.mark.parametrize("command", [["search", "dog"], ["show", "a.png"], ["failures"], ["status"]])
def test_looking_before_the_first_sweep(desk: Desk, command: list[str]) -> None:
    _one_clear_line(desk.run(*command), 2, "imagesweep sweep")


def test_two_sweeps_at_once(desk: Desk) -> None:
    for n in range(60):
        desk.photo(f"{n}.png", n, size=(3000, 2000))  # the first is to be at it for longer than the second takes to start
    first = desk.start("sweep", "--json")
    lock = desk.home / ".imagesweep"
    while not list(lock.glob("sweep-*.lock")) and first.poll() is None:
        time.sleep(0.01)  # another process is at it: there is no other way to see it begin
    _one_clear_line(desk.run("sweep"), 75, str(first.pid))
    out, err = first.communicate(timeout=50)
    assert (first.returncode, err) == (0, "")
    assert '"classified": 60' in out


def test_a_full_disk_loses_nothing(desk: Desk) -> None:
    for n in range(120):
        desk.photo(f"{n:03}.png", n)
    bound = "import os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    bound += f"; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); os.execv({PROGRAM!r}, sys.argv[1:])"
    process = subprocess.run(
        [sys.executable, "-c", bound, PROGRAM, "sweep"],
        cwd=desk.home, env=desk.environment(), capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert process.returncode == 1, process
    assert "Traceback" not in process.stderr
    last = desk.run("sweep", "--json")
    assert (last.status, last.json["status"]) == (0, "complete")
    assert desk.run("search", "--json").json["count"] == 120


def test_a_name_that_is_not_known(desk: Desk) -> None:
    desk.photo("a.png")
    desk.run("sweep")
    _one_clear_line(desk.run("show", "b.png"), 1, "b.png")


def test_help_has_examples(desk: Desk) -> None:
    for command in ([], ["sweep"], ["plan"], ["search"], ["show"], ["failures"], ["status"]):
        answer = desk.run(*command, "--help")
        assert answer.status == 0
        assert "imagesweep" in answer.out.split("Usage:")[1].split("\n", 1)[1], command


def test_errors_are_json_too_when_asked(desk: Desk) -> None:
    answer = desk.run("show", "a.png", "--json")
    assert answer.json["error"]["kind"] == "Misconfigured"
    report = desk.run("sweep", "--json", source="folder:nowhere").json
    assert (report["status"], "nowhere" in report["message"]) == ("misconfigured", True)
