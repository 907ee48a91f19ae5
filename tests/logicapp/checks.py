"""What the service refuses when a workflow is saved: unknown properties and types, references that lead nowhere, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.logicapp.expressions import Call, Constant, Mistake, calls, check, read

STATUSES = frozenset({"Succeeded", "Failed", "Skipped", "TimedOut"})
_COMMON = frozenset({"type", "description", "runAfter"})
ACTIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "Http": (frozenset({"inputs"}), frozenset({"limit", "operationOptions", "runtimeConfiguration"})),
    "ApiConnection": (frozenset({"inputs"}), frozenset({"limit", "operationOptions", "runtimeConfiguration"})),
    "If": (frozenset({"expression", "actions"}), frozenset({"else"})),
    "Foreach": (frozenset({"foreach", "actions"}), frozenset({"runtimeConfiguration", "operationOptions"})),
    "Until": (frozenset({"expression", "limit", "actions"}), frozenset()),
    "Scope": (frozenset({"actions"}), frozenset()),
    "Compose": (frozenset({"inputs"}), frozenset()),
    "Select": (frozenset({"inputs"}), frozenset()),
    "InitializeVariable": (frozenset({"inputs"}), frozenset()),
    "SetVariable": (frozenset({"inputs"}), frozenset()),
    "AppendToArrayVariable": (frozenset({"inputs"}), frozenset()),
    "Terminate": (frozenset({"inputs"}), frozenset()),
}
"""Properties of each type of action: those it must have, and those it may have beside the common ones."""
INPUTS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "Http": (frozenset({"method", "uri"}), frozenset({"headers", "body", "queries", "cookie", "authentication", "retryPolicy"})),
    "ApiConnection": (frozenset({"host", "method", "path"}), frozenset({"headers", "body", "queries", "retryPolicy"})),
    "Select": (frozenset({"from", "select"}), frozenset()),
    "InitializeVariable": (frozenset({"variables"}), frozenset()),
    "SetVariable": (frozenset({"name", "value"}), frozenset()),
    "AppendToArrayVariable": (frozenset({"name", "value"}), frozenset()),
    "Terminate": (frozenset({"runStatus"}), frozenset({"runError"})),
}
CONDITIONS = frozenset({"and", "or", "not", "equals", "contains", "less", "lessOrEquals", "greater", "greaterOrEquals"})
_DURATION = re.compile(r"P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_REFERENCES = frozenset({"body", "outputs", "actions"})


def seconds(duration: str) -> int:
    """Return the seconds of an ISO 8601 duration. Raises Mistake for what is none."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise Mistake(f"{duration!r} is no duration")
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def check_workflow(definition: Mapping[str, Any], *, parameters: Mapping[str, Any], connections: Mapping[str, Any]) -> None:
    """Raise Mistake for the first thing that the service would refuse."""
    _properties("the definition", definition, {"$schema", "contentVersion", "triggers", "actions"}, {"outputs", "parameters"})
    if len(definition["triggers"]) != 1:
        raise Mistake("there is not one trigger")
    for name, trigger in definition["triggers"].items():
        _check_trigger(name, trigger)
    _Checker(parameters, connections, _variables(definition["actions"])).level(definition["actions"], seen=frozenset(), loops=())


def _variables(actions: Mapping[str, Any]) -> frozenset[str]:
    """Return the variables, which the top level alone may initialize."""
    found = [
        one["name"]
        for action in actions.values()
        if action["type"] == "InitializeVariable"
        for one in action["inputs"]["variables"]
    ]
    if len(set(found)) < len(found):
        raise Mistake("a variable is initialized twice")
    return frozenset(found)


def _check_trigger(name: str, trigger: Mapping[str, Any]) -> None:
    sliding = trigger.get("type") == "SlidingWindow"
    if trigger.get("type") not in ("Recurrence", "SlidingWindow"):
        raise Mistake(f"{name}: there is no trigger {trigger.get('type')}")
    _properties(name, trigger, {"type", "recurrence"}, {"runtimeConfiguration", *(("inputs",) if sliding else ())})
    recurrence = trigger["recurrence"]
    extra = {"startTime"} if sliding else {"startTime", "endTime", "timeZone", "schedule", "count"}
    _properties(f"{name}.recurrence", recurrence, {"frequency", "interval"}, extra)
    allowed = {"Second", "Minute", "Hour"} if sliding else {"Second", "Minute", "Hour", "Day", "Week", "Month"}
    if recurrence["frequency"] not in allowed:
        raise Mistake(f"{name}: {recurrence['frequency']!r} is no frequency of a {trigger['type']}")
    if type(recurrence["interval"]) is not int or recurrence["interval"] < 1:
        raise Mistake(f"{name}: {recurrence['interval']!r} is no interval")
    if sliding:
        _properties(f"{name}.inputs", trigger.get("inputs", {}), set(), {"delay"})
        seconds(trigger.get("inputs", {}).get("delay", "PT0S"))
    _properties(f"{name}.recurrence.schedule", recurrence.get("schedule", {}), set(), {"hours", "minutes", "weekDays", "monthDays"})
    _check_concurrency(name, trigger, "runs")


def _check_concurrency(name: str, one: Mapping[str, Any], kind: str) -> None:
    configuration = one.get("runtimeConfiguration", {})
    _properties(f"{name}.runtimeConfiguration", configuration, set(), {"concurrency"})
    concurrency = configuration.get("concurrency", {kind: 1})
    _properties(f"{name}.concurrency", concurrency, {kind}, {"maximumWaitingRuns"})
    if type(concurrency[kind]) is not int or not 1 <= concurrency[kind] <= 50:
        raise Mistake(f"{name}: {concurrency[kind]!r} at once are not allowed")


def _properties(where: str, found: Any, must: set[str] | frozenset[str], may: set[str] | frozenset[str]) -> None:
    if not isinstance(found, Mapping):
        raise Mistake(f"{where} is no object")
    if missing := must - set(found):
        raise Mistake(f"{where} lacks {', '.join(sorted(missing))}")
    if unknown := set(found) - must - may:
        raise Mistake(f"{where} has no property {', '.join(sorted(unknown))}")


class _Checker:
    """Goes through the levels of actions; `seen` are the actions that are surely over when a level begins."""

    def __init__(self, parameters: Mapping[str, Any], connections: Mapping[str, Any], variables: frozenset[str]) -> None:
        self._parameters = parameters
        self._connections = connections
        self._variables = variables
        self._names: set[str] = set()

    def level(self, actions: Mapping[str, Any], *, seen: frozenset[str], loops: tuple[tuple[str, str], ...]) -> None:
        for name, action in actions.items():
            if name in self._names:
                raise Mistake(f"two actions are called {name}")
            self._names.add(name)
            for other, statuses in action.get("runAfter", {}).items():
                if other not in actions:
                    raise Mistake(f"{name} runs after {other}, which is not beside it")
                if not statuses or not set(statuses) <= STATUSES:
                    raise Mistake(f"{name}: {statuses} are no statuses")
        before = {name: _before(name, actions, ()) for name in actions}
        for name, action in actions.items():
            self._action(name, action, seen=seen | before[name], loops=loops)

    def _action(self, name: str, action: Mapping[str, Any], *, seen: frozenset[str], loops: tuple[tuple[str, str], ...]) -> None:
        kind = action.get("type")
        if kind not in ACTIONS:
            raise Mistake(f"{name}: there is no action {kind}")
        must, may = ACTIONS[kind]
        _properties(name, action, must | {"type"}, may | _COMMON)
        if kind in INPUTS:
            _properties(f"{name}.inputs", action["inputs"], *INPUTS[kind])
        if loops and kind in ("Terminate", "InitializeVariable"):
            raise Mistake(f"{name}: {kind} may not be in a loop")
        self._limits(name, kind, action)
        inner = (*loops, (name, kind)) if kind in ("Foreach", "Until") else loops
        own = {key: value for key, value in action.items() if key not in ("actions", "else", "runAfter", "description", "type")}
        late = {"expression"} if kind == "Until" else set()
        for key, value in own.items():
            inside = frozenset(action["actions"]) if key in late else frozenset()
            self._expressions(name, value, seen=seen | inside, loops=loops, item=kind == "Select")
        if "else" in action:
            _properties(f"{name}.else", action["else"], {"actions"}, set())
            self.level(action["else"]["actions"], seen=seen, loops=inner)
        if "actions" in action:
            self.level(action["actions"], seen=seen, loops=inner)

    def _limits(self, name: str, kind: str, action: Mapping[str, Any]) -> None:
        if "limit" in action:
            _properties(f"{name}.limit", action["limit"], set(), {"timeout", "count"} if kind == "Until" else {"timeout"})
            seconds(action["limit"].get("timeout", "PT1H"))
            if not 1 <= action["limit"].get("count", 60) <= 5000:
                raise Mistake(f"{name}: so many iterations are not allowed")
        if kind == "Foreach":
            _check_concurrency(name, action, "repetitions")
        if kind == "If":
            self._condition(name, action["expression"])
        if kind in ("Http", "ApiConnection"):
            self._request(name, kind, action["inputs"])
        if kind in ("SetVariable", "AppendToArrayVariable") and action["inputs"]["name"] not in self._variables:
            raise Mistake(f"{name}: there is no variable {action['inputs']['name']}")

    def _request(self, name: str, kind: str, inputs: Mapping[str, Any]) -> None:
        if kind == "ApiConnection":
            reference = inputs["host"]["connection"]["referenceName"]
            if reference not in self._connections:
                raise Mistake(f"{name}: there is no connection {reference}")
        elif "authentication" in inputs:
            _properties(f"{name}.authentication", inputs["authentication"], {"type"}, {"audience", "identity"})
            if inputs["authentication"]["type"] != "ManagedServiceIdentity" or "audience" not in inputs["authentication"]:
                raise Mistake(f"{name}: managed identity with an audience is what is wanted")
        if inputs["method"].upper() not in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
            raise Mistake(f"{name}: there is no method {inputs['method']}")
        policy = inputs.get("retryPolicy", {"type": "none"})
        _properties(f"{name}.retryPolicy", policy, {"type"}, {"count", "interval", "minimumInterval", "maximumInterval"})
        if policy["type"] not in ("none", "fixed", "exponential"):
            raise Mistake(f"{name}: there is no retry policy {policy['type']}")
        if policy["type"] != "none" and not (1 <= policy["count"] <= 90 and 5 <= seconds(policy["interval"]) <= 86_400):
            raise Mistake(f"{name}: its retry policy is out of bounds")

    def _condition(self, name: str, condition: Any) -> None:
        if isinstance(condition, str):
            return
        _properties(f"{name}.expression", condition, set(), CONDITIONS)
        if len(condition) != 1:
            raise Mistake(f"{name}: a condition has one operator")
        [(operator, operands)] = condition.items()
        if operator == "not":
            self._condition(name, operands)
        elif operator in ("and", "or"):
            for operand in operands:
                self._condition(name, operand)
        elif not isinstance(operands, list) or len(operands) != 2:
            raise Mistake(f"{name}: {operator} compares two values")

    def _expressions(self, name: str, value: Any, *, seen: frozenset[str], loops: tuple[tuple[str, str], ...], item: bool) -> None:
        for text in _strings(value):
            tree = read(text)
            check(tree)
            for call in calls(tree):
                self._reference(name, call, seen=seen, loops=loops, item=item)

    def _reference(self, name: str, call: Call, *, seen: frozenset[str], loops: tuple[tuple[str, str], ...], item: bool) -> None:
        first = call.arguments[0].value if call.arguments and isinstance(call.arguments[0], Constant) else None
        if call.name in _REFERENCES and first not in seen:
            raise Mistake(f"{name} refers to {first}, which is not surely over before it")
        if call.name == "parameters" and first not in self._parameters:
            raise Mistake(f"{name}: there is no parameter {first}")
        if call.name == "variables" and first not in self._variables:
            raise Mistake(f"{name}: there is no variable {first}")
        if call.name == "items" and (first, "Foreach") not in loops:
            raise Mistake(f"{name} is in no loop {first}")
        if call.name == "item" and not item:
            raise Mistake(f"{name} has no item")


def _before(name: str, actions: Mapping[str, Any], path: tuple[str, ...]) -> frozenset[str]:
    if name in path:
        raise Mistake(f"{name} runs after itself")
    direct = actions[name].get("runAfter", {})
    found = set(direct)
    for other in direct:
        found |= _before(other, actions, (*path, name)) | _inside(actions[other])
    return frozenset(found)


def _inside(action: Mapping[str, Any]) -> set[str]:
    """Return the names of all actions in an action that is over."""
    found: set[str] = set()
    for actions in (action.get("actions", {}), action.get("else", {}).get("actions", {})):
        for name, inner in actions.items():
            found |= {name} | _inside(inner)
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield key
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
