"""Full text search as Azure AI Search does it: analyzers, the full Lucene query syntax (what of it is asked for), BM25."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

from tests.standins.search_schema import BadRequest, Column

Analyzer = Callable[[str], Sequence[str]]
Score = float | None
"""The score of a document, None where it does not match."""

_SNOWBALL = TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.stemmer("english")).build()
_TOKEN = re.compile(
    r'\s*(?:(?P<sign>[+\-()])|"(?P<phrase>[^"]*)"|(?P<term>(?:\\.|[^\s+\-!(){}\[\]^"~*?:\\/|&])+)|(?P<mark>[\^:*]))'
)
_CLAUSES = 1024
_GAP = 100
"""Positions between two values of a collection, so that no phrase reaches over."""


class Terms:
    """The analyzed fields of one document, analyzed when they are first asked for."""

    def __init__(self, document: Mapping[str, Any], fields: Mapping[str, Column], analyzers: Mapping[str, Analyzer]) -> None:
        self._document = document
        self._fields = fields
        self._analyzers = analyzers
        self._found: dict[str, dict[str, list[int]]] = {}

    def positions(self, field: str) -> Mapping[str, Sequence[int]]:
        """Return where each term of a field occurs."""
        if field not in self._found:
            self._found[field] = self._analyze(field)
        return self._found[field]

    def length(self, field: str) -> int:
        """Return the number of tokens of a field."""
        return sum(map(len, self.positions(field).values()))

    def _analyze(self, field: str) -> dict[str, list[int]]:
        value = self._document.get(field)
        texts = value if isinstance(value, list) else [value] if value is not None else []
        found: dict[str, list[int]] = {}
        at = 0
        for text in texts:
            for token in self._analyzers[self._fields[field].analyzer](text):
                found.setdefault(token, []).append(at)
                at += 1
            at += _GAP
        return found


@dataclass(frozen=True, slots=True)
class Corpus:
    """All documents of one state, with what ranking needs to know of them as a whole."""

    documents: Sequence[Terms]
    k1: float
    b: float

    def weight(self, field: str, terms: Sequence[str]) -> float:
        """Return how rare these terms are together."""
        total = len(self.documents)
        frequencies = [sum(term in one.positions(field) for one in self.documents) for term in terms]
        return sum(math.log(1 + (total - frequency + 0.5) / (frequency + 0.5)) for frequency in frequencies)

    def mean(self, field: str) -> float:
        """Return the mean length of a field, at least one."""
        return max(sum(one.length(field) for one in self.documents) / max(len(self.documents), 1), 1.0)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A term or phrase in one field."""

    field: str
    tokens: Sequence[str]
    boost: float

    def scorer(self, corpus: Corpus) -> Callable[[Terms], Score]:
        """Return the BM25 score as a function of a document."""
        weight, mean = corpus.weight(self.field, self.tokens), corpus.mean(self.field) if corpus.b else 1.0

        def score(terms: Terms) -> Score:
            frequency = _frequency(terms.positions(self.field), self.tokens)
            if not frequency:
                return None
            norm = corpus.k1 * (1 - corpus.b + corpus.b * terms.length(self.field) / mean) if corpus.b else corpus.k1
            return self.boost * weight * frequency / (frequency + norm)

        return score


@dataclass(frozen=True, slots=True)
class Clauses:
    """Clauses that are required (+), refused (-) or welcome."""

    clauses: Sequence[tuple[str, Node]]
    boost: float = 1.0

    def scorer(self, corpus: Corpus) -> Callable[[Terms], Score]:
        """Return the sum of what matches, None where a required one is missing or a refused one is there."""
        scorers = [(sign, node.scorer(corpus)) for sign, node in self.clauses]
        required = any(sign == "+" for sign, _ in scorers)

        def score(terms: Terms) -> Score:
            total, matched = 0.0, False
            for sign, scorer in scorers:
                found = scorer(terms)
                if (found is None) == (sign == "+") and sign != "":
                    return None
                if found is not None and sign != "-":
                    total, matched = total + found, True
            return total * self.boost if matched or required else None

        return score


Node = Leaf | Clauses


def parse(text: str, fields: Mapping[str, float], analyzer: Callable[[str], Analyzer], *, default: str) -> Clauses:
    """Parse full Lucene syntax.

    `fields` are searched where none is named, with their weights; `default` is the sign of a bare clause. Raises BadRequest for
    what is no syntax, NotImplementedError for what the stand-in does not know.
    """
    node = _Parser(_tokens(text), fields, analyzer, default).whole()
    if _count(node) > _CLAUSES:
        raise BadRequest("The query has too many clauses")
    return node


def analyzers(definition: Mapping[str, Any]) -> Mapping[str, Analyzer]:
    """Return the analyzers that an index knows: its own and those that are built in and used here."""
    filters = {one["name"]: one for one in definition.get("tokenFilters") or []}
    own = {one["name"]: _custom(one, filters) for one in definition.get("analyzers") or []}
    return {"standard.lucene": _standard, "en.lucene": _english, "keyword": lambda text: [text], **own}


def _custom(one: Mapping[str, Any], filters: Mapping[str, Mapping[str, Any]]) -> Analyzer:
    if one["tokenizer"] != "whitespace":
        raise NotImplementedError(f"the stand-in has no tokenizer {one['tokenizer']}")
    for name in one.get("tokenFilters", ()):
        known = filters[name]
        if known["@odata.type"] != "#Microsoft.Azure.Search.SnowballTokenFilter" or known["language"] != "english":
            raise NotImplementedError(f"the stand-in has no token filter like {name}")
    stemmed = bool(one.get("tokenFilters"))
    return lambda text: [_stem(token) if stemmed else token for token in text.split()]


def _standard(text: str) -> Sequence[str]:
    return re.findall(r"\w+", text.lower())


def _english(text: str) -> Sequence[str]:
    return [_stem(token) for token in _standard(text) if token not in ("a", "an", "and", "in", "of", "on", "the", "to", "with")]


@lru_cache(65536)
def _stem(token: str) -> str:
    found: Sequence[str] = _SNOWBALL.analyze(token)
    return found[0] if found else token


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise BadRequest(f"Failed to parse query string: syntax error at position {at}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(
        self, tokens: Sequence[tuple[str, str]], fields: Mapping[str, float], analyzer: Callable[[str], Analyzer], default: str
    ) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._at = 0
        self._fields = fields
        self._analyzer = analyzer
        self._default = default

    def whole(self) -> Clauses:
        found = self._clauses()
        if self._kind != "end":
            raise self._bad()
        return found

    def _clauses(self) -> Clauses:
        clauses: list[tuple[str, Node]] = []
        while self._tokens[self._at] not in (("sign", ")"), ("end", "")):
            sign = self._default
            if self._tokens[self._at] in (("sign", "+"), ("sign", "-")):
                sign = self._next()
            clauses.append((sign, self._unit(self._fields)))
        if not clauses:
            raise self._bad()
        return Clauses(clauses)

    def _unit(self, fields: Mapping[str, float]) -> Node:
        if self._kind == "term" and self._tokens[self._at + 1] == ("mark", ":"):
            name = self._next()
            self._at += 1
            return self._unit({name: 1.0})
        if self._tokens[self._at] == ("sign", "("):
            return self._group()
        if self._kind not in ("term", "phrase"):
            raise self._bad()
        if self._tokens[self._at] in [("term", word) for word in ("AND", "OR", "NOT", "TO")]:
            raise NotImplementedError("the stand-in does not know operators that are words")
        text = re.sub(r"\\(.)", r"\1", self._next())
        boost = self._boost()
        analyzed = {name: self._analyzer(name)(text) for name in fields}
        return Clauses([("", Leaf(name, analyzed[name], boost * fields[name])) for name in fields if analyzed[name]])

    def _group(self) -> Node:
        self._at += 1
        inner = self._clauses()
        if self._next() != ")":
            raise self._bad()
        return Clauses(inner.clauses, self._boost())

    def _boost(self) -> float:
        if self._tokens[self._at] != ("mark", "^"):
            return 1.0
        self._at += 1
        boost = self._next()
        if not re.fullmatch(r"\d+(\.\d+)?", boost) or float(boost) <= 0:
            raise self._bad()
        return float(boost)

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _next(self) -> str:
        found = self._tokens[self._at][1]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return found

    def _bad(self) -> BadRequest:
        return BadRequest(f"Failed to parse query string: unexpected {self._tokens[self._at][1]!r}")


def _count(node: Node) -> int:
    return 1 if isinstance(node, Leaf) else sum(_count(one) for _, one in node.clauses)


def _frequency(positions: Mapping[str, Sequence[int]], tokens: Sequence[str]) -> int:
    if len(tokens) == 1:
        return len(positions.get(tokens[0], ()))
    starts: Counter[int] = Counter()
    for offset, token in enumerate(tokens):
        starts.update(at - offset for at in positions.get(token, ()))
    return sum(count == len(tokens) for count in starts.values())
