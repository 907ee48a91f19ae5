"""A search request evaluated over plain documents, with what Azure AI Search would refuse of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.standins import odata
from tests.standins.search_schema import BadRequest, Column, walk
from tests.standins.search_text import Analyzer, Corpus, Terms, analyzers, parse

Document = dict[str, Any]

_KNOWN = {
    *("answers", "captions", "count", "debug", "facets", "filter", "highlight", "highlightPostTag", "highlightPreTag"),
    *("minimumCoverage", "orderby", "queryType", "scoringParameters", "scoringProfile", "scoringStatistics", "search"),
    *("searchFields", "searchMode", "select", "semanticConfiguration", "semanticErrorHandling", "semanticMaxWaitInMilliseconds"),
    *("semanticQuery", "sessionId", "skip", "top", "vectorFilterMode", "vectorQueries"),
}
_UNDONE = ("answers", "captions", "highlight", "scoringParameters")
_RERANKED = 50
_DEPTH, _ORDERS, _FUSED = 100_000, 32, 60


@dataclass(slots=True)
class State:
    """The documents of an index that can be found, with what was worked out of them."""

    definition: Mapping[str, Any]
    fields: Mapping[str, Column]
    documents: dict[str, Document] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)
    analyzers: Mapping[str, Analyzer] = field(init=False)

    def __post_init__(self) -> None:
        self.analyzers = analyzers(self.definition)

    def put(self, key: str, document: Document | None) -> None:
        """Replace or remove a document."""
        self.terms.pop(key, None)
        if document is None:
            self.documents.pop(key, None)
        else:
            self.documents[key] = document

    def corpus(self) -> Corpus:
        """Return every document, analyzed."""
        for key in self.documents.keys() - self.terms.keys():
            self.terms[key] = Terms(self.documents[key], self.fields, self.analyzers)
        similarity = self.definition.get("similarity") or {}
        return Corpus([*self.terms.values()], similarity.get("k1", 1.2), similarity.get("b", 0.75))


def answer(state: State, body: Mapping[str, Any], page: int) -> dict[str, Any]:
    """Return the answer to a search request of which one part holds up to `page` documents. Raises BadRequest."""
    _check(body)
    _weights(state, body)
    found = _ranked(state, body)
    skip, top = body.get("skip", 0), body.get("top", 50)
    found, meanings = _by_meaning(state, body, found)
    shown = found[skip : skip + min(top, page)]
    selected = _selected(state, body)
    answered: dict[str, Any] = {}
    if body.get("count"):
        answered["@odata.count"] = len(found)
    if body.get("facets"):
        answered["@search.facets"] = dict(_facet(state, [state.documents[key] for key, _ in found], one) for one in body["facets"])
    if len(shown) == page < top and skip + page < len(found):
        answered["@search.nextPageParameters"] = {**body, "skip": skip + page, "top": top - page}
    answered["value"] = [
        {"@search.score": score, **meanings.get(key, {}), **_shown(state.documents[key], selected)} for key, score in shown
    ]
    return answered


def _check(body: Mapping[str, Any]) -> None:
    unknown = sorted(set(body) - _KNOWN)
    if unknown:
        raise BadRequest(f"The property '{unknown[0]}' does not exist in a search request")
    undone = [name for name in _UNDONE if name in body]
    if undone or body.get("queryType") == "semantic":
        raise NotImplementedError(f"the stand-in does not do {undone or 'semantic ranking'}")
    if body.get("queryType", "simple") not in ("simple", "full") or body.get("searchMode", "any") not in ("any", "all"):
        raise BadRequest("Invalid queryType or searchMode")
    if body.get("scoringStatistics", "local") not in ("local", "global"):
        raise BadRequest("Invalid scoringStatistics")
    for name, most in (("skip", _DEPTH), ("top", 2**31 - 1)):
        if not isinstance(body.get(name, 0), int) or not 0 <= body.get(name, 0) <= most:
            raise BadRequest(f"Value must be between 0 and {most}. Parameter name: ${name}")


def _ranked(state: State, body: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the keys of what was found, with scores, in the order asked for."""
    allowed = _filter(state, body)
    lists = [sorted(one.items(), key=lambda pair: -pair[1]) for one in _lists(state, body, allowed)]
    scores = dict(lists[0])
    if len(lists) > 1:
        scores = {}
        for one in lists:
            for rank, (key, _) in enumerate(one, 1):
                scores[key] = scores.get(key, 0.0) + 1 / (_FUSED + rank)
    found = list(scores.items())
    found.sort(key=lambda pair: state.documents[pair[0]]["id"] if "id" in state.fields else pair[0], reverse=True)
    for get, descending in reversed(list(_orders(state, body, scores))):
        found.sort(key=lambda pair: _place(get(pair[0])), reverse=descending)
    return found


def _by_meaning(
    state: State, body: Mapping[str, Any], found: list[tuple[str, float]]
) -> tuple[list[tuple[str, float]], Mapping[str, Mapping[str, float]]]:
    """Return what was found with the first 50 ranked by how many words of the semantic query their semantic fields share."""
    if "semanticQuery" not in body:
        return found, {}
    if body.get("orderby"):
        raise BadRequest("Semantic ranking cannot be combined with $orderby")
    if body.get("semanticErrorHandling", "partial") not in ("partial", "fail"):
        raise BadRequest("Invalid semanticErrorHandling")
    semantic = state.definition.get("semantic") or {}
    name = body.get("semanticConfiguration") or semantic.get("defaultConfiguration")
    chosen = next((one for one in semantic.get("configurations") or [] if one["name"] == name), None)
    if chosen is None:
        raise BadRequest(f"Unknown semantic configuration '{name}'")
    wanted = set(re.findall(r"\w+", body["semanticQuery"].lower()))
    if not wanted or (body.get("search") or "*") == "*":
        return found, {}
    prioritized = chosen["prioritizedFields"]
    several = ("prioritizedContentFields", "prioritizedKeywordsFields")
    named = [prioritized["titleField"]["fieldName"], *(each["fieldName"] for one in several for each in prioritized.get(one, ()))]
    scores = {}
    for key, _ in found[:_RERANKED]:
        seen = set(re.findall(r"\w+", str([state.documents[key].get(field) for field in named]).lower()))
        scores[key] = 4 * len(wanted & seen) / len(wanted)
    first = sorted(found[:_RERANKED], key=lambda pair: -scores[pair[0]])
    return first + found[_RERANKED:], {key: {"@search.rerankerScore": score} for key, score in scores.items()}


def _filter(state: State, body: Mapping[str, Any]) -> Callable[[Document], bool]:
    text = body.get("filter")
    if not text:
        return lambda _: True
    try:
        return odata.parse(text, {name: column.for_filters() for name, column in state.fields.items()})
    except odata.BadFilter as error:
        raise BadRequest(f"Invalid expression: {error}\r\nParameter name: $filter") from error


def _lists(state: State, body: Mapping[str, Any], allowed: Callable[[Document], bool]) -> Iterator[dict[str, float]]:
    """Yield the scores by key for the text, and for every vector."""
    vectors = body.get("vectorQueries") or []
    text = body.get("search") or "*"
    if text != "*" or not vectors:
        yield _by_text(state, body, text, allowed)
    for one in vectors:
        yield _by_vector(state, one, allowed)


def _by_text(state: State, body: Mapping[str, Any], text: str, allowed: Callable[[Document], bool]) -> dict[str, float]:
    if text == "*":
        return {key: 1.0 for key, document in state.documents.items() if allowed(document)}
    if body.get("queryType", "simple") == "simple" and re.search(r'[+|\-"()*~]', text):
        raise NotImplementedError("the stand-in knows no operators of the simple syntax")
    searched = _names(body.get("searchFields")) or [name for name, one in state.fields.items() if one.searchable and not one.vector]
    for name in searched:
        if name not in state.fields or not state.fields[name].searchable:
            raise BadRequest(f"'{name}' is not a searchable field")
    weights = _weights(state, body)

    def analyzer(name: str) -> Analyzer:
        if name not in state.fields or not state.fields[name].searchable:
            raise BadRequest(f"'{name}' is not a searchable field")
        return state.analyzers[state.fields[name].analyzer]

    default = "+" if body.get("searchMode") == "all" else ""
    corpus = state.corpus()
    score = parse(text, {name: weights.get(name, 1.0) for name in searched}, analyzer, default=default).scorer(corpus)
    found = {key: score(state.terms[key]) for key, document in state.documents.items() if allowed(document)}
    return {key: one for key, one in found.items() if one is not None}


def _weights(state: State, body: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the weights of the scoring profile that applies."""
    profiles = {one["name"]: one for one in state.definition.get("scoringProfiles") or []}
    profile = body.get("scoringProfile") or state.definition.get("defaultScoringProfile")
    if profile is not None and profile not in profiles:
        raise BadRequest(f"There is no scoring profile '{profile}'")
    found: Mapping[str, float] = profiles[profile].get("text", {}).get("weights", {}) if profile else {}
    return found


def _by_vector(state: State, one: Mapping[str, Any], allowed: Callable[[Document], bool]) -> dict[str, float]:
    if one.get("kind") != "vector" or set(one) - {"kind", "vector", "fields", "k", "exhaustive", "oversampling", "weight"}:
        raise BadRequest("A vector query has kind, vector, fields, k")
    scores: dict[str, float] = {}
    for name in _names(one["fields"]):
        column = state.fields.get(name)
        if column is None or not column.vector:
            raise BadRequest(f"'{name}' is not a vector field")
        if len(one["vector"]) != column.dimensions:
            raise BadRequest(f"The vector field '{name}' expects a length of '{column.dimensions}'")
        wanted = np.asarray(one["vector"])
        for key, document in state.documents.items():
            if document.get(name) and allowed(document):
                held = np.asarray(document[name])
                likeness = float(wanted @ held / (np.linalg.norm(wanted) * np.linalg.norm(held)))
                scores[key] = max(scores.get(key, 0.0), 1 / (2 - likeness))
    return dict(sorted(scores.items(), key=lambda pair: -pair[1])[: one.get("k", 50)])


def _orders(state: State, body: Mapping[str, Any], scores: Mapping[str, float]) -> Iterator[tuple[Callable[[str], Any], bool]]:
    """Yield what is sorted by, and whether descending; by score where nothing is said."""
    clauses = re.findall(r"(?:[^,(]|\([^)]*\))+", body.get("orderby") or "search.score() desc")
    if len(clauses) > _ORDERS:
        raise BadRequest("There can be at most 32 clauses in $orderby")
    for clause in clauses:
        expression, _, direction = clause.strip().partition(" ")
        if direction not in ("", "asc", "desc"):
            raise BadRequest("Invalid expression: syntax error. Parameter name: $orderby")
        if expression == "search.score()":
            yield lambda key: scores[key], direction == "desc"
            continue
        if expression not in state.fields or not state.fields[expression].sortable:
            raise BadRequest(f"'{expression}' is not a sortable field. Parameter name: $orderby")
        yield lambda key, name=expression: state.documents[key].get(name), direction == "desc"  # type: ignore[misc]


def _place(value: Any) -> Any:
    """Return what null and values sort by: null is the least."""
    return (value is not None, value.encode("utf-16-be") if isinstance(value, str) else value)


def _facet(state: State, found: Sequence[Document], expression: str) -> tuple[str, list[dict[str, Any]]]:
    name, *options = expression.split(",")
    columns = dict(walk(state.fields))
    if name not in columns or not columns[name].facetable:
        raise BadRequest(f"'{name}' is not a facetable field. Parameter name: facet")
    most = 10
    for option in options:
        word, _, value = option.partition(":")
        if word != "count" or not value.isdigit():
            raise NotImplementedError(f"the stand-in does not know the facet option {option}")
        most = int(value)
    counts = Counter(value for document in found for value in _values(document, name))
    ordered = sorted(counts.items(), key=lambda pair: (pair[1], str(pair[0])), reverse=True)
    return name, [{"value": value, "count": count} for value, count in (ordered[:most] if most else ordered)]


def _values(document: Document, name: str) -> set[Any]:
    first, _, rest = name.partition("/")
    value = document.get(first)
    values = value if isinstance(value, list) else [value]
    return {one.get(rest) if rest else one for one in values if one is not None}


def _selected(state: State, body: Mapping[str, Any]) -> Sequence[str]:
    names = _names(body.get("select"))
    if not names or names == ["*"]:
        return [name for name, column in state.fields.items() if column.retrievable]
    for name in names:
        if name not in state.fields:
            raise BadRequest(
                f"Invalid expression: Could not find a property named '{name}' on type 'search.document'.\r\n"
                "Parameter name: $select"
            )
        if not state.fields[name].retrievable:
            raise BadRequest(f"'{name}' is not a retrievable field. Parameter name: $select")
    return names


def _shown(document: Document, names: Sequence[str]) -> Document:
    return {name: document.get(name) for name in names}


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
