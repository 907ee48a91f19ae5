"""What every index does: the ports `Index` and `Searcher`."""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from jobs.errors import Misconfigured
from jobs.model import Outcome, Record
from jobs.ports import Index
from search.query import Bucket, Likeness, Query, Searcher
from search.rebuild import rebuild
from search.tantivy_index import open_tantivy
from tests.conftest import Run, entered
from tests.fakes.index import MemoryIndex
from tests.fakes.store import MemoryStore
from tests.pictures import JANUARY, PHOTOS, picture
from tests.search_kit import Settled, standin_index
from tests.standins.search import SearchService


class Searched(Index, Searcher, Likeness, Protocol):
    """What an index is: what is published is found."""


@asynccontextmanager
async def _memory(_: Path) -> AsyncIterator[Searched]:
    yield MemoryIndex()


@asynccontextmanager
async def _tantivy(folder: Path) -> AsyncIterator[Searched]:
    async with open_tantivy(folder / "index") as index:
        yield index


@asynccontextmanager
async def _azure_search(_: Path) -> AsyncIterator[Searched]:
    async with standin_index(SearchService(lag=2, page=300)) as index:
        yield Settled(index)


OPENERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Searched]]] = {
    "azure-search": _azure_search,
    "memory": _memory,
    "tantivy": _tantivy,
}


@pytest.fixture(params=sorted(OPENERS))
def index(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Searched]:
    with entered(run, OPENERS[request.param](tmp_path)) as opened:
        yield opened


async def names(index: Searched, query: Query) -> Sequence[str]:
    return [hit.name for hit in (await index.search(query)).hits]


async def listed(index: Searched, source: str = PHOTOS) -> Sequence[tuple[str, str, int]]:
    return [revision async for batch in index.revisions(source) for revision in batch]


async def filled(index: Searched, *records: Record) -> Searched:
    assert await index.publish(records) == [None] * len(records)
    return index


def test_an_empty_index_answers(index: Searched, run: Run) -> None:
    found = run(index.search(Query("dog", tags_none=("cat",), prefix="a")))
    assert (found.count, found.hits) == (0, ())
    assert dict(found.facets) == {"tags": (), "folder": (), "format": ()}
    assert run(listed(index)) == []


def test_a_hit_shows_what_was_published(index: Searched, run: Run) -> None:
    taken = JANUARY.replace(microsecond=123456)
    record = picture("a/dog.png", ("dog", 0.123456789), ("pet", 0.1), caption="a dog", size=77, taken=taken, format="PNG", rev=5)
    run(filled(index, record))
    (hit,) = run(index.search(Query())).hits
    assert record.analysis
    assert (hit.id, hit.name, hit.caption, hit.tags) == (record.id, "a/dog.png", "a dog", record.analysis.tags)
    assert (hit.width, hit.height, hit.format, hit.size, hit.date) == (640, 480, "PNG", 77, taken)
    assert (hit.source, hit.rev) == (PHOTOS, 5)


def test_publishing_again_replaces_the_whole_document(index: Searched, run: Run) -> None:
    run(filled(index, picture("x", ("dog", 0.9), caption="a dog"), picture("y", ("dog", 0.9))))
    run(filled(index, picture("x", ("cat", 0.9), rev=2)))
    assert run(names(index, Query("dog"))) == ["y"]
    assert run(names(index, Query("cat"))) == ["x"]
    assert [rev for _, _, rev in run(listed(index))] == [2, 1]


def test_the_last_of_two_of_one_id_counts(index: Searched, run: Run) -> None:
    run(filled(index, picture("x", ("dog", 0.9)), picture("x", ("cat", 0.9), rev=2)))
    assert [rev for _, _, rev in run(listed(index))] == [2]


def test_one_that_never_fits_does_not_sink_the_others(index: Searched, run: Run) -> None:
    bad = replace(picture("bad"), analysis=None)
    reasons = run(index.publish([picture("x"), bad, picture("y")]))
    assert [reason is None for reason in reasons] == [True, False, True]
    assert run(names(index, Query())) == ["x", "y"]


def test_removing_what_is_there_and_what_is_not(index: Searched, run: Run) -> None:
    run(filled(index, picture("x"), picture("y")))
    run(index.remove([picture("x").id, picture("nowhere").id]))
    run(index.remove([]))
    assert run(index.publish([])) == []
    assert run(names(index, Query())) == ["y"]


def test_revisions_come_by_the_bytes_of_the_name_and_of_one_source(index: Searched, run: Run) -> None:
    mixed = ["a/x", "a-b", "a.jpg", "é", "z", "Z", "\U0001f436", "\uffff", "nul", "nul\0", "nul\0a", "line\nbreak", "שלום"]
    for some in (mixed[::2], mixed[1::2]):
        run(filled(index, *map(picture, some), *(picture(name, source="folder:/other") for name in some)))
    expected = sorted(mixed, key=str.encode)
    assert [(name, key) for name, key, _ in run(listed(index))] == [(name, picture(name).id) for name in expected]
    assert [name for name, _, _ in run(listed(index, "folder:/other"))] == expected
    assert run(listed(index, "folder:/")) == []
    assert run(names(index, Query(sort="name", limit=50)))[::2] == expected


def test_a_surer_tag_comes_first_then_captions_then_names(index: Searched, run: Run) -> None:
    run(filled(index, picture("dog_food.jpg", ("cat", 0.9)), picture("beach.jpg", ("cat", 0.9), caption="a dog and a cat")))
    run(filled(index, picture("unsure.jpg", ("cat", 0.9), ("dog", 0.05)), picture("sausage.jpg", ("hot dog", 0.99))))
    run(filled(index, picture("sure.jpg", ("dog", 0.9), ("cat", 0.4)), picture("none.jpg", ("cat", 0.9))))
    expected = ["sure.jpg", "unsure.jpg", "sausage.jpg", "beach.jpg", "dog_food.jpg"]
    assert run(names(index, Query("dog"))) == expected
    scores = [hit.score for hit in run(index.search(Query("dog"))).hits]
    assert scores == sorted(set(scores), reverse=True)


def test_a_tag_in_two_spellings_counts_once_as_the_surer(index: Searched, run: Run) -> None:
    run(filled(index, picture("twice", ("Dog", 0.6), ("dog", 0.5), ("hot dog", 0.9), ("dogs", 0.1)), picture("once", ("dog", 0.7))))
    both = Query("dog", tags_none=("hot dog",)), Query("dog")
    assert [run(names(index, query)) for query in both] == [["once"], ["twice", "once"]]
    run(filled(index, picture("twice", ("Dog", 0.6), ("dog", 0.5), ("dogs", 0.1))))
    assert run(names(index, Query("dog"))) == ["once", "twice"]
    run(filled(index, picture("twice", ("dogs", 0.8), ("dog", 0.5))))
    assert run(names(index, Query("dog"))) == ["twice", "once"]


def test_a_tag_of_just_these_words_comes_before_its_words_apart(index: Searched, run: Run) -> None:
    run(filled(index, picture("apart.jpg", ("red", 0.99), ("car", 0.99)), picture("one.jpg", ("red car", 0.5))))
    run(filled(index, picture("other.jpg", ("red car park", 0.99))))
    assert run(names(index, Query("red cars"))) == ["one.jpg", "apart.jpg", "other.jpg"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dogs", True),
        ("DOG", True),
        ("dög", True),
        ("beach dog", True),
        ("the dog on a beach", True),
        ("dog cat", False),
        ("dogfood", True),
        ("DogFood", True),
        ("dog_food", True),
        ("food 2", True),
        ("img 2034", True),
        ("IMG_2034", True),
        ("img2034", True),
        ("iphone", True),
        ("iPhone", True),
        ("jpg", True),
        ("do", False),
        ("写", True),
        ("the", False),
        ("on", True),
        ("!!!", False),
        ("   ", True),
        ('dog AND "beach', True),
        ('+dog -"beach"', True),
        ("caption:dog", False),
        ("dog*", True),
    ],
)
def test_words(index: Searched, run: Run, text: str, found: bool) -> None:  # noqa: FBT001  # a column of the table
    run(filled(index, picture("IMG_2034/DogFood_2.jpg", ("dog", 0.9), caption="an iPhone on a beach 写真")))
    assert run(index.search(Query(text))).count == found


def test_tags_are_exact_names_all_or_none(index: Searched, run: Run) -> None:
    run(filled(index, picture("1", ("dog", 0.9), ("cat", 0.2)), picture("2", ("dog", 0.3)), picture("3", ("Dog", 1.0))))
    assert run(names(index, Query(tags_all=("dog",)))) == ["1", "2"]
    assert run(names(index, Query(tags_all=("dog", "cat")))) == ["1"]
    assert run(names(index, Query(tags_none=("dog",)))) == ["3"]
    assert run(names(index, Query(tags_all=("do",)))) == []


def test_confidence_is_of_each_tag_asked_for_else_of_the_best(index: Searched, run: Run) -> None:
    run(filled(index, picture("1", ("dog", 0.9), ("cat", 0.85)), picture("2", ("dog", 0.3), ("cat", 0.95)), picture("3")))
    assert run(names(index, Query(tags_all=("dog",), confidence=0.9))) == ["1"]
    assert run(names(index, Query(tags_all=("dog",), confidence=0.900001))) == []
    assert run(names(index, Query(tags_all=("dog", "cat"), confidence=0.3))) == ["1", "2"]
    assert run(names(index, Query(tags_all=("dog", "cat"), confidence=0.85))) == ["1"]
    assert run(names(index, Query(confidence=0.92))) == ["2"]
    assert run(names(index, Query(confidence=0.0))) == ["1", "2", "3"]
    assert run(names(index, Query(confidence=7.0))) == []


def test_prefixes_are_of_the_very_characters(index: Searched, run: Run) -> None:
    all_of_them = ["a.*", "a/b/c", "a/bc", "aB", "a\nb", "ab", "é", "x" * 64, "x" * 64 + "/y", "x" * 300, "\U0001f436" * 100]
    run(filled(index, *map(picture, all_of_them)))
    prefixes = ["a", "a/", "a/b", "a/b/", "a.", "a.*", "a\n", "e", "é", "x" * 63, "x" * 64, "x" * 65, "x" * 299, "x" * 301]
    for prefix in [*prefixes, "\U0001f436" * 99, "\U0001f436" * 5000, "", "A", "\ud800"]:
        expected = sorted((name for name in all_of_them if name.startswith(prefix)), key=str.encode)
        assert run(names(index, Query(prefix=prefix))) == expected, prefix


def test_dates_are_of_the_capture_else_of_the_change(index: Searched, run: Run) -> None:
    tick = timedelta(microseconds=1)
    run(filled(index, picture("taken", taken=JANUARY - tick), picture("changed", modified=JANUARY)))
    assert run(names(index, Query(after=JANUARY))) == ["changed"]
    assert run(names(index, Query(before=JANUARY))) == ["taken"]
    assert run(names(index, Query(after=JANUARY - tick, before=JANUARY + tick))) == ["changed", "taken"]
    assert run(names(index, Query(sort="newest"))) == ["changed", "taken"]
    assert run(names(index, Query(sort="oldest"))) == ["taken", "changed"]


def test_formats_and_sizes(index: Searched, run: Run) -> None:
    run(filled(index, picture("1", size=10), picture("2", size=20, format="PNG"), picture("3", size=30, format="GIF")))
    assert run(names(index, Query(formats=("PNG", "GIF")))) == ["2", "3"]
    assert run(names(index, Query(formats=("PN",)))) == []
    assert run(names(index, Query(min_size=20, max_size=30))) == ["2", "3"]
    assert run(names(index, Query(min_size=21, max_size=29))) == []
    assert run(names(index, Query(max_size=10**30))) == ["1", "2", "3"]
    assert run(names(index, Query(sort="largest"))) == ["3", "2", "1"]
    assert run(names(index, Query(sort="smallest"))) == ["1", "2", "3"]


def test_facets_count_all_that_is_found_most_frequent_first(index: Searched, run: Run) -> None:
    records = []
    for at in range(30):
        tags = (("dog", 0.9), ("dog", 0.8)) if at < 20 else (("cat", 0.9),)
        taken = JANUARY.replace(year=2001 + at % 2)
        colours = ("red", "blue", "red")
        records.append(picture(f"f{at % 3}/{at}", *tags, taken=taken, colours=colours, camera="Canon" if at % 2 else None))
    run(filled(index, *records))
    run(filled(index, picture("top", format="PNG", modified=JANUARY)))
    found = run(index.search(Query(facets=("tags", "folder", "format", "colours", "camera", "year"), facet_limit=3, limit=2)))
    assert found.count == 31
    assert found.facets["tags"] == (Bucket("dog", 20), Bucket("cat", 10))
    assert found.facets["folder"] == (Bucket("f0", 10), Bucket("f1", 10), Bucket("f2", 10))
    assert found.facets["format"] == (Bucket("JPEG", 30), Bucket("PNG", 1))
    assert found.facets["colours"] == (Bucket("blue", 30), Bucket("red", 30))
    assert found.facets["camera"] == (Bucket("Canon", 15),)
    assert found.facets["year"] == (Bucket("2001", 15), Bucket("2002", 15), Bucket("2024", 1))
    assert run(index.search(Query("dog", facets=("folder",), facet_limit=1))).facets["folder"] == (Bucket("f0", 7),)
    assert run(index.search(Query(tags_all=("dog",), facets=("tags",)))).facets["tags"] == (Bucket("dog", 20),)
    assert run(index.search(Query(facets=("tags",), facet_limit=0))).facets == {"tags": ()}


def test_facets_are_exact_however_the_index_is_cut(index: Searched, run: Run) -> None:
    for part in range(5):
        here = [picture(f"{(at * 7 + part) % 50:02} of {part}/{number}") for at in range(50) for number in range(3)]
        run(filled(index, *here, *(picture(f"everywhere/{part}-{number}") for number in range(2))))
    folders = ["everywhere", *sorted(f"{at:02} of {part}" for at in range(50) for part in range(5))]
    for most in (1, 2, 7, 33, 250, 251, 252):
        found = run(index.search(Query(facets=("folder",), facet_limit=most, limit=0))).facets["folder"]
        assert [bucket.value for bucket in found] == folders[:most]
        assert [bucket.count for bucket in found] == [10, *(250 * [3])][:most]


def test_pages_cover_everything_once_in_an_order_that_stays(index: Searched, run: Run) -> None:
    for part in range(6):
        tags = [("dog", 0.5 + part % 2 / 4)]
        run(filled(index, *(picture(f"{at}-{part}", *tags, size=at % 3, taken=JANUARY) for at in range(7))))
    for sort in ("relevance", "newest", "oldest", "name", "largest", "smallest"):
        whole = run(names(index, Query("dog", sort=sort, limit=100)))
        assert len(set(whole)) == 42
        paged = [name for page in range(1, 7) for name in run(names(index, Query("dog", sort=sort, limit=8, page=page)))]
        assert paged == whole
        assert run(index.search(Query("dog", sort=sort, limit=8, page=6))).count == 42
        assert run(names(index, Query("dog", sort=sort, limit=8, page=7))) == []


def test_ties_are_in_the_order_of_the_ids(index: Searched, run: Run) -> None:
    for part in range(4):
        run(filled(index, *(picture(str(at), ("dog", 0.5)) for at in range(part * 5, part * 5 + 5))))
    for query in (Query("dog", limit=5, page=2), Query(sort="newest", limit=5, page=2)):
        ids = [hit.id for hit in run(index.search(query)).hits]
        assert ids == sorted(picture(str(at)).id for at in range(20))[5:10]


@pytest.mark.parametrize(
    "query",
    [
        Query(limit=1000, page=101),
        Query(page=0),
        Query(limit=-1),
        Query(facets=("names",)),
        Query(facet_limit=10_001),
        Query(sort="best"),  # type: ignore[arg-type]  # what a caller without a type checker may write
    ],
)
def test_queries_that_make_no_sense_are_refused(index: Searched, run: Run, query: Query) -> None:
    with pytest.raises(Misconfigured):
        run(index.search(query))


class Moving(MemoryStore):
    """A ledger of which a sweep changes one record, and hides another, while they are read for the first time."""

    moved = False

    async def look_up(self, ids: Sequence[str], **how: Any) -> Mapping[str, Record]:
        found = await super().look_up(ids, **how)
        if not self.moved:
            self.moved = True
            newer = [replace(picture("moves", ("cat", 0.9), rev=2)), replace(picture("dies", rev=2), outcome=Outcome.DEAD)]
            await self.write([replace(one, version=found[one.id].version) for one in newer])
        return found


def test_rebuilding_publishes_again_what_moved_meanwhile(index: Searched, run: Run) -> None:
    ledger = Moving()
    run(ledger.write([picture(name, ("dog", 0.9)) for name in ("dies", "moves", "stays")]))
    assert run(rebuild(ledger=ledger, index=index, sources=[PHOTOS])) == 2
    assert [(name, rev) for name, _, rev in run(listed(index))] == [("moves", 2), ("stays", 1)]
    assert run(names(index, Query("cat"))) == ["moves"]


def test_rebuilding_publishes_what_the_ledger_shows(index: Searched, run: Run) -> None:
    ledger = MemoryStore()
    shown = [picture(f"{at:04}", ("dog", 0.5)) for at in range(1203)]
    hidden = replace(picture("hidden"), analysis=None, analysed=None)
    run(ledger.write([*shown, hidden, picture("other", source="folder:/other")]))
    assert run(rebuild(ledger=ledger, index=index, sources=[PHOTOS])) == 1203
    assert [name for name, _, _ in run(listed(index))] == [record.name for record in shown]
    assert run(listed(index, "folder:/other")) == []


def vector(*numbers: float) -> bytes:
    length = math.sqrt(sum(number * number for number in numbers))
    return struct.pack("<4f", *(number / length for number in numbers))


def pictured(name: str, embedding: bytes | None, *tags: tuple[str, float], rev: int = 1) -> Record:
    made = picture(name, *tags, rev=rev)
    assert made.analysis
    return replace(made, analysis=replace(made.analysis, embedding=embedding))


def test_what_is_like_a_vector_comes_in_the_order_of_likeness(index: Searched, run: Run) -> None:
    images = [pictured("far", vector(0, 1, 0, 0)), pictured("near", vector(1, 0.5, 0, 0)), pictured("same", vector(1, 0, 0, 0))]
    run(filled(index, *images, pictured("opposite", vector(-1, 0, 0, 0)), pictured("without", None)))
    found = run(index.similar(vector(1, 0, 0, 0), Query("words do not count", limit=3)))
    assert [hit.name for hit in found.hits] == ["same", "near", "far"]
    assert [hit.score for hit in found.hits] == pytest.approx([1, 0.8944, 0], abs=1e-3)
    assert run(index.similar(vector(1, 0, 0, 0), Query(limit=0))).hits == ()
    assert run(index.similar(b"1234", Query())).hits == ()


def test_likeness_is_narrowed_down_by_filters(index: Searched, run: Run) -> None:
    images = [pictured(f"{at}", vector(1, at, 0, 0), ("dog" if at % 2 else "cat", 0.9)) for at in range(9)]
    run(filled(index, *images))
    found = run(index.similar(vector(1, 0, 0, 0), Query(tags_all=("dog",), limit=3)))
    assert [hit.name for hit in found.hits] == ["1", "3", "5"]
    assert run(index.similar(vector(1, 0, 0, 0), Query(tags_all=("bird",)))).hits == ()


def test_likeness_knows_what_was_replaced_and_removed(index: Searched, run: Run) -> None:
    run(filled(index, *(pictured(f"{at}", vector(1, at / 100, 0, 0)) for at in range(40))))
    run(filled(index, *(pictured(f"{at}", vector(0, 0, 1, at / 100), rev=2) for at in range(30))))
    run(index.remove([picture(f"{at}").id for at in range(30, 36)]))
    found = run(index.similar(vector(1, 0, 0, 0), Query(limit=5)))
    assert [hit.name for hit in found.hits][:4] == ["36", "37", "38", "39"]
    assert found.hits[4].score == pytest.approx(0, abs=1e-3)
    run(filled(index, pictured("39", None, rev=3)))
    assert [hit.name for hit in run(index.similar(vector(1, 0, 0, 0), Query(limit=3))).hits] == ["36", "37", "38"]
