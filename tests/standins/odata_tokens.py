"""The words of the filter language: fields, tokens and constants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<geography>geography'POINT\(\s*-?\d+(?:\.\d+)?\s+-?\d+(?:\.\d+)?\s*\)')
    | (?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<string>'(?:[^']|'')*')
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:[./][A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<sign>[(),:])
    )""",
    re.VERBOSE,
)
_NUMBERS = ("Edm.Int32", "Edm.Int64", "Edm.Double", "Edm.Single")


class BadFilter(ValueError):
    """The service would not take this filter."""


@dataclass(frozen=True, slots=True)
class Field:
    """What a definition says of a field, as far as filters care."""

    type: str
    filterable: bool = True
    fields: Mapping[str, Field] = field(default_factory=dict)

    @property
    def item(self) -> str:
        """The type of one element of a collection, of the field itself if it is none."""
        return self.type.removeprefix("Collection(").removesuffix(")")

    @property
    def collection(self) -> bool:
        """Say whether there are several values."""
        return self.type.startswith("Collection(")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a filter: its kind and its text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant and the types of the fields that it can be compared with."""

    value: Any
    types: Sequence[str]


def tokens(text: str) -> list[Token]:
    """Split a filter. Raises BadFilter where no token can begin."""
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise BadFilter(f"syntax error at position {at}")
        found.append(Token(match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def literal(token: Token) -> Literal:
    """Return the constant that a token is. Raises BadFilter."""
    match token.kind:
        case "string":
            return Literal(token.text[1:-1].replace("''", "'"), ("Edm.String",))
        case "date":
            return Literal(datetime.fromisoformat(token.text), ("Edm.DateTimeOffset",))
        case "number" if token.text.lstrip("-").isdigit():
            if not -(2**63) <= int(token.text) < 2**63:
                raise BadFilter(f"{token.text} is out of range")
            return Literal(int(token.text), (*_NUMBERS, "distance"))
        case "number":
            return Literal(float(token.text), ("Edm.Double", "Edm.Single", "distance"))
        case "word" if token.text in ("true", "false"):
            return Literal(token.text == "true", ("Edm.Boolean",))
        case "word" if token.text == "null":
            return Literal(None, ())
    raise BadFilter(f"{token.text} is no constant")
