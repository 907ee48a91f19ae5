"""The language of the search box: `dog -cat tag:beach after:2026-01-01 size:>2mb "exact words"`.

A grammar (`language.lark`) cuts a text into clauses; `search.filters` says what each filter means; docs/search.md explains both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from search.filters import Draft, meant
from search.query import Query
from search.values import Unclear, Value

__all__ = ["Clause", "Parsed", "Unclear", "parse", "spelled", "unspelled"]

LONGEST = 2000
"""Characters of one query."""

_SAFE = re.compile(r'[^\s",<>\\.-][^\s",\\.]*(?:\.[^\s",\\.]+)*')


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause as it was written, from `start` to `end` of the text.

    `field` is the filter's name, empty for words and phrases; `values` are what it asks for, without quotes.
    """

    text: str
    start: int
    end: int
    field: str
    sign: str
    values: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text asks for, and the clauses that say so."""

    text: str
    query: Query = field(default_factory=Query)
    clauses: tuple[Clause, ...] = ()

    def without(self, clause: Clause) -> str:
        """Return the text without one of its clauses."""
        return f"{self.text[: clause.start].rstrip()} {self.text[clause.end :].lstrip()}".strip()

    def beside(self, clause: str) -> str:
        """Return the text with a clause more, at its end; the same text if it has that clause."""
        return self.text if any(one.text == clause for one in self.clauses) else f"{self.text} {clause}".strip()


def parse(text: str) -> Parsed:
    """Return what a text asks for. Raises Unclear, which says where, for one that does not make sense."""
    if len(text) > LONGEST:
        raise Unclear("the query is too long", LONGEST, len(text), hint=f"It may have {LONGEST:,} characters.")
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as error:
        raise _unexpected(text, error) from error
    draft = Draft()
    clauses = []
    for node in tree.children:
        assert isinstance(node, Tree)
        clause, values = _clause(text, node)
        clauses.append(clause)
        meant(draft, clause.field, values, sign=clause.sign, negated=clause.negated, start=clause.start, end=clause.end)
    return Parsed(text, draft.query(), tuple(clauses))


def spelled(name: str, values: Iterable[str]) -> str:
    """Return the clause of a filter by its values, in quotes where it needs them."""
    return f"{name}:" + ",".join(value if _SAFE.fullmatch(value) else _quoted(value) for value in values)


def unspelled(text: str) -> str:
    """Return what stands in quotes."""
    return re.sub(r"\\([\s\S])", r"\1", text[1:-1])


def _quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _clause(text: str, node: Tree[Token]) -> tuple[Clause, list[Value]]:
    start, end = node.meta.start_pos, node.meta.end_pos
    negated = isinstance(node.children[0], Token)
    said = node.children[-1]
    assert isinstance(said, Tree)
    tokens = list(_tokens(said))
    name = next((str(token)[:-1].lower() for token in tokens if token.type == "FIELD"), "")
    sign = next((str(token) for token in tokens if token.type == "SIGN"), "")
    values = [_value(token) for token in tokens if token.type in ("QUOTED", "VALUE", "WORD")]
    return Clause(text[start:end], start, end, name, sign, tuple(value.text for value in values), negated), values


def _tokens(node: Tree[Token]) -> Iterator[Token]:
    return (token for token in node.scan_values(lambda value: isinstance(value, Token)))


def _value(token: Token) -> Value:
    assert token.start_pos is not None
    assert token.end_pos is not None
    quoted = token.type == "QUOTED"
    return Value(unspelled(token) if quoted else str(token), quoted, token.start_pos, token.end_pos)


def _unexpected(text: str, error: UnexpectedInput) -> Unclear:
    ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    at = len(text) if ended or error.pos_in_stream is None else error.pos_in_stream
    if text[at : at + 1] == '"':
        return Unclear("the quote that begins here is never closed", at, len(text), hint='Close it, as in "hot dog".')
    hint = 'To search for a word that ends like this, put it in quotes, as in "note:".'
    return Unclear("a value is missing here", at, min(at + 1, len(text)), hint=hint)


@cache
def _grammar() -> Lark:
    text = files("search").joinpath("language.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", lexer="contextual", propagate_positions=True)
