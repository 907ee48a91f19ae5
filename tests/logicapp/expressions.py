"""Expressions of the Workflow Definition Language: read into trees, checked without being run, and evaluated.

Only the functions that our workflows use are here; another one is a mistake until it is added, with its behaviour.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lxml import etree

Scope = Mapping[str, Callable[..., Any]]
"""What a workflow's own functions (parameters, body, outputs...) answer just now."""

OWN = frozenset(
    {
        "parameters", "variables", "body", "outputs", "actions", "triggerOutputs", "items", "item", "utcNow", "workflow",
    }
)  # fmt: skip


class Mistake(Exception):
    """A definition or an expression that the service would refuse, or that fails when it is evaluated."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number, true, false or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A part of a value; with `maybe` a null has null as every part."""

    of: Node
    key: Node
    maybe: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A string with expressions in it."""

    parts: tuple[Node, ...]


Node = Constant | Call | Member | Text

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<mark>\?\[|\?\.|[()\[\],.]))"
)


def read(text: str) -> Node:
    """Read the value of a property: an expression when it begins with @, a string with @{...} in it, or itself."""
    if text.startswith("@@"):
        return Constant(text[1:])
    if text.startswith("@") and not text.startswith("@{"):
        return _Reader(text[1:]).whole()
    if "@{" not in text:
        return Constant(text)
    if len(text) > 2 and text.startswith("@{") and _end(text, 2) == len(text) - 1:
        return Text((_Reader(text[2:-1]).whole(),))
    return Text(tuple(_parts(text)))


def _parts(text: str) -> Iterator[Node]:
    at = 0
    while (begin := text.find("@{", at)) >= 0:
        if begin > at:
            yield Constant(text[at:begin])
        end = _end(text, begin + 2)
        yield _Reader(text[begin + 2 : end]).whole()
        at = end + 1
    if at < len(text):
        yield Constant(text[at:])


def _end(text: str, at: int) -> int:
    """Return where the brace that is open at `at` closes; braces in strings do not count."""
    quoted = False
    for place in range(at, len(text)):
        if text[place] == "'":
            quoted = not quoted
        elif text[place] == "}" and not quoted:
            return place
    raise Mistake(f"an expression is not closed: {text}")


class _Reader:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise Mistake(f"unreadable at {text[at:]!r}: {text}")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found[kind]))
            at = found.end()
        self._at = 0

    def whole(self) -> Node:
        node = self._node()
        if self._at < len(self._tokens):
            raise Mistake(f"more after the end: {self._text}")
        return node

    def _take(self, *marks: str) -> str:
        kind, value = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        if marks and value not in marks:
            raise Mistake(f"expected {' or '.join(marks)}: {self._text}")
        if not kind:
            raise Mistake(f"it ends too early: {self._text}")
        self._at += 1
        return value

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) and self._tokens[self._at][0] == "mark" else ""

    def _node(self) -> Node:
        if self._at >= len(self._tokens):
            raise Mistake(f"it ends too early: {self._text}")
        kind, value = self._tokens[self._at]
        self._at += 1
        match kind:
            case "string":
                return self._members(Constant(value[1:-1].replace("''", "'")))
            case "number":
                return Constant(float(value) if "." in value else int(value))
            case "name" if value in ("true", "false", "null"):
                return Constant({"true": True, "false": False, "null": None}[value])
            case "name":
                return self._members(self._call(value))
            case _:
                raise Mistake(f"unexpected {value}: {self._text}")

    def _call(self, name: str) -> Node:
        self._take("(")
        arguments: list[Node] = []
        if self._peek() != ")":
            arguments.append(self._node())
            while self._peek() == ",":
                self._take(",")
                arguments.append(self._node())
        self._take(")")
        return Call(name, tuple(arguments))

    def _members(self, node: Node) -> Node:
        while self._peek() in ("[", "?[", ".", "?."):
            mark = self._take()
            if mark in ("[", "?["):
                key = self._node()
                self._take("]")
            else:
                key = Constant(self._take())
            node = Member(node, key, mark.startswith("?"))
        return node


def calls(node: Node) -> Iterator[Call]:
    """Return every call in an expression."""
    match node:
        case Call():
            yield node
            for argument in node.arguments:
                yield from calls(argument)
        case Member():
            yield from calls(node.of)
            yield from calls(node.key)
        case Text():
            for part in node.parts:
                yield from calls(part)
        case Constant():
            pass


def check(node: Node) -> None:
    """Raise Mistake for a function that is not known, or that is given too few or too many arguments."""
    for call in calls(node):
        if call.name in OWN:
            continue
        if call.name not in FUNCTIONS:
            raise Mistake(f"there is no function {call.name}")
        least, most, _ = FUNCTIONS[call.name]
        if not least <= len(call.arguments) <= most:
            raise Mistake(f"{call.name} takes {least} to {most} arguments")


def evaluate(node: Node, scope: Scope) -> Any:
    """Return the value of an expression. Raises Mistake where the service would fail."""
    match node:
        case Constant():
            return node.value
        case Text():
            return "".join(said(evaluate(part, scope)) for part in node.parts)
        case Member():
            return _part(evaluate(node.of, scope), evaluate(node.key, scope), maybe=node.maybe)
        case Call():
            arguments = [evaluate(argument, scope) for argument in node.arguments]
            if node.name in scope:
                return scope[node.name](*arguments)
            if node.name not in FUNCTIONS:
                raise Mistake(f"{node.name} cannot be used here")
            return FUNCTIONS[node.name][2](*arguments)


def resolve(value: Any, scope: Scope) -> Any:
    """Return a part of a definition with all its expressions evaluated, names of properties included."""
    if isinstance(value, str):
        return evaluate(read(value), scope)
    if isinstance(value, Mapping):
        return {resolve(key, scope): resolve(one, scope) for key, one in value.items()}
    if isinstance(value, list):
        return [resolve(one, scope) for one in value]
    return value


def said(value: Any) -> str:
    """Return a value as it reads in a string."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _part(value: Any, key: Any, *, maybe: bool) -> Any:
    if value is None:
        if maybe:
            return None
        raise Mistake(f"null has no part {key!r}")
    if isinstance(value, Mapping) and isinstance(key, str):
        if key not in value and not maybe:
            raise Mistake(f"there is no property {key!r}, only {', '.join(value)}")
        return value.get(key)
    if isinstance(value, list) and type(key) is int:
        if 0 <= key < len(value):
            return value[key]
        if maybe:
            return None
        raise Mistake(f"there is no element {key}")
    raise Mistake(f"{key!r} cannot be selected of a {type(value).__name__}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Mistake(f"a string is needed, not {value!r}")
    return value


def content(value: Any) -> bytes:
    """Return the bytes of content that is no JSON: {"$content-type": ..., "$content": base64}."""
    if isinstance(value, Mapping) and "$content" in value:
        return base64.b64decode(value["$content"])
    return _text(value).encode()


def _xml(value: Any) -> etree._Element:
    try:
        return etree.fromstring(content(value))
    except etree.XMLSyntaxError as error:
        raise Mistake(f"no XML: {error}") from error


def _xpath(tree: Any, path: str) -> Any:
    if not isinstance(tree, etree._Element):
        raise Mistake("xpath takes what xml returns")
    found = tree.getroottree().xpath(path)
    if isinstance(found, str | float | bool):
        return str(found) if isinstance(found, str) else found
    kind = "application/xml;charset=utf-8"
    return [{"$content-type": kind, "$content": base64.b64encode(etree.tostring(one, with_tail=False)).decode()} for one in found]


def _equals(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _less_or_equals(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or type(one) is not type(other):
        raise Mistake(f"{one!r} and {other!r} cannot be compared")
    return bool(one <= other)


def contains(collection: Any, value: Any) -> bool:
    """Say whether a list, an object or a string contains a value."""
    if not isinstance(collection, list | str | Mapping):
        raise Mistake(f"contains cannot look into {collection!r}")
    return value in collection


def _length(value: Any) -> int:
    if not isinstance(value, list | str):
        raise Mistake(f"{value!r} has no length")
    return len(value)


def _take(collection: Sequence[Any], number: int) -> Any:
    return collection[:number]


_MANY = 1000
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "base64": (1, 1, lambda value: base64.b64encode(_text(value).encode()).decode()),
    "coalesce": (1, _MANY, lambda *values: next((value for value in values if value is not None), None)),
    "concat": (1, _MANY, lambda *values: "".join(map(said, values))),
    "contains": (2, 2, contains),
    "createArray": (1, _MANY, lambda *values: list(values)),
    "encodeUriComponent": (1, 1, lambda value: quote(_text(value), safe="-_.!~*'()")),
    "encodeURIComponent": (1, 1, lambda value: quote(_text(value), safe="-_.!~*'()")),
    "equals": (2, 2, _equals),
    "length": (1, 1, _length),
    "lessOrEquals": (2, 2, _less_or_equals),
    "replace": (3, 3, lambda value, old, new: _text(value).replace(old, new)),
    "take": (2, 2, _take),
    "xml": (1, 1, _xml),
    "xpath": (2, 2, _xpath),
}
