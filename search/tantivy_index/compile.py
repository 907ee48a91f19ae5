"""A typed query as a Tantivy query, built of terms and ranges: no text of a user is ever parsed as syntax."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tantivy import FieldType, Occur, Query, Schema

from search.document import encodable, grade, micro
from search.earth import Box, covered, rectangles
from search.phrases import spelled
from search.query import COPY, Area, Near
from search.query import Query as Asked
from search.scoring import CAPTION, KIND, MOST_WORDS, NAME, PART, STEPS, TEXT, exact, within
from search.tantivy_index.schema import boundary, cell_term, micros, phrase, stem, sure
from search.words import Word, asked

_TOP = 2**30 - 1
FEW = 2
"""Rectangles of an area, which may reach over the date line."""


def compiled(schema: Schema, query: Asked) -> tuple[Query, Query]:
    """Return what matches, and the same with the scores of `search.scoring`."""
    wanted = asked(query.text)
    if query.text.strip() and not wanted:
        return Query.empty_query(), Query.empty_query()
    required = [*(_found(schema, word) for word in wanted), *_required(schema, query)] or [Query.all_query()]
    refused = list(_refused(schema, query))
    clauses = [(Occur.Must, one) for one in required] + [(Occur.MustNot, one) for one in refused]
    matching = Query.const_score_query(Query.boolean_query(clauses), 0.0)
    worth = [(Occur.Should, one) for one in _worth(schema, query.text, wanted[:MOST_WORDS])]
    return matching, Query.boolean_query([(Occur.Must, matching), *worth])


def term(schema: Schema, field: str, value: str) -> Query:
    """Return a query for one exact term; a text that is not Unicode matches nothing."""
    return _term(schema, field, value) if encodable(value) else Query.empty_query()


def between(schema: Schema, field: str, low: int | None, high: int | None) -> Query:
    """Return a query for an integer field, both ends inclusive, of which one may be open."""
    return Query.range_query(schema, field, FieldType.Integer, lower_bound=_fit(low), upper_bound=_fit(high))


def _required(schema: Schema, query: Asked) -> Iterator[Query]:
    yield from (_phrase(schema, phrase) for phrase in query.phrases)
    every = {"tags": query.tags_all, "categories": query.categories, "properties": query.properties}
    every |= {"colours": query.colours, "objects": query.objects}
    for field, values in every.items():
        yield from (term(schema, field, value) for value in values)
    some = {"tags": query.tags_any, "folder": query.folders, "format": query.formats}
    some |= {"camera": query.cameras, "classifier": query.classifiers}
    for field, values in some.items():
        if values:
            yield _any(term(schema, field, value) for value in values)
    if query.group:
        yield term(schema, "group", query.group)
    if query.prefix:
        yield _prefix(schema, query.prefix)
    yield from _confident(schema, query)
    yield from _measured(schema, query)


def _refused(schema: Schema, query: Asked) -> Iterator[Query]:
    yield from (term(schema, "tags", tag) for tag in query.tags_none)
    yield from (_phrase(schema, phrase) for phrase in query.phrases_none)
    yield from (_found(schema, word) for text in query.words_none for word in asked(text))


def _measured(schema: Schema, query: Asked) -> Iterator[Query]:
    for field, (low, high) in _ranges(query).items():
        if low is not None or high is not None:
            yield between(schema, field, low, high)
    for place in (query.area, query.near):
        if place is not None:
            yield _placed(schema, place)


def _ranges(query: Asked) -> dict[str, tuple[int | None, int | None]]:
    """Return the bounds of each integer field, both inclusive."""
    after = None if query.after is None else micros(query.after)
    before = None if query.before is None else micros(query.before) - 1
    return {
        "date": (after, before),
        "size": (query.min_size, query.max_size),
        "width": (query.min_width, None),
        "height": (query.min_height, None),
        "has_text": (query.has_text, query.has_text),
        "has_people": (query.has_people, query.has_people),
        "copy": (COPY[query.copies], COPY[query.copies]),
    }


def _placed(schema: Schema, place: Area | Near) -> Query:
    """Return a query for what lies in a part of the earth.

    A range is found by a look at all documents. So where there are many rectangles, as in a circle, the cells that lie in them are
    terms of one set, and a rectangle is looked at only in the few cells that it fills in part.
    """
    boxes = [Box(*map(micro, (area.south, area.west, area.north, area.east))) for area in rectangles(place)]
    if len(boxes) <= FEW:
        return _any(_within(schema, box) for box in boxes)
    cover = covered(boxes)
    inside = Query.term_set_query(schema, "cells", [cell_term(cover.level, *one) for one in sorted(cover.inside)])
    return _any([inside, *(_within(schema, box, [cell_term(cover.level, *one) for one in cells]) for box, cells in cover.edges)])


def _within(schema: Schema, box: Box, cells: Sequence[str] = ()) -> Query:
    """Return a query for one rectangle, of which only some cells are looked at, where any are given."""
    required = [between(schema, "latitude", box.south, box.north), between(schema, "longitude", box.west, box.east)]
    if cells:
        required.insert(0, _any(_term(schema, "cells", one) for one in cells))
    return Query.boolean_query([(Occur.Must, one) for one in required])


def _phrase(schema: Schema, phrase: str) -> Query:
    """Return a query for words side by side; a phrase without words matches nothing."""
    terms = spelled(phrase)
    if len(terms) > 1:
        return Query.phrase_query(schema, "said", list(terms))
    return _term(schema, "said", terms[0]) if terms else Query.empty_query()


def _confident(schema: Schema, query: Asked) -> Iterator[Query]:
    """Yield the conditions on confidence. The range alone holds a hash of the tag, so it comes beside the tag's own term."""
    if not query.confidence > 0:
        return
    least = grade(query.confidence)
    if not query.tags_all and not query.tags_any:
        yield between(schema, "best", least, None)
    yield from (_sure(schema, tag, least) for tag in query.tags_all)
    if query.tags_any:
        yield _any(_sure(schema, tag, least) for tag in query.tags_any)


def _sure(schema: Schema, tag: str, least: int) -> Query:
    if not encodable(tag):
        return Query.empty_query()
    held = Query.range_query(schema, "sure", FieldType.Unsigned, lower_bound=sure(tag, least), upper_bound=sure(tag, _TOP))
    return Query.boolean_query([(Occur.Must, _term(schema, "tags", tag)), (Occur.Must, held)])


def _prefix(schema: Schema, prefix: str) -> Query:
    """Return a query for names that begin with these very characters."""
    if not encodable(prefix):
        return Query.empty_query()
    place, rest = boundary(prefix)
    if not rest:
        return _term(schema, "starts", place)
    escaped = "".join(f"\\x{{{ord(character):x}}}" for character in rest)
    return Query.regex_query(schema, "starts", f"{place}{escaped}(?s:.*)")


def _found(schema: Schema, word: Word) -> Query:
    """Return a query for documents in which this word, or all its parts, occur."""
    whole = _term(schema, "words", stem(word.whole))
    if not word.parts:
        return whole
    parts = [(Occur.Must, _term(schema, "words", stem(part))) for part in word.parts]
    return _any([whole, Query.boolean_query(parts)])


def _worth(schema: Schema, text: str, wanted: Sequence[Word]) -> Iterator[Query]:
    """Yield what adds to the score of a document, each with its weight."""
    for word in wanted:
        yield from _weights(schema, stem(word.whole), 1.0)
        for part in word.parts:
            yield from _weights(schema, stem(part), PART)
    whole = phrase(text)
    if len(wanted) > 1 and whole.count("_") < MOST_WORDS:
        for percent in range(STEPS):
            yield _weight(schema, "exact", f"{whole}:{percent}", exact(percent) * len(wanted))


def _weights(schema: Schema, stemmed: str, share: float) -> Iterator[Query]:
    for percent in range(STEPS):
        yield _weight(schema, "exact", f"{stemmed}:{percent}", exact(percent) * share)
        yield _weight(schema, "within", f"{stemmed}:{percent}", within(percent) * share)
    yield _weight(schema, "kinds", stemmed, KIND * share)
    yield _weight(schema, "caption", stemmed, CAPTION * share)
    yield _weight(schema, "text", stemmed, TEXT * share)
    yield _weight(schema, "path", stemmed, NAME * share)


def _weight(schema: Schema, field: str, value: str, weight: float) -> Query:
    return Query.const_score_query(_term(schema, field, value), weight)


def _term(schema: Schema, field: str, value: str) -> Query:
    return Query.term_query(schema, field, value, index_option="basic")


def _any(queries: Iterable[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, one) for one in queries])


def _fit(bound: int | None) -> int | None:
    """Keep a bound that a user wrote within 64 bits, beyond which there is no document."""
    return None if bound is None else max(min(int(bound), 2**63 - 1), -(2**63))
