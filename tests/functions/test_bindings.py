"""What the host would see: each function's triggers and bindings, and the files beside the app."""

from __future__ import annotations

import fnmatch
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from jobs.settings import Settings
from tests.functions.host import ROOT, Host

HOST = json.loads((ROOT / "host.json").read_text())
QUEUE = {"connection": "AzureWebJobsStorage", "direction": "IN"}
TRIGGERS: dict[str, dict[str, Any]] = {
    "nightly_sweep": {"type": "timerTrigger", "schedule": "%SWEEP_SCHEDULE%", "useMonitor": True, "runOnStartup": False},
    "weekly_audit": {"type": "timerTrigger", "schedule": "%AUDIT_SCHEDULE%", "useMonitor": True, "runOnStartup": False},
    "continue_sweep": {"type": "queueTrigger", "queueName": "sweep-continue", **QUEUE},
    "give_up_sweep": {"type": "queueTrigger", "queueName": "sweep-continue-poison", **QUEUE},
    "on_blob_created": {"type": "eventGridTrigger"},
    "on_blob_deleted": {"type": "eventGridTrigger"},
    "post_sweep": {"type": "httpTrigger", "route": "sweeps", "methods": ["POST"], "authLevel": "FUNCTION"},
    "get_sweep": {"type": "httpTrigger", "route": "sweeps/{id}", "methods": ["GET"], "authLevel": "FUNCTION"},
    "gallery": {"type": "httpTrigger", "route": "gallery/{*path}", "methods": ["GET", "POST"], "authLevel": "FUNCTION"},
    "health": {"type": "httpTrigger", "route": "health", "methods": ["GET"], "authLevel": "ANONYMOUS"},
}


def test_the_app_has_these_functions_and_no_others(host: Host) -> None:
    assert set(host.bindings) == set(TRIGGERS)


@pytest.mark.parametrize("name", TRIGGERS)
def test_the_host_sees_this_trigger(host: Host, name: str) -> None:
    triggers = [binding for binding in host.bindings[name] if binding["type"].endswith("Trigger")]
    assert len(triggers) == 1
    assert TRIGGERS[name].items() <= triggers[0].items()


def test_a_slice_and_what_is_in_flight_fit_into_the_time_that_the_host_gives(host: Host) -> None:
    del host
    hours, minutes, seconds = map(int, HOST["functionTimeout"].split(":"))
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic's own argument
    given = timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    assert settings.slice_seconds + settings.call_seconds + 30 <= given
    assert given <= 600, "the longest that every plan allows"


def test_one_slice_runs_at_a_time_and_poison_is_reached() -> None:
    queues = HOST["extensions"]["queues"]
    assert (queues["batchSize"], queues["newBatchThreshold"]) == (1, 0)
    assert queues["messageEncoding"] == "base64", "as jobs.adapters.azure_queue writes"
    assert queues["maxDequeueCount"] == 5


def test_every_setting_of_the_host_has_its_reason_in_the_docs() -> None:
    reasons = set(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs/functions.md").read_text(), re.MULTILINE))
    assert _leaves(HOST) <= reasons, _leaves(HOST) - reasons


def _leaves(node: Any, path: str = "") -> set[str]:
    if not isinstance(node, dict):
        return {path}
    return {leaf for key, value in node.items() for leaf in _leaves(value, f"{path}.{key}" if path else key)}


def test_what_is_deployed_has_all_that_the_app_imports_and_no_tests() -> None:
    patterns = [line.rstrip("/") for line in (ROOT / ".funcignore").read_text().split() if line]

    def left_out(path: str) -> bool:
        return any(
            fnmatch.fnmatch(part, pattern) or path.startswith(f"{pattern}/") for pattern in patterns for part in path.split("/")
        )

    needed = ["function_app.py", "host.json", "requirements.txt", "jobs/app/desk.py", "jobs/prices.toml", "search/index.json"]
    needed += ["jobs/taxonomies/games.yaml", "jobs/adapters/azure_blob.py", "search/azure_index/index.py"]
    assert [path for path in needed if left_out(path)] == []
    assert all(left_out(path) for path in ("tests/conftest.py", ".env", "local.settings.json", "samples/LICENSES.csv", ".venv/x"))


def test_the_example_of_local_settings_names_all_that_the_triggers_ask_for() -> None:
    values = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    asked = {
        name
        for one in TRIGGERS.values()
        for value in one.values()
        if isinstance(value, str)
        for name in re.findall("%(.+)%", value)
    }
    assert asked | {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME"} <= set(values)
    known = {f"IMAGESWEEP_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in values if name.startswith("IMAGESWEEP_")} <= known
