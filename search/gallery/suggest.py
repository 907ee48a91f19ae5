"""Suggestions while a query is typed: tags and categories that there are, completing its last clause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from search.filters import FILTERS
from search.language import spelled, unspelled
from search.query import Query, Searcher
from search.words import words

MOST = 8
_VALUES = 2000
_OF = {"tag": "tags", "category": "categories", "colour": "colours", "format": "format", "object": "objects", "folder": "folder"}
_OF |= {"camera": "camera", "property": "properties"}
_LAST = re.compile(r'(?P<minus>-?)(?P<name>[A-Za-z]+:)?(?P<rest>"(?:[^"\\]|\\.)*"?|[^\s"]*)$', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the box could hold instead, the part that would be new, and how many images have it (0: not counted)."""

    text: str
    clause: str
    about: str
    count: int = 0


async def suggestions(searcher: Searcher, text: str) -> list[Suggestion]:
    """Return what could stand for the last clause of a text, the most frequent first."""
    found = _LAST.search(text)
    assert found is not None
    begun, before = found["rest"], text[: found.start()]
    typed = unspelled(begun + '"' * (not begun.endswith('"') or begun == '"')) if begun.startswith('"') else begun
    name = (found["name"] or "").rstrip(":").lower()
    if not typed and not name:
        return []
    fields = {name: _OF[name]} if name in _OF else {"category": "categories", "tag": "tags"} if not name else {}
    if not fields:
        return []
    counted = await searcher.search(Query(facets=tuple(fields.values()), facet_limit=_VALUES, limit=0))
    some = [
        Suggestion(f"{before}{found['minus']}{clause} ", clause, one, bucket.count)
        for one, field in fields.items()
        for bucket in counted.facets[field]
        if bucket.value and _begins(bucket.value, typed)
        for clause in [spelled(one, [bucket.value])]
    ]
    some.sort(key=lambda one: (not _first(one.clause, typed), -one.count))
    names = [] if name else list(_names(before, found["minus"], typed))
    return [*some[: MOST - len(names)], *names]


def _names(before: str, minus: str, typed: str) -> Iterator[Suggestion]:
    """Yield filters whose name begins like this."""
    for name, known in FILTERS.items():
        if len(typed) > 1 and name.startswith(typed.lower()) and (known.minus or not minus):
            yield Suggestion(f"{before}{minus}{name}:", f"{name}:", known.about)


def _first(clause: str, typed: str) -> bool:
    """Say whether the whole value begins with what was typed, and not only a word in it."""
    return clause.partition(":")[2].lstrip('"').casefold().startswith(typed.casefold())


def _begins(value: str, typed: str) -> bool:
    """Say whether the value, or a word in it, begins with what was typed."""
    wanted = typed.casefold()
    return value.casefold().startswith(wanted) or any(word.whole.startswith(wanted) for word in words(value))
