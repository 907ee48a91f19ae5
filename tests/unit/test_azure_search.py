"""The adapter over the stand-in: batches, faults of documents and of the service, and the life of an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import pytest
from azure.core.credentials import AccessToken, AzureKeyCredential

from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient
from jobs.model import Record
from jobs.retry import Policy
from search.azure_index import AzureLife, AzureSearchIndex, Place, create_azure_search, open_azure_life, open_azure_search
from search.azure_index.batches import batches
from search.azure_index.schema import SCHEMA
from search.azure_index.service import opened
from search.document import document
from search.query import Query
from tests.conftest import Run, entered
from tests.pictures import PHOTOS, picture
from tests.search_kit import ADMIN, address_of
from tests.standins.search import Fault, SearchService
from tests.standins.search_http import Refused

A, B, C = picture("a"), picture("b"), picture("c")


@pytest.fixture
def service() -> SearchService:
    return SearchService()


@pytest.fixture
def place(service: SearchService) -> Place:
    return Place.parse(f"{address_of(service)}/images")


class Waits:
    """A sleep that takes no time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def index(place: Place, waits: Waits, run: Run) -> Iterator[AzureSearchIndex]:
    run(create_azure_search(place, ADMIN, dimensions=2))
    with entered(run, opened(place, ADMIN)) as service:
        yield AzureSearchIndex(service, dimensions=2, policy=Policy(attempts=3), sleep=waits, random=lambda: 1.0)


def held(service: SearchService) -> set[str]:
    return {str(one["name"]) for index in service.indexes.values() for one in index.stored.values()}


def raises(run: Run, opening: AbstractAsyncContextManager[object]) -> SweepError:
    with pytest.raises(SweepError) as caught, entered(run, opening):
        pass
    return caught.value


def test_batches_hold_no_more_than_the_service_takes() -> None:
    assert [len(one) for one in batches({str(at): b"{}" for at in range(2500)})] == [1000, 1000, 500]
    assert [list(one) for one in batches({"1": b"x" * 9_000_000, "2": b"x" * 9_000_000, "3": b"x", "4": b"x" * 20_000_000})] == [
        ["1"],
        ["2", "3"],
        ["4"],
    ]
    assert list(batches({})) == []


@pytest.mark.parametrize("status", [409, 422, 503])
def test_what_a_document_meets_in_passing_is_sent_again_alone(
    index: AzureSearchIndex, service: SearchService, waits: Waits, run: Run, status: int
) -> None:
    service.documents = {B.id: [(status, "busy"), (status, "busy")]}
    assert run(index.publish([A, B, C])) == [None] * 3
    assert held(service) == {"a", "b", "c"}
    assert service.calls["search.index"] == 3
    assert waits.seconds == [0.5, 1.0]


def test_what_does_not_pass_is_a_passing_fault_of_the_batch(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    service.documents = {B.id: [(503, "busy")] * 3}
    with pytest.raises(Transient, match="1 of 3 documents"):
        run(index.publish([A, B, C]))
    assert run(index.publish([A, B, C])) == [None] * 3


def test_a_document_that_is_refused_for_good_is_named_and_not_sent_again(
    index: AzureSearchIndex, service: SearchService, run: Run
) -> None:
    service.documents = {B.id: [(400, "it is odd")]}
    assert run(index.publish([A, B, C])) == [None, "status 400, it is odd", None]
    assert held(service) == {"a", "c"}
    assert service.calls["search.index"] == 1


def test_an_index_that_is_full_stops_the_run(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    service.quota = 2
    with pytest.raises(StorageFailed, match="takes no more documents"):
        run(index.publish([A, B, C]))
    assert service.calls["search.index"] == 1
    assert held(service) == {"a", "b"}


def test_what_is_too_large_goes_in_halves_down_to_the_one_that_is(
    index: AzureSearchIndex, service: SearchService, waits: Waits, run: Run
) -> None:
    large = picture("large", caption="word " * 2000)
    service.most_bytes = 6000
    some = [picture(str(at)) for at in range(7)]
    reasons = run(index.publish([*some[:3], large, *some[3:]]))
    assert [reason is None for reason in reasons] == [True] * 3 + [False] + [True] * 4
    assert "too large" in str(reasons[3])
    assert waits.seconds == []
    assert held(service) == {str(at) for at in range(7)}


def test_a_document_over_the_limit_is_not_sent(
    index: AzureSearchIndex, service: SearchService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.azure_index.index.DOCUMENT", 5000)
    reasons = run(index.publish([picture("large", caption="word " * 1000), A]))
    assert [reason is None for reason in reasons] == [False, True]
    assert held(service) == {"a"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "a" * 17_000}, "longer than"),
        ({"name": "\ud800"}, "Unicode"),
        ({"id": "_x"}, "key"),
        ({"id": "a/b"}, "key"),
    ],
)
def test_what_never_fits_is_told_before_it_is_sent(
    index: AzureSearchIndex, service: SearchService, run: Run, change: dict[str, Any], reason: str
) -> None:
    told = run(index.publish([replace(A, **change), B]))
    assert reason in str(told[0])
    assert told[1] is None
    assert service.calls["search.index"] == 1


def test_the_last_of_one_id_counts_even_if_it_never_fits(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    reasons = run(index.publish([A, replace(A, analysis=None)]))
    assert reasons == ["it has no analysis"] * 2
    assert held(service) == set()


@pytest.mark.parametrize(
    "fault", [Fault(503), Fault(429, {"Retry-After": "0"}), Fault(500), Fault(reset=True), Fault(502, body="<html>")]
)
def test_a_failed_batch_is_for_the_caller_and_a_failed_query_is_asked_again(
    index: AzureSearchIndex, service: SearchService, run: Run, fault: Fault
) -> None:
    service.faults = [replace(fault, on="search.index")]
    with pytest.raises(Transient):
        run(index.publish([A]))
    assert run(index.publish([A])) == [None]
    service.faults = [replace(fault, on="search.post.search", headers={"Retry-After": "0"})]
    assert run(index.search(Query())).count == 1


def test_an_answer_that_was_lost_is_no_harm(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    service.faults = [Fault(reset=True, after=True, on="search.index")]
    with pytest.raises(Transient) as caught:
        run(index.publish([A]))
    assert caught.value.unknown
    assert held(service) == {"a"}
    assert run(index.publish([A])) == [None]


def test_an_embedding_of_another_length_is_left_out(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    def seen(record: Record, *numbers: float) -> Record:
        assert record.analysis
        return replace(record, analysis=replace(record.analysis, embedding=np.array(numbers, "<f4").tobytes()))

    assert run(index.publish([seen(A, 0.6, 0.8), seen(B, 1.0, 0.0, 0.0), C])) == [None] * 3
    stored = {str(one["name"]): one.get("embedding") for made in service.indexes.values() for one in made.stored.values()}
    assert stored == {"a": [0.6, 0.8], "b": None, "c": None}


def test_places_on_earth_and_no_others(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    def at(record: Record, latitude: float, longitude: float) -> Record:
        assert record.analysis
        facts = replace(record.analysis.facts, latitude=latitude, longitude=longitude)
        return replace(record, analysis=replace(record.analysis, facts=facts))

    assert run(index.publish([at(A, 48.8, 2.3), at(B, 91, 0), at(C, float("nan"), 0)])) == [None] * 3
    stored = {str(one["name"]): one["location"] for made in service.indexes.values() for one in made.stored.values()}
    assert stored == {"a": {"type": "Point", "coordinates": [2.3, 48.8]}, "b": None, "c": None}


def test_every_field_of_a_document_has_one_in_the_definition(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    run(index.publish([A]))
    (made,) = service.indexes.values()
    known = {field["name"] for field in made.definition["fields"]}
    apart = {"latitude", "longitude"}
    assert set(document(A).__slots__) - apart <= known
    assert set(made.stored[A.id]) == known


def test_deep_pages_come_in_parts(index: AzureSearchIndex, service: SearchService, run: Run) -> None:
    service.page = 3
    run(index.publish([picture(f"{at:02}") for at in range(20)]))
    assert [hit.name for hit in run(index.search(Query(limit=8, page=2))).hits] == [f"{at:02}" for at in range(8, 16)]
    assert run(index.count()) == 20


def test_facets_beyond_what_was_asked_for_are_asked_for_again(
    index: AzureSearchIndex, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.azure_index.compile.COUNTED", 1)
    run(index.publish([picture(f"{at}/x") for at in range(9)]))
    found = run(index.search(Query(facets=("folder",), facet_limit=3))).facets["folder"]
    assert [bucket.value for bucket in found] == ["0", "1", "2"]


def test_a_reader_writes_nothing(place: Place, service: SearchService, run: Run) -> None:
    run(create_azure_search(place, ADMIN, dimensions=2))
    with entered(run, open_azure_search(place, ADMIN, read_only=True)) as index:
        with pytest.raises(Misconfigured, match="read only"):
            run(index.publish([A]))
        with pytest.raises(Misconfigured, match="read only"):
            run(index.remove(["x"]))
    assert service.calls["search.index"] == 0


def test_creating_again_changes_nothing(place: Place, service: SearchService, run: Run) -> None:
    assert "was made" in run(create_azure_search(place, ADMIN, dimensions=2))
    assert "is there" in run(create_azure_search(place, ADMIN, dimensions=2))
    assert (set(service.indexes), service.aliases) == ({"images-v1"}, {"images": "images-v1"})
    with pytest.raises(Misconfigured, match="vectors of 2 numbers"):
        run(create_azure_search(place, ADMIN, dimensions=3))


def test_creating_goes_on_where_it_was_killed(place: Place, service: SearchService, run: Run) -> None:
    service.faults = [Fault(400, on="indexes('images-v1')", after=True)]
    with pytest.raises(Misconfigured):
        run(create_azure_search(place, ADMIN, dimensions=2))
    assert (set(service.indexes), service.aliases) == ({"images-v1"}, {})
    assert "was made" in run(create_azure_search(place, ADMIN, dimensions=2))
    assert service.aliases == {"images": "images-v1"}


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def life(place: Place) -> AbstractAsyncContextManager[AzureLife]:
    return open_azure_life(place, ADMIN, dimensions=2, now=lambda: NOW)


def test_an_alias_moves_and_the_old_index_is_deleted_by_its_name(place: Place, service: SearchService, run: Run) -> None:
    run(create_azure_search(place, ADMIN, dimensions=2))
    for other in ("images-v1-of-another", "images-video-v1"):
        run(create_azure_search(Place(place.endpoint, other), ADMIN, dimensions=2))
    with entered(run, life(place)) as indexes:
        assert run(indexes.make()) == "images-v20260102030405"
        assert run(indexes.beside()) == ["images-v20260102030405"]
        run(indexes.switch("images-v20260102030405"))
        assert service.aliases["images"] == "images-v20260102030405"
        assert run(indexes.beside()) == ["images-v1"]
        run(indexes.drop("images-v1"))
        run(indexes.drop("images-v20260102030405"))
        assert run(indexes.in_use()) == "images-v20260102030405"
        assert indexes.propagation == 15.0
    assert set(service.indexes) == {"images-v20260102030405", "images-v1-of-another-v1", "images-video-v1-v1"}


def test_an_index_that_cannot_be_deleted_is_said_to_be_there_still(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(create_azure_search(place, ADMIN, dimensions=2))
    with entered(run, life(place)) as indexes:
        name = run(indexes.make())
        define = SearchService._define

        def refusing(self: SearchService, method: str, *about: Any) -> Any:
            if method == "DELETE":
                raise Refused(403, "not today")
            return define(self, method, *about)

        monkeypatch.setattr(SearchService, "_define", refusing)
        with pytest.raises(Misconfigured, match="403"):
            run(indexes.drop(name))
        assert run(indexes.beside()) == [name]


def test_an_index_without_an_alias_is_not_replaced(place: Place, service: SearchService, run: Run) -> None:
    run(create_azure_search(place, ADMIN, dimensions=2))
    service.indexes = {"images": service.indexes["images-v1"]}
    service.aliases = {}
    assert "without an alias" in run(create_azure_search(place, ADMIN, dimensions=2))
    with entered(run, life(place)) as indexes:
        assert run(indexes.in_use()) == "images"
        with pytest.raises(Misconfigured, match="not of an alias"):
            run(indexes.make())
    assert set(service.indexes) == {"images"}


def test_an_index_that_does_not_fit_is_refused_when_it_is_opened(place: Place, service: SearchService, run: Run) -> None:
    error = raises(run, open_azure_search(place, ADMIN))
    assert isinstance(error, Misconfigured)
    assert "imagesweep index create" in error.hint
    run(create_azure_search(place, ADMIN, dimensions=2))
    assert "vectors" in str(raises(run, open_azure_search(place, ADMIN, dimensions=3)))
    definition = service.indexes["images-v1"].definition
    definition["description"] = definition["description"].replace(f"schema {SCHEMA}", "schema 0")
    assert "imagesweep index rebuild" in str(raises(run, open_azure_search(place, ADMIN)))
    definition["description"] = "hotels"
    assert "not one of ours" in str(raises(run, open_azure_search(place, ADMIN)))


def test_rights(place: Place, service: SearchService, run: Run) -> None:
    run(create_azure_search(place, ADMIN, dimensions=2))
    error = raises(run, open_azure_search(place, AzureKeyCredential("wrong")))
    assert isinstance(error, Misconfigured)
    assert "Search Index Data Contributor" in error.hint
    with entered(run, open_azure_search(place, AzureKeyCredential("contributor"))) as index:
        assert run(index.publish([A])) == [None]
    with entered(run, open_azure_search(place, AzureKeyCredential("query"))) as reader, pytest.raises(Misconfigured):
        run(reader.publish([A]))
    made = service.indexes["images-v1"]
    for field in ("rev", "categories"):
        made.state.fields.pop(field)  # type: ignore[attr-defined]  # an older index
    error = raises(run, open_azure_search(place, AzureKeyCredential("contributor")))
    assert "imagesweep index rebuild" in error.hint


def test_an_identity_does_not_speak_in_the_clear(place: Place, run: Run) -> None:
    class Identity:
        async def get_token(self, *_: str, **__: object) -> AccessToken:
            return AccessToken("t", 2**40)

        async def close(self) -> None: ...

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None: ...

    error = raises(run, open_azure_search(place, Identity()))
    assert isinstance(error, Misconfigured)
    assert "IMAGESWEEP_SEARCH_KEY" in error.hint


@pytest.mark.parametrize(
    "location",
    [
        "images",
        "https://x.search.windows.net",
        "http://x.search.windows.net/images",
        "https://x/Images",
        "https://x/a--b",
        "https://x/a/b",
    ],
)
def test_places_that_are_none(location: str) -> None:
    with pytest.raises(Misconfigured):
        Place.parse(location)


def test_revisions_begin_each_page_after_the_last_name(
    index: AzureSearchIndex, service: SearchService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.azure_index.index.PAGE", 2)
    run(index.publish([picture(name) for name in ("b", "a/x", "a.jpg", "a-b", "é")]))

    async def batches() -> list[list[str]]:
        return [[name for name, _, _ in batch] async for batch in index.revisions(PHOTOS)]

    assert run(batches()) == [["a-b", "a.jpg"], ["a/x", "b"], ["é"]]
    assert service.calls["search.post.search"] == 4
