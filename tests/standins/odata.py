"""The filter language of Azure AI Search: a parser of its own, what the service refuses, and the plain evaluation.

Written from the service's grammar and independent of the program under test. Raises BadFilter for what the service would
answer with 400.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.standins.odata_tokens import BadFilter, Field, Literal, Token, literal, tokens

__all__ = ["BadFilter", "Field", "distance", "parse", "path"]

Document = Mapping[str, Any]
Condition = Callable[[Mapping[str, Any]], bool]
"""What holds or not of the names in scope: `""` is the document, others are range variables."""

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_FLIPPED = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_DEEPEST = 100
_EARTH = 6371.0088


@dataclass(frozen=True, slots=True)
class Operand:
    """A value that depends on the document: its type and how it is got."""

    type: str
    get: Callable[[Mapping[str, Any]], Any]


def parse(text: str, fields: Mapping[str, Field]) -> Callable[[Document], bool]:
    """Return the filter as a function of a document. Raises BadFilter."""
    parser = _Parser(tokens(text), fields)
    condition = parser.whole()
    return lambda document: condition({"": document})


def path(text: str) -> Sequence[str]:
    """Return the names of a field path."""
    return text.split("/")


def distance(one: Mapping[str, Any], other: tuple[float, float]) -> float:
    """Return the kilometres between a GeoJSON point and (longitude, latitude)."""
    (east, north), (far_east, far_north) = map(math.radians, one["coordinates"]), map(math.radians, other)
    half = math.sin((far_north - north) / 2) ** 2
    half += math.cos(north) * math.cos(far_north) * math.sin((far_east - east) / 2) ** 2
    return 2 * _EARTH * math.asin(math.sqrt(half))


class _Parser:
    """Recursive descent; every method takes what it understands from the tokens and returns a condition."""

    def __init__(self, tokens: list[Token], fields: Mapping[str, Field]) -> None:
        self._tokens = tokens
        self._at = 0
        self._fields = fields
        self._scopes: dict[str, Field] = {}
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._either()
        if self._at < len(self._tokens):
            raise BadFilter(f"unexpected {self._tokens[self._at].text}")
        return condition

    def _either(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadFilter("the filter is nested too deeply")
        some = [self._both()]
        while self._took("word", "or"):
            some.append(self._both())
        self._depth -= 1
        return lambda scope: any(one(scope) for one in some)

    def _both(self) -> Condition:
        some = [self._unary()]
        while self._took("word", "and"):
            some.append(self._unary())
        return lambda scope: all(one(scope) for one in some)

    def _unary(self) -> Condition:
        if self._took("word", "not"):
            inner = self._unary()
            return lambda scope: not inner(scope)
        if self._took("sign", "("):
            inner = self._either()
            self._expect(")")
            return inner
        return self._primary()

    def _primary(self) -> Condition:
        token = self._next()
        if token.kind != "word" or token.text in ("true", "false", "null"):
            return self._constant_first(token)
        if token.text == "search.in":
            return self._search_in()
        if token.text.endswith(("/any", "/all")):
            return self._lambda(token.text)
        operand = self._distance() if token.text == "geo.distance" else self._operand(token.text)
        following = self._peek()
        if following is not None and following.text in _OPERATORS:
            return self._compare(operand, self._next().text, self._literal())
        if operand.type != "Edm.Boolean":
            raise BadFilter(f"{token.text} is not a condition")
        return lambda scope: operand.get(scope) is True

    def _constant_first(self, token: Token) -> Condition:
        constant = literal(token)
        following = self._peek()
        if following is not None and following.text in _OPERATORS:
            sign, word = self._next().text, self._next().text
            operand = self._distance() if word == "geo.distance" else self._operand(word)
            return self._compare(operand, _FLIPPED[sign], constant)
        if isinstance(constant.value, bool):
            return lambda _: constant.value is True
        raise BadFilter(f"{token.text} is not a condition")

    def _compare(self, operand: Operand, sign: str, literal: Literal) -> Condition:
        if literal.value is None and sign not in ("eq", "ne"):
            raise BadFilter("null can only be compared with eq and ne")
        if literal.value is not None and operand.type not in literal.types:
            raise BadFilter(f"a {operand.type} cannot be compared with {literal.value!r}")
        if operand.type == "Edm.Boolean" and sign not in ("eq", "ne"):
            raise BadFilter("booleans are compared with eq and ne")
        if operand.type == "distance" and sign in ("eq", "ne"):
            raise BadFilter("a distance is compared with lt, le, gt and ge")
        compare = _OPERATORS[sign]

        def holds(scope: Mapping[str, Any]) -> bool:
            value = operand.get(scope)
            if value is None or literal.value is None:
                return sign in ("eq", "ne") and compare(value, literal.value)
            return compare(_comparable(value, operand.type), literal.value)

        return holds

    def _operand(self, text: str) -> Operand:
        found, get = self._resolve(text)
        if found.collection or found.type in ("Edm.ComplexType", "Edm.GeographyPoint"):
            raise BadFilter(f"{text} of type {found.type} cannot be compared")
        return Operand(found.type, get)

    def _resolve(self, text: str) -> tuple[Field, Callable[[Mapping[str, Any]], Any]]:
        first, *rest = path(text)
        variable = first in self._scopes
        found = self._scopes[first] if variable else _field(self._fields, first)
        for name in rest:
            if found.collection:
                raise BadFilter(f"{text} goes through a collection without any or all")
            found = _field(found.fields, name)
        if found.item != "Edm.ComplexType" and not found.filterable:
            raise BadFilter(f"'{text}' is not a filterable field")
        names = (first, *rest) if variable else ("", first, *rest)
        return found, lambda scope: _dig(scope, names)

    def _distance(self) -> Operand:
        self._expect("(")
        one, other = self._place(), None
        self._expect(",")
        other = self._place()
        self._expect(")")
        if callable(one) == callable(other):
            raise BadFilter("geo.distance takes a field and a constant")
        get, constant = (one, other) if callable(one) else (other, one)

        def far(scope: Mapping[str, Any]) -> float | None:
            point = get(scope)
            return None if point is None else distance(point, constant)

        return Operand("distance", far)

    def _place(self) -> Any:
        token = self._next()
        if token.kind == "geography":
            east, north = map(float, token.text.partition("(")[2].partition(")")[0].split())
            return east, north
        found, get = self._resolve(token.text)
        if found.type != "Edm.GeographyPoint":
            raise BadFilter(f"{token.text} is no place")
        return get

    def _search_in(self) -> Condition:
        self._expect("(")
        operand = self._operand(self._next().text)
        if operand.type != "Edm.String":
            raise BadFilter("search.in takes a string")
        self._expect(",")
        listed, delimiters = self._string(), " ,"
        if self._took("sign", ","):
            delimiters = self._string()
        self._expect(")")
        values = set(re.split(f"[{re.escape(delimiters)}]", listed)) - {""} if delimiters else {listed}
        return lambda scope: operand.get(scope) in values

    def _lambda(self, text: str) -> Condition:
        name, _, kind = text.rpartition("/")
        found, get = self._resolve(name)
        if not found.collection:
            raise BadFilter(f"{name} is no collection")
        self._expect("(")
        if self._took("sign", ")"):
            if kind == "all":
                raise BadFilter("all takes a condition")
            return lambda scope: bool(get(scope))
        variable, start = self._next().text, self._at
        self._expect(":")
        if variable in self._scopes:
            raise BadFilter(f"{variable} is taken")
        self._scopes[variable] = Field(found.item, found.filterable, found.fields)
        inner = self._either()
        del self._scopes[variable]
        if found.item == "Edm.String":
            _check_strings(kind, self._tokens[start + 1 : self._at])
        self._expect(")")
        quantifier = any if kind == "any" else all
        return lambda scope: quantifier(inner({**scope, variable: one}) for one in get(scope) or ())

    def _literal(self) -> Literal:
        return literal(self._next())

    def _string(self) -> str:
        value = self._literal().value
        if not isinstance(value, str):
            raise BadFilter("a string is expected")
        return value

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> Token:
        token = self._peek()
        if token is None:
            raise BadFilter("the filter ends too early")
        self._at += 1
        return token

    def _took(self, kind: str, text: str) -> bool:
        if self._peek() != Token(kind, text):
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._took("sign", sign):
            raise BadFilter(f"{sign} is expected")


def _check_strings(kind: str, tokens: Sequence[Token]) -> None:
    """Refuse what the service does not take in a lambda over strings: any goes with eq and or, all with ne and and."""
    words = {token.text for token in tokens if token.kind == "word"}
    allowed = {"eq", "or", "search.in"} if kind == "any" else {"ne", "and", "not", "search.in"}
    wrong = (words & {*_OPERATORS, "and", "or", "not", "search.in"}) - allowed
    if wrong:
        raise BadFilter(f"{min(wrong)} is not supported inside {kind} over a collection of strings")


def _field(fields: Mapping[str, Field], name: str) -> Field:
    if name not in fields:
        raise BadFilter(f"Could not find a property named '{name}' on type 'search.document'")
    return fields[name]


def _dig(scope: Mapping[str, Any], names: Sequence[str]) -> Any:
    value: Any = scope
    for name in names:
        value = None if value is None else value.get(name)
    return value


def _comparable(value: Any, type_: str) -> Any:
    return datetime.fromisoformat(value) if type_ == "Edm.DateTimeOffset" else value
