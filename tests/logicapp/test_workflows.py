"""The workflows against the function app: what they ask, what they make of the report, and what they do when there is none."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.logicapp.checks import check_workflow
from tests.logicapp.conftest import FOLDER, Side, definition, parameters
from tests.logicapp.expressions import Mistake
from tests.logicapp.interpreter import Workflow


def nightly_is_proved(side: Side, workflow: dict[str, Any]) -> None:
    """Hold a definition to all that nightly-sweep promises. Raises Mistake or AssertionError."""
    side.yard.fill(3)
    side.broken = [503, 429]
    run, deployed = side.run(workflow)
    assert (run.status, side.alerts, side.strangers) == ("Succeeded", [], 0)
    assert side.yard.till.calls == 3
    assert run.results["Ask_for_a_sweep"].outputs["body"]["classified"] == 3
    assert len(side.asked) == 1, "503 and 429 were answered by others"
    assert sum(deployed.waits) < 300
    assert set(side.asked[0]) == {"window"}
    asked = datetime.fromisoformat(side.asked[0]["window"]["end"])
    assert deployed.now - asked < timedelta(minutes=10)

    (side.yard.home / "photos/bad.jpg").write_bytes(b"bad")
    run, _ = side.run(workflow, mostDeadLetters=1)
    assert (run.status, side.alerts) == ("Succeeded", []), "as many as are allowed"
    (side.yard.home / "photos/bad2.jpg").write_bytes(b"bad 2")
    (side.yard.home / "photos/bad3.jpg").write_bytes(b"bad 3")
    run, _ = side.run(workflow, mostDeadLetters=1)
    assert run.status == "Failed"
    assert run.error == {
        "code": "SweepNotWell",
        "message": "The sweep ended as complete, with 2 dead letters. ",
    }
    assert [(one["workflow"], one["status"], one["dead"]) for one in side.alerts] == [("nightly-sweep", "complete", 2)]
    [alert] = side.alerts
    assert alert["report"]["listed"] == 6

    _no_report_is_told(side, workflow)


def _no_report_is_told(side: Side, workflow: dict[str, Any]) -> None:
    side.alerts.clear()
    side.broken = [500] * 20
    run, deployed = side.run(workflow)
    assert (run.status, run.error and run.error["code"]) == ("Failed", "NoReport")
    assert [alert["code"] for alert in side.alerts] == [500]
    assert 60 < sum(deployed.waits) < 1800, "for a while it is tried again"
    side.broken = []

    side.alerts.clear()
    side.stuck = True
    run, deployed = side.run(workflow)
    assert (run.status, run.error and run.error["code"]) == ("Failed", "NoReport")
    assert side.alerts[0]["status"] == "TimedOut"
    assert 86_400 <= sum(deployed.waits) <= 2 * 86_400
    side.stuck = False


def test_the_nightly_sweep_asks_waits_and_judges(side: Side) -> None:
    nightly_is_proved(side, definition("nightly-sweep"))


def test_a_sweep_that_failed_is_told(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:missing")
    run, _ = side.run(definition("nightly-sweep"))
    assert run.status == "Failed"
    [alert] = side.alerts
    assert alert["status"] == "misconfigured"
    assert "missing" in alert["message"]


def test_an_alert_that_cannot_be_sent_does_not_make_the_run_succeed(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SOURCE", "folder:missing")
    run, _ = side.run(definition("nightly-sweep"), alertUrl="nowhere")
    assert run.status == "Failed"


def sliding_is_proved(side: Side, workflow: dict[str, Any]) -> None:
    """Hold a definition to all that sliding-window-sweep promises. Raises Mistake or AssertionError."""
    side.yard.fill(3)
    planned = Workflow(workflow, parameters(), side.send)
    begin = datetime.fromisoformat("2026-01-01T00:00:00Z")
    assert planned.windows(begin + timedelta(minutes=74)) == [], "fifteen minutes are left for late arrivals"
    windows = planned.windows(begin + timedelta(hours=24, minutes=15))
    assert len(windows) == 24, "missed windows are made up for"
    for window in windows:
        run, _ = side.run(workflow, window)
        assert run.status == "Succeeded"
    assert [one["window"].get("start") for one in side.asked] == [one["windowStartTime"] for one in windows]
    assert [one["window"]["end"] for one in side.asked] == [one["windowEndTime"] for one in windows]
    assert side.yard.till.calls == 3
    assert len(side.yard.queue.put_so_far) == 1, "a day of windows costs one scan"
    assert (side.alerts, side.strangers) == ([], 0)


def test_missed_windows_are_made_up_for_by_one_scan(side: Side) -> None:
    sliding_is_proved(side, definition("sliding-window-sweep"))


def test_the_workflow_of_the_consumption_plan_is_the_same(side: Side) -> None:
    whole = json.loads((FOLDER / "consumption/nightly-sweep.json").read_text())
    assert set(whole) == {"definition", "parameters"}
    workflow, standard = whole["definition"], definition("nightly-sweep")
    assert (workflow["triggers"], workflow["actions"]) == (standard["triggers"], standard["actions"])
    declared = workflow["parameters"]
    assert set(whole["parameters"]) | {name for name, one in declared.items() if "defaultValue" in one} == set(declared)
    values = {name: one.get("defaultValue", whole["parameters"].get(name, {}).get("value")) for name, one in declared.items()}
    check_workflow(workflow, parameters=values, connections={})
    side.yard.fill(1)
    side.run(workflow)
    assert side.yard.till.calls == 1


def _edited(workflow: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a definition with one value changed, or taken out where the value is None."""
    changed = deepcopy(workflow)
    *way, last = path.split("/")
    node = changed
    for step in way:
        node = node[step]
    assert last in node or value is not None, path
    if value is None:
        del node[last]
    else:
        node[last] = value
    return changed


ASK, WELL, NONE = "actions/Ask_for_a_sweep", "actions/Is_all_well", "actions/Is_there_no_report"
NIGHTLY_MISTAKES: dict[str, tuple[str, Any]] = {
    "a function that is none": (f"{ASK}/inputs/body/window/end", "@{utcnov()}"),
    "a bracket that is not closed": (f"{ASK}/inputs/uri", "@{parameters('functionAppUrl'}/api/sweeps"),
    "a parameter that is none": (f"{ASK}/inputs/uri", "@{parameters('functionUrl')}/api/sweeps"),
    "a wrong path": (f"{ASK}/inputs/uri", "@{parameters('functionAppUrl')}/api/sweep"),
    "a wrong method": (f"{ASK}/inputs/method", "PUT"),
    "a body that is no request": (f"{ASK}/inputs/body", {"window": "@{utcNow()}"}),
    "an unknown property": (f"{ASK}/retryPolicy", {"type": "none"}),
    "no identity": (f"{ASK}/inputs/authentication", None),
    "another audience": (f"{ASK}/inputs/authentication/audience", "https://management.azure.com/"),
    "no retries": (f"{ASK}/inputs/retryPolicy", {"type": "none"}),
    "a retry policy out of bounds": (f"{ASK}/inputs/retryPolicy/count", 91),
    "no waiting for the end": (f"{ASK}/operationOptions", "DisableAsyncPattern"),
    "no limit of time": (f"{ASK}/limit", {"timeout": "P30D"}),
    "a limit that is no duration": (f"{ASK}/limit/timeout", "1 day"),
    "a missing runAfter of the judgement": (f"{WELL}/runAfter", None),
    "a runAfter of an action that is none": (f"{WELL}/runAfter", {"Ask_for_the_sweep": ["Succeeded"]}),
    "a status that is none": (f"{WELL}/runAfter/Ask_for_a_sweep", ["Success"]),
    "a judgement of what failed": (f"{NONE}/runAfter/Ask_for_a_sweep", ["Succeeded"]),
    "no alert after a time-out": (f"{NONE}/runAfter/Ask_for_a_sweep", ["Failed"]),
    "a property of the report that is none": (f"{WELL}/expression/and", [
        {"contains": ["@createArray('complete', 'partial')", "@body('Ask_for_a_sweep')?['state']"]}]),
    "a comparison the wrong way round": (f"{WELL}/expression/and", [
        {"lessOrEquals": ["@parameters('mostDeadLetters')", "@coalesce(body('Ask_for_a_sweep')?['dead'], 0)"]}]),
    "an operator that is none": (f"{WELL}/expression", {"equal": ["@true", True]}),
    "no run that fails": (f"{WELL}/else/actions/Fail_for_the_report", None),
    "an alert to nobody": (f"{WELL}/else/actions/Alert_about_the_report/inputs/uri", "@parameters('alert')"),
    "a failure before the alert": (f"{WELL}/else/actions/Fail_for_the_report/runAfter", None),
    "an action of a type that is none": (f"{WELL}/type", "Condition"),
    "a recurrence of the wrong name": ("triggers/Every_night/recurrence/frequency", "Daily"),
    "a schedule with an unknown property": ("triggers/Every_night/recurrence/schedule/hour", [1]),
}  # fmt: skip
SLIDING_MISTAKES: dict[str, tuple[str, Any]] = {
    "a day's frequency": ("triggers/Every_window/recurrence/frequency", "Day"),
    "no delay": ("triggers/Every_window/inputs", None),
    "a delay in the wrong place": ("triggers/Every_window/delay", "PT15M"),
    "an output of the trigger that is none": (f"{ASK}/inputs/body/window/start", "@{triggerOutputs()?['startTime']}"),
    "a window the wrong way round": (f"{ASK}/inputs/body/window", {
        "start": "@{triggerOutputs()?['windowEndTime']}", "end": "@{triggerOutputs()?['windowStartTime']}"}),
    "windows that are moments": (f"{ASK}/inputs/body/window", {"end": "@{utcNow()}"}),
    "too many at once": ("triggers/Every_window/runtimeConfiguration/concurrency/runs", 51),
}  # fmt: skip


@pytest.mark.parametrize("mistake", NIGHTLY_MISTAKES)
def test_a_mistake_in_the_nightly_sweep_is_caught(side: Side, mistake: str) -> None:
    with pytest.raises((Mistake, AssertionError)):
        nightly_is_proved(side, _edited(definition("nightly-sweep"), *NIGHTLY_MISTAKES[mistake]))


@pytest.mark.parametrize("mistake", SLIDING_MISTAKES)
def test_a_mistake_in_the_sliding_window_sweep_is_caught(side: Side, mistake: str) -> None:
    with pytest.raises((Mistake, AssertionError)):
        sliding_is_proved(side, _edited(definition("sliding-window-sweep"), *SLIDING_MISTAKES[mistake]))
