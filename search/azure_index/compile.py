"""A typed query as the body of a search request: pure, and no text of a user is ever syntax.

Filters hold user text only inside quoted literals, the search text only words of `search.words`: letters and digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from jobs.errors import Misconfigured
from search.document import encodable, grade, micro
from search.earth import rectangles
from search.phrases import BORDER, spelled
from search.query import COPY, FACETS, Area, Query, Sort
from search.scoring import MOST_WORDS, PART
from search.words import Word, asked, words

SELECT = (
    *("id", "name", "caption", "tags", "width", "height", "format", "size", "date_micros", "source", "rev"),
    *("categories", "properties", "group", "copy"),
)
"""What a hit shows."""

FIELDS = {facet: "tag_names" if facet == "tags" else facet for facet in FACETS}
"""The field that each facet counts."""

MEANING = "meaning"
"""The semantic configuration of `search/index.json`."""

COUNTED = 1000
"""Values of a facet that are asked for at least: counts are exact where a field has no more than were asked for."""

CLAUSES = 1000
"""The most words and parts of words of one query; the service takes 1,024 clauses."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLIGHT = "^0.01"
_FAR = 20
_ORDERS: dict[Sort, str] = {
    "newest": "date_micros desc,id asc",
    "oldest": "date_micros asc,id asc",
    "largest": "size desc,id asc",
    "smallest": "size asc,id asc",
    "name": "name_key asc,id asc",
}


def compiled(query: Query) -> dict[str, object] | None:
    """Return the request for a checked query, None for one that nothing can match. Raises Misconfigured for too many words."""
    wanted = asked(query.text)
    clauses = list(_filters(query))
    if (query.text.strip() and not wanted) or None in clauses or not all(map(spelled, query.phrases)):
        return None
    body: dict[str, object] = {
        "search": _search(query, wanted),
        "queryType": "full",
        "searchMode": "any",
        "scoringStatistics": "global",
        "count": True,
        "select": ",".join(SELECT),
        "orderby": ordered(query),
        "skip": (query.page - 1) * query.limit,
        "top": query.limit,
    }
    if clauses:
        body["filter"] = " and ".join(clause for clause in clauses if clause)
    if query.facets and query.facet_limit:
        body["facets"] = [f"{FIELDS[facet]},count:{counted(query)}" for facet in query.facets]
    return body


def by_meaning(body: Mapping[str, object], query: Query) -> dict[str, object]:
    """Return the request with its first 50 hits ranked by what they mean, where hits come by score; any other is as it was.

    The service takes no other order beside that one. Where its ranker is busy or slow, hits come as without it.
    """
    if not by_score(query) or not encodable(query.text):
        return dict(body)
    plain = {name: value for name, value in body.items() if name != "orderby"}
    meaning = {"semanticQuery": query.text.strip(), "semanticConfiguration": MEANING, "semanticErrorHandling": "partial"}
    return plain | meaning


def likest(body: Mapping[str, object], vector: bytes, limit: int) -> dict[str, object]:
    """Return the request for what is most like a vector, narrowed down by the filter of another request before it is compared."""
    numbers = np.frombuffer(vector, "<f4").astype("f8").tolist()
    wanted = {"kind": "vector", "vector": numbers, "fields": "embedding", "k": limit}
    narrowed = {name: body[name] for name in ("select", "filter") if name in body}
    return {**narrowed, "top": limit, "vectorFilterMode": "preFilter", "vectorQueries": [wanted]}


def counted(query: Query) -> int:
    """Return how many values of each facet are asked for."""
    return max(COUNTED, query.facet_limit + 1)


def by_score(query: Query) -> bool:
    """Say whether hits come in the order of their scores."""
    return query.sort == "relevance" and bool(query.text.strip())


def ordered(query: Query) -> str:
    """Return the order of the hits; ties come in the order of the ids."""
    if by_score(query):
        return "search.score() desc,id asc"
    return _ORDERS["name" if query.sort == "relevance" else query.sort]


def literal(text: str) -> str:
    """Return a text as an OData literal."""
    return "'" + text.replace("'", "''") + "'"


def key(name: str) -> str:
    """Return what sorts names by their UTF-8 bytes wherever hex digits sort: two digits for each byte."""
    return name.encode().hex()


def after(source: str, name_key: str | None) -> str:
    """Return the filter for the documents of a source that come after a name."""
    every = f"source eq {literal(source)}"
    return every if name_key is None else f"{every} and name_key gt {literal(name_key)}"


def micros(date: datetime) -> int:
    """Return microseconds since 1970; the service's own dates end at milliseconds."""
    return (date - _EPOCH) // timedelta(microseconds=1)


def moment(since: int) -> datetime:
    """Return the date that is so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=since)


def _filters(query: Query) -> Iterator[str | None]:
    """Yield what has to hold, all together; None for what cannot hold."""
    every = {"tag_names": query.tags_all, "categories": query.categories, "properties": query.properties}
    every |= {"colours": query.colours, "objects": query.objects}
    for field, values in every.items():
        yield from (_having(field, value) for value in values)
    if query.tags_any:
        yield _either(_having("tag_names", tag) for tag in query.tags_any)
    yield from (f"not {_having('tag_names', tag)}" for tag in query.tags_none if encodable(tag))
    yield from _confident(query)
    if query.prefix:
        yield _prefix(query.prefix)
    some = {"folder": query.folders, "format": query.formats, "camera": query.cameras, "classifier": query.classifiers}
    some["group"] = (query.group,) if query.group else ()
    for field, values in some.items():
        if values:
            yield _either(f"{field} eq {literal(value)}" if encodable(value) else None for value in values)
    yield from _ranges(query)
    if query.area is not None:
        yield _either(_within(area) for area in rectangles(query.area))
    if query.near is not None:
        centre = f"geography'POINT({query.near.longitude:.7f} {query.near.latitude:.7f})'"
        yield f"geo.distance(location, {centre}) le {query.near.kilometres:.6f}"


def _ranges(query: Query) -> Iterator[str]:
    if query.after is not None:
        yield f"date_micros ge {micros(query.after)}"
    if query.before is not None:
        yield f"date_micros lt {micros(query.before)}"
    least = {"size": query.min_size, "width": query.min_width, "height": query.min_height}
    yield from (f"{field} ge {_fit(bound)}" for field, bound in least.items() if bound is not None)
    if query.max_size is not None:
        yield f"size le {_fit(query.max_size)}"
    flags = {"has_text": query.has_text, "has_people": query.has_people, "copy": COPY[query.copies]}
    for field, wanted in flags.items():
        if wanted is not None:
            yield f"{field} eq {'true' if wanted else 'false'}"


def _within(area: Area) -> str:
    """Return the condition for one rectangle that does not reach over the date line."""
    south, west, north, east = map(micro, (area.south, area.west, area.north, area.east))
    latitude = f"latitude ge {_degrees(south - 0.5)} and latitude le {_degrees(north + 0.5)}"
    return f"({latitude} and longitude ge {_degrees(west - 0.5)} and longitude le {_degrees(east + 0.5)})"


def _degrees(micros_: float) -> str:
    return f"{micros_ / 1e6:.7f}"


def _confident(query: Query) -> Iterator[str | None]:
    if not query.confidence > 0:
        return
    least = f"{(grade(query.confidence) - 0.5) / 1e9:.10f}"
    if not query.tags_all and not query.tags_any:
        yield f"best ge {least}"
    yield from (_sure(tag, least) for tag in query.tags_all)
    if query.tags_any:
        yield _either(_sure(tag, least) for tag in query.tags_any)


def _sure(tag: str, least: str) -> str | None:
    return f"tags/any(t: t/name eq {literal(tag)} and t/confidence ge {least})" if encodable(tag) else None


def _prefix(prefix: str) -> str | None:
    """Return the range of the keys of all names that begin with these very characters: no hex digit comes after a `g`."""
    if not encodable(prefix):
        return None
    return f"name_key ge {literal(key(prefix))} and name_key lt {literal(key(prefix) + 'g')}"


def _having(field: str, value: str) -> str | None:
    """Return the condition that a collection holds a value."""
    return f"{field}/any(t: t eq {literal(value)})" if encodable(value) else None


def _either(conditions: Iterable[str | None]) -> str | None:
    """Return the condition that one of these holds; None if none of them can."""
    some = [condition for condition in conditions if condition]
    return f"({' or '.join(some)})" if some else None


def _search(query: Query, wanted: Sequence[Word]) -> str:
    """Return the search text: what has to be said, what must not be, and what moves documents up."""
    refused = [word for text in query.words_none for word in asked(text)]
    phrases = [f"+{_phrase(phrase)}" for phrase in query.phrases]
    phrases += [f"-{_phrase(phrase)}" for phrase in query.phrases_none if spelled(phrase)]
    count = sum(len(word.forms) for word in (*wanted, *refused)) + len(phrases)
    if count > CLAUSES:
        raise Misconfigured("search", "text", f"it has more than {CLAUSES:,} words", hint="Ask for fewer.")
    parts = [*phrases, *(f"-{_said(word)}" for word in refused)]
    if wanted:
        parts.append(_text(query.text, wanted))
    if not parts:
        return "*"
    return " ".join([f"+said:{BORDER}{_SLIGHT}", *parts])


def _phrase(phrase: str) -> str:
    return f'said:"{" ".join(spelled(phrase))}"{_SLIGHT}'


def _text(text: str, wanted: Sequence[Word]) -> str:
    """Return the search text: every word is required, and what follows only moves documents up."""
    worth = [_worth(form, share) for word in wanted[:MOST_WORDS] for form, share in _shares(word)]
    whole = [word.whole for word in words(text)]
    if 1 < len(whole) <= MOST_WORDS:
        worth.append(f'whole:"{" ".join((BORDER, *whole, BORDER))}"^{_FAR}')
    return " ".join([*(f"+{_said(word)}" for word in wanted), *worth])


def _said(word: Word) -> str:
    """Return the condition that a word, or all its parts, occur."""
    if not word.parts:
        return f"words:{word.whole}{_SLIGHT}"
    parts = " ".join(f"+words:{part}{_SLIGHT}" for part in word.parts)
    return f"(words:{word.whole}{_SLIGHT} ({parts}))"


def _shares(word: Word) -> Iterable[tuple[str, float]]:
    return [(word.whole, 1.0), *((part, PART) for part in word.parts)]


def _worth(form: str, share: float) -> str:
    return f"weighed:{form}" if share == 1 else f"weighed:{form}^{share:g}"


def _fit(bound: int) -> int:
    """Keep a bound that a user wrote within 64 bits, beyond which there is no document."""
    return max(min(bound, 2**63 - 1), -(2**63))
