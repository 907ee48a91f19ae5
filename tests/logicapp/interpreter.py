"""Runs a workflow definition as Logic Apps does: runAfter and statuses, loops, conditions, retries, and 202 polled to its end.

Time is a number that waits add to. What is sent goes to `send`, which is where the other side begins.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.logicapp.checks import check_workflow, seconds
from tests.logicapp.expressions import FUNCTIONS, Mistake, Scope, contains, content, evaluate, read, resolve, said

BEGUN = datetime(2026, 3, 2, 1, tzinfo=UTC)
POLL = 20
"""Seconds between two polls when the answer does not say."""
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_AGAIN = 4
"""Retries where no policy is set."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a workflow sends. `audience` is whom its managed identity's token would be for."""

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes
    audience: str | None


@dataclass(frozen=True, slots=True)
class Response:
    """What it is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Send = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Result:
    """What became of an action."""

    status: str
    outputs: Any = None
    error: Mapping[str, str] | None = None

    def shown(self) -> dict[str, Any]:
        """Return it as `actions('name')` gives it."""
        return {"status": self.status, "outputs": self.outputs, "error": self.error}


@dataclass(slots=True)
class Ended(Exception):
    """A Terminate."""

    status: str
    error: Mapping[str, str]


@dataclass(slots=True)
class Workflow:
    """A definition with what it is deployed with, checked when it is made."""

    definition: Mapping[str, Any]
    parameters: Mapping[str, Any]
    send: Send
    connections: Mapping[str, str] = field(default_factory=dict)
    waited: Callable[[float], Awaitable[None]] | None = None
    now: datetime = BEGUN
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_workflow(self.definition, parameters=self.parameters, connections=self.connections)

    def windows(self, until: datetime) -> list[dict[str, str]]:
        """Return the outputs of the trigger for each time that it fires up to `until`, missed windows included."""
        [trigger] = self.definition["triggers"].values()
        if trigger["type"] == "Recurrence":
            return [{}]
        recurrence = trigger["recurrence"]
        step = timedelta(**{f"{recurrence['frequency'].lower()}s": recurrence["interval"]})
        delay = timedelta(seconds=seconds(trigger.get("inputs", {}).get("delay", "PT0S")))
        begin = datetime.fromisoformat(recurrence["startTime"])
        found = []
        while begin + step + delay <= until:
            found.append({"windowStartTime": _stamp(begin), "windowEndTime": _stamp(begin + step)})
            begin += step
        return found

    async def run(self, trigger: Mapping[str, Any] | None = None) -> Run:
        """Run once."""
        run = Run(self, trigger or {})
        await run.whole()
        return run

    async def wait(self, duration: float) -> None:
        """Let time pass."""
        self.waits.append(duration)
        self.now += timedelta(seconds=duration)
        if self.waited is not None:
            await self.waited(duration)


class Run:
    """One run. `results` are of the last time that each action ran."""

    def __init__(self, workflow: Workflow, trigger: Mapping[str, Any]) -> None:
        self.workflow = workflow
        self.trigger = trigger
        self.status = "Running"
        self.error: Mapping[str, str] | None = None
        self.results: dict[str, Result] = {}
        self.variables: dict[str, Any] = {}

    async def whole(self) -> None:
        """Run all actions; set the status."""
        try:
            self.status = await self._level(self.workflow.definition["actions"], {}, self.results)
        except Ended as end:
            self.status, self.error = end.status, end.error

    async def _level(self, actions: Mapping[str, Any], items: Mapping[str, Any], results: dict[str, Result]) -> str:
        """Run the actions of one level, each when those that it runs after are over; return the status that they make."""
        left = dict(actions)
        while left:
            ready = [name for name, one in left.items() if not set(one.get("runAfter", {})) & set(left)]
            if not ready:
                raise Mistake(f"{', '.join(left)} wait for each other")
            for name in sorted(ready, key=lambda name: left[name]["type"] != "Terminate"):  # it cancels what began with it
                action = left.pop(name)
                after = action.get("runAfter", {})
                if all(results[other].status in statuses for other, statuses in after.items()):
                    results[name] = await self._action(name, action, items, results)
                else:
                    results[name] = Result("Skipped")
                    _skip(action, results)
        return _status(actions, results)

    async def _action(self, name: str, action: Mapping[str, Any], items: Mapping[str, Any], results: dict[str, Result]) -> Result:
        scope = self._scope(items, results)
        try:
            match action["type"]:
                case "Http" | "ApiConnection":
                    return await self._send(action, scope)
                case "If" | "Scope":
                    chosen = action if _holds(action.get("expression", "@true"), scope) else action.get("else", {"actions": {}})
                    return Result(await self._level(chosen["actions"], items, results))
                case "Foreach":
                    return await self._each(name, action, items, results)
                case "Until":
                    return await self._until(action, items, results)
                case kind:
                    return self._plain(kind, action["inputs"], scope)
        except Mistake as error:
            return Result("Failed", None, {"code": "InvalidTemplate", "message": str(error)})

    def _plain(self, kind: str, inputs: Any, scope: Scope) -> Result:
        match kind:
            case "Compose":
                return Result("Succeeded", resolve(inputs, scope))
            case "Select":
                whole = resolve(inputs["from"], scope)
                if not isinstance(whole, list):
                    raise Mistake(f"{whole!r} is no array")
                return Result(
                    "Succeeded", {"body": [resolve(inputs["select"], {**scope, "item": lambda one=one: one}) for one in whole]}
                )
            case "Terminate":
                raise Ended(inputs["runStatus"], resolve(inputs.get("runError", {}), scope))
            case _:
                self._set(kind, inputs, scope)
        return Result("Succeeded")

    def _set(self, kind: str, inputs: Any, scope: Scope) -> None:
        if kind == "InitializeVariable":
            self.variables |= {one["name"]: resolve(one.get("value"), scope) for one in inputs["variables"]}
            return
        value = resolve(inputs["value"], scope)
        name = inputs["name"]
        self.variables[name] = [*self.variables[name], value] if kind == "AppendToArrayVariable" else value

    async def _each(self, name: str, action: Mapping[str, Any], items: Mapping[str, Any], results: dict[str, Result]) -> Result:
        whole = evaluate(read(action["foreach"]), self._scope(items, results))
        if not isinstance(whole, list):
            raise Mistake(f"{whole!r} is no array")
        slots = asyncio.Semaphore(action.get("runtimeConfiguration", {}).get("concurrency", {}).get("repetitions", 20))

        async def one(item: Any) -> str:
            async with slots:
                own = dict(results)
                return await self._level(action["actions"], {**items, name: item}, own)

        statuses = await asyncio.gather(*(one(item) for item in whole))
        return Result("Failed" if "Failed" in statuses else "Succeeded")

    async def _until(self, action: Mapping[str, Any], items: Mapping[str, Any], results: dict[str, Result]) -> Result:
        end = self.workflow.now + timedelta(seconds=seconds(action["limit"].get("timeout", "PT1H")))
        for _ in range(action["limit"].get("count", 60)):
            status = await self._level(action["actions"], items, results)
            if evaluate(read(action["expression"]), self._scope(items, results)) is True:
                return Result(status)
            if self.workflow.now >= end:
                break
        return Result("Succeeded")  # a limit that is reached is no failure

    async def _send(self, action: Mapping[str, Any], scope: Scope) -> Result:
        inputs = action["inputs"]
        request = self._request(action["type"], inputs, scope)
        end = self.workflow.now + timedelta(seconds=seconds(action.get("limit", {}).get("timeout", "P90D")))
        response = await self._tried(request, inputs.get("retryPolicy"))
        asynchronous = action.get("operationOptions") != "DisableAsyncPattern"
        while asynchronous and response.status == 202 and "location" in _lower(response.headers):
            headers = _lower(response.headers)
            if self.workflow.now >= end:
                return Result("TimedOut", None, {"code": "ActionTimedOut", "message": "The action did not end in time."})
            await self.workflow.wait(float(headers.get("retry-after", POLL)))
            poll = Request("GET", headers["location"], {}, b"", request.audience)
            response = await self._tried(poll, inputs.get("retryPolicy"))
        outputs = {"statusCode": response.status, "headers": dict(response.headers), "body": _body(response)}
        if response.status < 300:
            return Result("Succeeded", outputs)
        return Result("Failed", outputs, {"code": "ActionFailed", "message": f"Http request failed with status {response.status}"})

    def _request(self, kind: str, inputs: Mapping[str, Any], scope: Scope) -> Request:
        headers = {key: said(value) for key, value in resolve(inputs.get("headers", {}), scope).items()}
        body = resolve(inputs["body"], scope) if "body" in inputs else None
        if kind == "ApiConnection":
            uri = self.workflow.connections[inputs["host"]["connection"]["referenceName"]] + resolve(inputs["path"], scope)
            return Request(inputs["method"].upper(), uri, headers, _bytes(body), "the connection")
        uri = resolve(inputs["uri"], scope)
        if not isinstance(uri, str) or not uri.startswith(("http://", "https://")):
            raise Mistake(f"{uri!r} is no address")
        audience = resolve(inputs["authentication"]["audience"], scope) if "authentication" in inputs else None
        return Request(inputs["method"].upper(), uri, headers, _bytes(body), audience)

    async def _tried(self, request: Request, policy: Mapping[str, Any] | None) -> Response:
        again = _AGAIN if policy is None else policy.get("count", 0) if policy["type"] != "none" else 0
        pause = float(seconds(policy["interval"])) if policy and policy["type"] != "none" else 7.5
        most = float(seconds(policy.get("maximumInterval", "P1D"))) if policy else 45.0
        while True:
            response = await self.workflow.send(request)
            if response.status not in RETRIED or not again:
                return response
            await self.workflow.wait(float(_lower(response.headers).get("retry-after", pause)))
            again -= 1
            if policy is None or policy["type"] == "exponential":
                pause = min(pause * 2, most)

    def _scope(self, items: Mapping[str, Any], results: Mapping[str, Result]) -> Scope:
        def outputs(name: str) -> Any:
            return results[name].outputs if name in results else None

        def body(name: str) -> Any:
            found = outputs(name)
            return found.get("body") if isinstance(found, Mapping) else None

        return {
            "parameters": lambda name: self.workflow.parameters[name],
            "variables": lambda name: self.variables[name],
            "outputs": outputs,
            "body": body,
            "actions": lambda name: results[name].shown() if name in results else None,
            "items": lambda name: items[name],
            "triggerOutputs": lambda: dict(self.trigger),
            "utcNow": lambda: _stamp(self.workflow.now),
            "workflow": lambda: {"run": {"name": "08585"}},
        }


def _skip(action: Mapping[str, Any], results: dict[str, Result]) -> None:
    for actions in (action.get("actions", {}), action.get("else", {}).get("actions", {})):
        for name, one in actions.items():
            results[name] = Result("Skipped")
            _skip(one, results)


def _status(actions: Mapping[str, Any], results: Mapping[str, Result]) -> str:
    """Return the status that actions make together: that of the last ones; a skipped last one stands for what it ran after."""
    followed = {other for one in actions.values() for other in one.get("runAfter", {})}
    leaves = [name for name in actions if name not in followed]
    return "Failed" if any(_failed(name, actions, results) for name in leaves) else "Succeeded"


def _failed(name: str, actions: Mapping[str, Any], results: Mapping[str, Result]) -> bool:
    if results[name].status != "Skipped":
        return results[name].status in ("Failed", "TimedOut")
    return any(_failed(other, actions, results) for other in actions[name].get("runAfter", {}))


def _holds(condition: Any, scope: Scope) -> bool:
    if isinstance(condition, str):
        return evaluate(read(condition), scope) is True
    [(operator, operands)] = condition.items()
    match operator:
        case "and":
            return all(_holds(one, scope) for one in operands)
        case "or":
            return any(_holds(one, scope) for one in operands)
        case "not":
            return not _holds(operands, scope)
    one, other = (resolve(value, scope) for value in operands)
    if operator == "contains":
        return contains(one, other)

    return bool(FUNCTIONS[operator][2](one, other))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _body(response: Response) -> Any:
    """Return a body as expressions see it: JSON as a value, text as a string, anything else as content."""
    if not response.body:
        return None
    kind = _lower(response.headers).get("content-type", "").split(";")[0]
    if kind == "application/json":
        return json.loads(response.body)
    if kind.startswith("text/"):
        return response.body.decode()
    return {"$content-type": kind or "application/octet-stream", "$content": base64.b64encode(response.body).decode()}


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str) or (isinstance(body, Mapping) and "$content" in body):
        return content(body)
    return json.dumps(body).encode()


def _stamp(when: datetime) -> str:
    """Return a time as the service writes it, with seven digits."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
