"""Two back ends, one answer: the same queries over the same images give the same ids, counts and facets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.model import Record, blob_id
from search.azure_index.answer import nothing, results
from search.azure_index.compile import compiled
from search.azure_index.schema import definition
from search.azure_index.wire import upload
from search.document import document
from search.query import FACETS, Area, Hit, Near, Query, Results
from search.tantivy_index import open_tantivy
from tests.conftest import Run, entered
from tests.fakes.index import MemoryIndex
from tests.pictures import JANUARY, NAMES, PHOTOS, PLACES, TAGS, picture, pictures, queries
from tests.search_kit import Settled, standin_index
from tests.standins.search import SearchService
from tests.standins.search_query import State, answer
from tests.standins.search_schema import check_properties, columns, fault

CAPTIONS = ("a dog on the beach", "Two cats, running", "red cars parked", "", "an iPhone by the sea 写真")
LINES = (("SALE 50 %", "dogs welcome"), (), ("IMG_2034",))


def _corpus() -> list[Record]:
    """Return images in which every value occurs in many company."""
    return [
        picture(
            name if at < len(NAMES) else f"{at % 5}/{name}",
            *((TAGS[(at + offset) % len(TAGS)], 1 - ((at * 7 + offset * 3) % 20) / 20) for offset in range(at % 4)),
            caption=CAPTIONS[at % len(CAPTIONS)],
            size=(at * 37) % 11,
            taken=JANUARY + timedelta(days=at * 13 % 900, microseconds=at % 5) if at % 3 else None,
            format=("JPEG", "PNG", "GIF")[at % 3],
            colours=(("red", "blue"), ("grey",), ())[at % 3],
            camera=(None, "Canon", "Nikon")[at % 3],
            categories=(("pets",), ("Beach cars", "pets"), ())[at % 3],
            properties=((("season", "ss26"),), (("sku", f"{at}"), ("it's", "a=b")))[at % 2],
            text=LINES[at % 3],
            objects=((), ("dog", "red car"))[at % 2],
            people=at % 3,
            place=PLACES[at % 8] if at % 8 < len(PLACES) else None,
            classifier=f"fake:{at % 2}",
            sides=((640, 480), (3000, 2000), (480, 640))[at % 3],
            group=("", NAMES[4], NAMES[5])[at % 3],
        )
        for at, name in enumerate(name for _ in range(4) for name in NAMES)
    ]


@pytest.fixture
def both(tmp_path: Path, run: Run) -> Iterator[tuple[object, object]]:
    with entered(run, open_tantivy(tmp_path / "index")) as embedded, entered(run, standin_index(SearchService())) as azure:
        corpus = _corpus()
        for index in (embedded, Settled(azure)):
            assert run(index.publish(corpus)) == [None] * len(corpus)
        yield embedded, azure


EVERYTHING = Query(facets=FACETS, facet_limit=7, limit=100)
QUERIES = [
    *(Query(text) for text in ("dog", "dogs", "DOG", "dög", "cat running", "the dog on a beach", "the", "on", "of", "hot dog")),
    *(Query(text) for text in ("DogFood", "dogfood", "dog food 2", "img 2034", "IMG_2034", "iphone", "写", "写真", "שלום", "🐶")),
    *(
        Query(text)
        for text in ("red cars", "parking", "sale 50", "jpg", "!!!", 'dog AND "beach', "-dog +cat", "name:x OR y", "x*", "pets")
    ),
    Query(tags_all=("dog",)),
    Query(tags_all=("hot dog", "beach")),
    Query(tags_none=("dog", "it's")),
    Query("dog", tags_all=("Dog",), tags_none=("cat",)),
    Query(tags_all=("dog",), confidence=0.65),
    Query(confidence=0.95),
    Query(categories=("pets",)),
    Query(properties=("season=ss26",), categories=("Beach cars",)),
    Query(properties=("it's=a=b",)),
    Query(has_text=True, has_people=False),
    Query("welcome", has_people=True),
    Query("ss26"),
    Query(prefix="a/"),
    Query(prefix="a"),
    Query(prefix="q\"uo'te\n"),
    Query(prefix="🐶"),
    Query(after=JANUARY, before=JANUARY + timedelta(days=200, microseconds=3)),
    Query(formats=("PNG", "GIF")),
    Query(min_size=3, max_size=7),
    Query(sort="newest"),
    Query(sort="oldest", min_size=2),
    Query(sort="largest"),
    Query(sort="smallest", formats=("JPEG",)),
    Query(sort="name", limit=7, page=3),
    Query("dog", sort="newest", limit=5, page=2),
    *(Query(phrases=(phrase,)) for phrase in ("hot dog", "dog on", "on the beach", "cars", "car", "SALE 50", "Dogs welcome")),
    *(Query(phrases=(phrase,)) for phrase in ("welcome dogs", "写真", "dog hot", "a dog on the beach", "!")),
    *(Query(words_none=(word,)) for word in ("dog", "cars", "DogFood", "the", "!!!", "写")),
    *(Query(phrases_none=(phrase,)) for phrase in ("hot dog", "two cats", "beach dog")),
    Query("dog", phrases=("hot dog",), words_none=("cat",)),
    Query("cat", words_none=("dog", "red"), phrases_none=("running",)),
    Query(tags_any=("dog", "hot dog")),
    Query(tags_any=("beach", "it's"), confidence=0.8),
    Query(tags_any=("beach", "cat"), tags_all=("dog",), confidence=0.7),
    Query(tags_any=("nothing",)),
    Query(folders=("a",)),
    Query(folders=("", "a/b")),
    Query(cameras=("Canon",)),
    Query(cameras=("Canon", "Nikon"), formats=("PNG",)),
    Query(classifiers=("fake:1",)),
    Query(min_width=640),
    Query(min_width=1000, min_height=1000),
    Query(min_height=500),
    Query(colours=("red",)),
    Query(colours=("red", "blue")),
    Query(objects=("dog",)),
    Query(objects=("dog", "red car"), has_people=True),
    *(Query(area=Area(*area)) for area in ((50, 10, 54, 15), (52.52, 13.405, 52.52, 13.405), (-20, 170, -10, -170))),
    *(Query(area=Area(*area)) for area in ((-90, -180, 90, 180), (54, 10, 50, 15), (60, -30, 70, -20))),
    *(Query(near=Near(*near)) for near in ((52.5, 13.3, 30), (52.5, 13.3, 10), (52.5, 13.3, 600), (-17, 179.9, 300))),
    *(Query(near=Near(*near)) for near in ((89, -170, 900), (48.2, 16.37, 0.001), (0, 0, 25_000), (64, -22, 20))),
    Query("dog", near=Near(52.5, 13.3, 600), sort="newest"),
    Query(has_people=False, has_text=False, sort="largest"),
    *(Query(copies=copies) for copies in ("all", "hide", "only")),
    *(Query(group=blob_id(PHOTOS, name)) for name in (NAMES[4], NAMES[5], "nothing")),
    Query("dog", group=blob_id(PHOTOS, NAMES[5]), copies="only"),
    Query(confidence=0.5, sort="oldest", formats=("GIF", "nothing")),
]


def _in_common(found: Results, query: Query) -> tuple[int, Sequence[str], object]:
    """Return what has to agree: ids in their order unless they come by relevance, which each index measures in its own way."""
    ids = [hit.id for hit in found.hits]
    return found.count, sorted(ids) if query.sort == "relevance" and query.text.strip() else ids, dict(found.facets)


def test_both_give_the_same_ids_counts_and_facets(both: tuple[Settled, Settled], run: Run) -> None:
    assert len(QUERIES) >= 100
    found = 0
    for asked in QUERIES:
        limit = {} if asked.limit != Query().limit else {"limit": 100}
        query = Query(**{field: getattr(asked, field) for field in asked.__slots__} | {"facets": FACETS, "facet_limit": 4} | limit)
        embedded, azure = (run(index.search(query)) for index in both)
        assert _in_common(azure, query) == _in_common(embedded, query), query
        found += bool(azure.count)
    assert found >= 90


def test_both_show_the_same_of_every_image(both: tuple[Settled, Settled], run: Run) -> None:
    embedded, azure = (run(index.search(EVERYTHING)).hits for index in both)
    assert len(azure) == len(_corpus())
    assert azure == embedded


def test_both_list_the_same_revisions(both: tuple[Settled, Settled], run: Run) -> None:
    async def listed(index: Settled) -> list[tuple[str, str, int]]:
        return [revision async for batch in index.revisions(_corpus()[0].source) for revision in batch]

    embedded, azure = (run(listed(index)) for index in both)
    assert azure == embedded


DEFINITION = definition("images", dimensions=None)
NARROWING = [name for name in Query().__slots__ if name not in ("facets", "facet_limit", "limit", "page")]


def by_the_stand_in(documents: Sequence[Record], query: Query) -> Results:
    """Publish and ask without a network between: every document and every request as they are on the wire."""
    state = State(DEFINITION, columns(DEFINITION))
    for record in documents:
        sent = json.loads(upload(document(record), dimensions=None))
        assert sent.pop("@search.action") == "upload"
        check_properties(sent, state.fields)
        assert fault(sent, state.fields) is None
        state.put(record.id, sent)
    body = compiled(query)
    if body is None:
        return nothing(query)
    found = answer(state, json.loads(json.dumps(body)), 1000)
    return results(query, found["@odata.count"], found["value"], found.get("@search.facets", {}))


@given(st.lists(pictures, max_size=8), queries, st.sets(st.sampled_from(NARROWING), max_size=3))
@settings(deadline=None)
def test_any_query_over_any_images_finds_what_the_plain_way_finds(
    documents: list[Record], asked: Query, narrowing: set[str]
) -> None:
    query = replace(Query(facets=FACETS, facet_limit=4, limit=100), **{name: getattr(asked, name) for name in narrowing})
    plain = MemoryIndex()
    asyncio.run(plain.publish(documents))
    expected, found = asyncio.run(plain.search(query)), by_the_stand_in(documents, query)
    assert _in_common(found, query) == _in_common(expected, query)


@given(st.lists(pictures, min_size=4, max_size=8), st.sampled_from(["dog", "cat", "beach", "dogs"]))
@settings(deadline=None)
def test_one_word_orders_any_images_as_the_plain_way_does(documents: list[Record], word: str) -> None:
    plain, query = MemoryIndex(), Query(word, facets=(), limit=100)
    asyncio.run(plain.publish(documents))
    worths = _worths(asyncio.run(plain.search(query)), by_the_stand_in(documents, query))
    assert not any(before.score - after.score > GRAIN for before, after in pairwise(worths))


GRAIN = 0.5
"""What the worth of a word may differ by without the order showing it: repeated words count in quarters, for each of its parts."""


def _worths(expected: Results, found: Results) -> Sequence[Hit]:
    """Return the hits of the plain way, from the last of the order that the service gave to the first."""
    plain = {hit.id: hit for hit in expected.hits}
    return [plain[hit.id] for hit in reversed(found.hits)]


def test_both_know_which_of_its_group_an_image_is(both: tuple[Settled, Settled], run: Run) -> None:
    copies = {record.id for record in _corpus() if record.group not in ("", record.id)}
    grouped = {record.id for record in _corpus() if record.group == blob_id(PHOTOS, NAMES[5])}
    others = {record.id for record in _corpus()} - copies
    assert copies
    assert others
    assert grouped - copies
    for index in both:
        found = {name: run(index.search(Query(limit=100, copies=name))).hits for name in ("hide", "only")}
        assert {hit.id for hit in found["hide"]} == others
        assert {hit.id for hit in found["only"]} == copies
        assert all(hit.copy and hit.group for hit in found["only"])
        assert {hit.id for hit in run(index.search(Query(limit=100, group=blob_id(PHOTOS, NAMES[5])))).hits} == grouped
