"""An index in memory: Index and Searcher by the same contracts as the real ones, evaluated the plain way."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence

import numpy as np

from jobs.model import Record
from search.checks import check
from search.document import SearchDocument, document, grade, micro
from search.earth import distance
from search.query import Bucket, Hit, Query, Results, filters
from search.scoring import CAPTION, KIND, MOST_WORDS, NAME, PART, TEXT, exact, step, within
from search.words import Word, asked, forms, words

BATCH = 100


class MemoryIndex:
    """Holds documents in a dictionary. Nothing awaits inside, so every call is atomic."""

    def __init__(self) -> None:
        self.documents: dict[str, SearchDocument] = {}

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        shown = [document(record) if record.analysis else None for record in records]
        self.documents |= {one.id: one for one in shown if one}
        return [None if one else "it has no analysis" for one in shown]

    async def remove(self, ids: Sequence[str]) -> None:
        for key in ids:
            self.documents.pop(key, None)

    async def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]]]:
        found = [(one.name, one.id, one.rev) for one in self.documents.values() if one.source == source]
        found.sort(key=lambda revision: revision[0].encode())
        for start in range(0, len(found), BATCH):
            yield found[start : start + BATCH]

    async def search(self, query: Query) -> Results:
        check(query)
        found = [one for one in self.documents.values() if _matches(one, query)]
        by_score = query.sort == "relevance" and bool(query.text.strip())
        scored = [(_score(one, query.text) if by_score else 0.0, one) for one in found]
        scored.sort(key=lambda pair: pair[1].id)
        scored.sort(key=lambda pair: -pair[0] if by_score else _key(pair[1], query.sort))
        start = (query.page - 1) * query.limit
        hits = tuple(_hit(one, score) for score, one in scored[start : start + query.limit])
        return Results(len(found), hits, {name: _facet(found, name, query.facet_limit) for name in query.facets})

    async def similar(self, vector: bytes, query: Query) -> Results:
        check(query)
        asked_for = filters(query)
        found = [one for one in self.documents.values() if one.embedding and len(one.embedding) == len(vector)]
        scored = [
            (float(np.frombuffer(one.embedding, "<f4") @ np.frombuffer(vector, "<f4")), one) for one in found if one.embedding
        ]
        scored = sorted((pair for pair in scored if _matches(pair[1], asked_for)), key=lambda pair: (-pair[0], pair[1].id))
        hits = tuple(_hit(one, score) for score, one in scored[: query.limit])
        return Results(len(hits), hits, {})


def _matches(one: SearchDocument, query: Query) -> bool:
    return _says(one, query) and _sure(one, query) and _narrowed(one, query)


def _says(one: SearchDocument, query: Query) -> bool:
    if not all(_phrased(one, phrase) for phrase in query.phrases) or any(_phrased(one, phrase) for phrase in query.phrases_none):
        return False
    if any(_has(one, (word,)) for text in query.words_none for word in asked(text)):
        return False
    return not query.text.strip() or (bool(asked(query.text)) and _has(one, asked(query.text)))


def _phrased(one: SearchDocument, phrase: str) -> bool:
    """Say whether the words of a phrase stand side by side in one of the texts."""
    wanted = [word.whole for word in words(phrase)]
    texts = [[word.whole for word in words(text)] for text in _texts(one)]
    return bool(wanted) and any(
        text[at : at + len(wanted)] == wanted for text in texts for at in range(len(text) - len(wanted) + 1)
    )


def _texts(one: SearchDocument) -> Sequence[str]:
    return (one.caption, one.name, one.text, *one.tag_names, *one.categories, *one.objects, *one.properties)


def _has(one: SearchDocument, wanted: Sequence[Word]) -> bool:
    known = {stem(form) for text in _texts(one) for form in forms(text)}
    return all(
        stem(word.whole) in known or (bool(word.parts) and all(stem(part) in known for part in word.parts)) for word in wanted
    )


def _sure(one: SearchDocument, query: Query) -> bool:
    has = set(one.tag_names)
    if not has.issuperset(query.tags_all) or not has.isdisjoint(query.tags_none):
        return False
    if query.tags_any and has.isdisjoint(query.tags_any):
        return False
    if not query.confidence > 0:
        return True
    least = grade(query.confidence)
    sure = {tag.name for tag in one.tags if grade(tag.confidence) >= least}
    if not query.tags_all and not query.tags_any:
        return grade(one.best) >= least
    return sure.issuperset(query.tags_all) and (not query.tags_any or not sure.isdisjoint(query.tags_any))


def _narrowed(one: SearchDocument, query: Query) -> bool:
    return (
        one.name.startswith(query.prefix)
        and set(one.categories).issuperset(query.categories)
        and set(one.properties).issuperset(query.properties)
        and set(one.colours).issuperset(query.colours)
        and set(one.objects).issuperset(query.objects)
        and (not query.folders or one.folder in query.folders)
        and (not query.cameras or one.camera in query.cameras)
        and (not query.classifiers or one.classifier in query.classifiers)
        and (query.min_width is None or one.width >= query.min_width)
        and (query.min_height is None or one.height >= query.min_height)
        and _there(one, query)
        and (query.has_text is None or one.has_text is query.has_text)
        and (not query.group or one.group == query.group)
        and (query.copies == "all" or one.copy is (query.copies == "only"))
        and (query.has_people is None or one.has_people is query.has_people)
        and (not query.formats or one.format in query.formats)
        and (query.after is None or one.date >= query.after)
        and (query.before is None or one.date < query.before)
        and (query.min_size is None or one.size >= query.min_size)
        and (query.max_size is None or one.size <= query.max_size)
    )


def _there(one: SearchDocument, query: Query) -> bool:
    if query.area is None and query.near is None:
        return True
    if one.latitude is None or one.longitude is None:
        return False
    if query.near and distance((one.latitude, one.longitude), (query.near.latitude, query.near.longitude)) > query.near.kilometres:
        return False
    area = query.area
    if area is None:
        return True
    south, west, north, east, latitude, longitude = map(
        micro, (area.south, area.west, area.north, area.east, one.latitude, one.longitude)
    )
    across = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    return south <= latitude <= north and across


def _score(one: SearchDocument, text: str) -> float:
    wanted = asked(text)[:MOST_WORDS]
    score = sum(_worth(one, word.whole) + PART * sum(_worth(one, part) for part in word.parts) for word in wanted)
    if len(wanted) > 1:
        whole = _whole(words(text))
        same = [exact(step(tag.confidence)) for tag in one.tags if _whole(words(tag.name)) == whole]
        score += len(wanted) * max(same, default=0.0)
    return score


def _worth(one: SearchDocument, word: str) -> float:
    stemmed = stem(word)
    whole = [exact(step(tag.confidence)) for tag in one.tags if _whole(words(tag.name)) == (stemmed,)]
    part = [
        within(step(tag.confidence))
        for tag in one.tags
        if _whole(words(tag.name)) != (stemmed,) and stemmed in map(stem, forms(tag.name))
    ]
    kind = KIND * any(stemmed in map(stem, forms(name)) for name in (*one.categories, *one.objects))
    caption = CAPTION * (stemmed in map(stem, forms(one.caption)))
    text = TEXT * (stemmed in map(stem, forms("\n".join((one.text, *one.properties)))))
    name = NAME * (stemmed in map(stem, forms(one.name)))
    return max(whole, default=0.0) + max(part, default=0.0) + kind + caption + text + name


def _whole(text: Sequence[Word]) -> tuple[str, ...]:
    return tuple(stem(word.whole) for word in text)


def stem(word: str) -> str:
    """Take the plural from an English word: the least that a stemmer does."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _key(one: SearchDocument, sort: str) -> float | bytes:
    keys: Mapping[str, float | bytes] = {
        "newest": -one.date.timestamp(),
        "oldest": one.date.timestamp(),
        "largest": -one.size,
        "smallest": one.size,
    }
    return keys.get(sort, one.name.encode())


def _hit(one: SearchDocument, score: float) -> Hit:
    about = (one.id, one.name, score, one.caption, one.tags, one.width, one.height)
    return Hit(*about, one.format, one.size, one.date, one.source, one.rev, one.categories, one.properties, one.group, one.copy)


def _facet(found: Sequence[SearchDocument], name: str, most: int) -> tuple[Bucket, ...]:
    counts = Counter(value for one in found for value in _values(one, name))
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Bucket(value, count) for value, count in ordered[:most])


def _values(one: SearchDocument, name: str) -> Sequence[str]:
    values: Mapping[str, Sequence[str]] = {
        "tags": one.tag_names,
        "categories": one.categories,
        "folder": (one.folder,),
        "format": (one.format,),
        "colours": one.colours,
        "camera": (one.camera,) if one.camera is not None else (),
        "year": (str(one.year),),
        "properties": one.properties,
        "objects": one.objects,
        "classifier": (one.classifier,),
    }
    return values[name]
