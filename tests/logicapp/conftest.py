"""The workflows as they are deployed, and the other side: the function app in the real runtime, and whoever is alerted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.functions.conftest import Yard, host, yard
from tests.functions.host import Http
from tests.functions.queue import deliver_all
from tests.logicapp.interpreter import Request, Response, Run, Workflow

__all__ = ["host", "yard"]

FOLDER = Path(__file__).parents[2] / "logicapp"
AUDIENCE = "api://sweeps"
APP, ALERTS = "https://app.test", "https://alerts.test/hook"
VALUES: dict[str, Any] = {"functionAppUrl": APP, "functionAppAudience": AUDIENCE, "alertUrl": ALERTS}


def definition(name: str) -> dict[str, Any]:
    """Return the definition of a workflow of the Standard plan."""
    found: dict[str, Any] = json.loads((FOLDER / name / "workflow.json").read_text())
    assert found["kind"] == "Stateful"
    return found["definition"]  # type: ignore[no-any-return]


def parameters(**values: Any) -> dict[str, Any]:
    """Return the parameters that the workflows share, those from the app's settings with values of this test."""
    found = json.loads((FOLDER / "parameters.json").read_text())
    return {name: {**VALUES, **values}.get(name, one["value"]) for name, one in found.items()}


@dataclass(slots=True)
class Side:
    """The other side of a workflow.

    `broken` are statuses that the app answers in the place of its own, once each; while it is `stuck` no sweep ends.
    """

    yard: Yard
    alerts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    strangers: int = 0
    broken: list[int] = field(default_factory=list)
    stuck: bool = False

    async def send(self, request: Request) -> Response:
        if request.uri == ALERTS:
            self.alerts.append(json.loads(request.body))
            return Response(200, {}, b"")
        if request.audience != AUDIENCE:
            self.strangers += 1
            return Response(401, {"Content-Type": "text/plain"}, b"who are you?")
        if self.broken:
            return Response(self.broken.pop(0), {"Content-Type": "text/html"}, b"<html>")
        if self.stuck and request.method == "GET":
            return Response(202, {"Location": request.uri, "Retry-After": "3600"}, b"")
        answer = await self._app(request)
        return Response(answer.status, answer.headers, answer.body)

    async def _app(self, request: Request) -> Http:
        path = request.uri.removeprefix(APP)
        if (request.method, path) == ("POST", "/api/sweeps"):
            self.asked.append(json.loads(request.body))
            return await self.yard.host.http("post_sweep", "POST", request.uri, body=request.body)
        if request.method == "GET" and path.startswith("/api/sweeps/"):
            return await self.yard.host.http("get_sweep", "GET", request.uri, params={"id": path.removeprefix("/api/sweeps/")})
        raise AssertionError(f"the app has no {request.method} {path}")

    async def waited(self, _: float) -> None:
        """Let the app work while the workflow waits."""
        if not self.stuck:
            await deliver_all(self.yard.host, self.yard.queue)

    def run(self, workflow: Mapping[str, Any], trigger: Mapping[str, Any] | None = None, **values: Any) -> tuple[Run, Workflow]:
        """Run a definition once, a little later than now: each run is to find that time has passed since the last one."""
        now = datetime.now(UTC) + timedelta(seconds=2)
        deployed = Workflow(workflow, parameters(**values), self.send, waited=self.waited, now=now)
        return self.yard.run(deployed.run(trigger)), deployed


@pytest.fixture
def side(yard: Yard) -> Side:
    return Side(yard)
