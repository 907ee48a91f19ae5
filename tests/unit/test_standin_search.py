"""The stand-in's own filter language and refusals: what it lets through, the service has to take."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from search.azure_index.schema import definition
from tests.search_kit import address_of
from tests.standins import odata
from tests.standins.odata import BadFilter, Field
from tests.standins.search import Fault, SearchService
from tests.standins.search_schema import BadRequest, columns

FIELDS = {
    "name": Field("Edm.String"),
    "hidden": Field("Edm.String", filterable=False),
    "size": Field("Edm.Int64"),
    "best": Field("Edm.Double"),
    "good": Field("Edm.Boolean"),
    "date": Field("Edm.DateTimeOffset"),
    "place": Field("Edm.GeographyPoint"),
    "words": Field("Collection(Edm.String)"),
    "tags": Field("Collection(Edm.ComplexType)", fields={"name": Field("Edm.String"), "sure": Field("Edm.Double")}),
}
PARIS = {"type": "Point", "coordinates": [2.3522, 48.8566]}
ONE: Mapping[str, Any] = {
    "name": "it's",
    "size": 5,
    "best": 0.5,
    "good": True,
    "date": "2024-01-01T00:00:00Z",
    "place": PARIS,
    "words": ["a", "b"],
    "tags": [{"name": "dog", "sure": 0.9}, {"name": "cat", "sure": 0.1}],
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("name eq 'it''s'", True),
        ("'it''s' eq name", True),
        ("name ne null and camera eq null", None),
        ("size gt 4 and size le 5", True),
        ("5 lt size", False),
        ("best ge 0.5", True),
        ("best ge 1", False),
        ("good", True),
        ("not good or size eq 5", True),
        ("not (good or size eq 5)", False),
        ("size eq 1 or size eq 5 and good", True),
        ("(size eq 1 or size eq 5) and not good", False),
        ("date ge 2024-01-01T01:00:00+01:00", True),
        ("date lt 2024-01-01T00:00:00Z", False),
        ("words/any(w: w eq 'b')", True),
        ("words/any(w: w eq 'c' or w eq 'a')", True),
        ("words/all(w: w ne 'c')", True),
        ("words/any()", True),
        ("not words/any(w: search.in(w, 'x|b', '|'))", False),
        ("search.in(name, 'a, b')", False),
        ("tags/any(t: t/name eq 'dog' and t/sure ge 0.5)", True),
        ("tags/any(t: t/name eq 'cat' and t/sure ge 0.5)", False),
        ("tags/all(t: t/sure gt 0.05)", True),
        ("geo.distance(place, geography'POINT(-0.1276 51.5072)') le 350", True),
        ("geo.distance(place, geography'POINT(-0.1276 51.5072)') lt 300", False),
        ("true", True),
        ("size eq 9223372036854775807", False),
    ],
)
def test_filters_that_the_service_takes(text: str, holds: bool | None) -> None:  # noqa: FBT001  # a column of the table
    if holds is None:
        with pytest.raises(BadFilter, match="camera"):
            odata.parse(text, FIELDS)
    else:
        assert odata.parse(text, FIELDS)(ONE) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name eq",
        "name eq 'a",
        "name eq 'it's'",
        "name eq 5",
        "size eq '5'",
        "size eq 0.5",
        "size eq 9223372036854775808",
        "hidden eq 'a'",
        "nowhere eq 'a'",
        "words eq 'a'",
        "words/any(w: w ne 'a')",
        "words/any(w: w eq 'a' and w eq 'b')",
        "words/all(w: w eq 'a')",
        "words/all()",
        "tags/name eq 'dog'",
        "tags/any(t: t/other eq 'a')",
        "tags/any(name: name/name eq 'a') and",
        "good gt true",
        "size gt null",
        "place eq null",
        "geo.distance(place, geography'POINT(0 0)') eq 5",
        "search.in(size, '5')",
        "name eq 'a' xor good",
        "((((name eq 'a')))",
        "(" * 200 + "good" + ")" * 200,
        "1 eq 1",
    ],
)
def test_filters_that_the_service_refuses(text: str) -> None:
    with pytest.raises(BadFilter):
        odata.parse(text, FIELDS)


def _without(name: str) -> dict[str, Any]:
    made = definition("images", dimensions=8)
    made["fields"] = [field for field in made["fields"] if field["name"] != name]
    return made


def _with(name: str, **attributes: object) -> dict[str, Any]:
    made = definition("images", dimensions=8)
    made["fields"] = [{**field, **(attributes if field["name"] == name else {})} for field in made["fields"]]
    return made


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (_without("id"), "exactly one key"),
        (_without("caption"), "caption"),
        (_without("categories"), "categories"),
        (_with("tag_names", sortable=True), "cannot be sortable"),
        (_with("location", facetable=True), "cannot be facetable"),
        (_with("size", searchable=True), "cannot be searchable"),
        (_with("tags", filterable=True), "takes no filterable|cannot be filterable"),
        (_with("words", analyzer="word"), "Unknown analyzer"),
        (_with("embedding", dimensions=1), "dimensions"),
        (_with("embedding", vectorSearchProfile="nearness"), "unknown profile"),
        (_with("embedding", retrievable=True), "not stored"),
        (_with("name", colour="red"), "does not exist"),
        (_with("name", type="Edm.Text"), "Unknown type"),
        ({**definition("images", dimensions=8), "name": "Images"}, "Invalid index name"),
        ({**definition("images", dimensions=8), "tokenFilters": []}, "unknown token filters"),
        ({**definition("images", dimensions=8), "similarity": {"k1": 4}}, "BM25"),
    ],
)
def test_definitions_that_the_service_refuses(made: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        columns(made)


def test_the_definition_that_is_deployed_as_it_is_is_taken() -> None:
    assert columns(definition("images", dimensions=1280)).keys() >= {"id", "tags", "embedding"}
    assert "embedding" not in columns(definition("images", dimensions=None))


def _ask(address: str, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    about = {"api-key": "admin", "Content-Type": "application/json", "Prefer": "return=representation", **headers}
    request = urllib.request.Request(address + path, data, about, method=method)  # noqa: S310  # our own server
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def service() -> SearchService:
    return SearchService()


@pytest.fixture
def address(service: SearchService) -> str:
    found = address_of(service)
    assert _ask(found, "PUT", "/indexes('i1')?api-version=2026-04-01", definition("i1", dimensions=2))[0] == 201
    assert _ask(found, "PUT", "/aliases('i')?api-version=2026-04-01", {"name": "i", "indexes": ["i1"]})[0] == 201
    return found


def _index(address: str, *documents: Mapping[str, object], **headers: str) -> tuple[int, str]:
    actions = [{"@search.action": "upload", **document} for document in documents]
    return _ask(address, "POST", "/indexes('i')/docs/search.index?api-version=2026-04-01", {"value": actions}, **headers)


def _search(address: str, **body: object) -> tuple[int, Any]:
    status, text = _ask(address, "POST", "/indexes('i')/docs/search.post.search?api-version=2026-04-01", body)
    return status, json.loads(text) if text else None


def test_requests_that_break_the_contract(address: str) -> None:
    assert _ask(address, "GET", "/indexes('i')")[0] == 400
    assert _ask(address, "GET", "/indexes('i')?api-version=2024-07-01")[0] == 400
    assert _ask(address, "GET", "/indexes('nowhere')?api-version=2026-04-01")[0] == 404
    assert _index(address, {"id": "1"}, **{"api-key": "wrong"})[0] == 403
    assert _index(address, {"id": "1"}, **{"api-key": "query"})[0] == 403
    assert _index(address, {"id": "1"}, **{"api-key": ""})[0] == 401
    assert _index(address)[0] == 400
    assert _index(address, *({"id": str(at)} for at in range(1001)))[0] == 400
    assert _index(address, {"id": "1", "weight": 5}) == (400, _index(address, {"id": "1", "weight": 5})[1])
    assert "does not exist on type 'search.documentFields'" in _index(address, {"id": "1", "weight": 5})[1]
    assert _ask(address, "DELETE", "/indexes('i1')?api-version=2026-04-01")[0] == 400
    changed = definition("i1", dimensions=3)
    assert _ask(address, "PUT", "/indexes('i1')?api-version=2026-04-01", changed)[0] == 400


def test_documents_are_judged_one_by_one(address: str) -> None:
    good, bad_key, bad_type = {"id": "1", "size": 5}, {"id": "_1"}, {"id": "2", "size": "5"}
    status, text = _index(address, good, bad_key, bad_type, {"id": "3", "embedding": [0.1]}, {"id": "4", "name": "x" * 40_000})
    assert status == 207
    assert [one["statusCode"] for one in json.loads(text)["value"]] == [201, 400, 400, 400, 400]
    assert _index(address, good)[0] == 200


def test_quota_lag_and_faults(address: str, service: SearchService) -> None:
    service.quota, service.lag = 1, 1
    status, text = _index(address, {"id": "1"}, {"id": "2"})
    assert (status, [one["statusCode"] for one in json.loads(text)["value"]]) == (207, [201, 429])
    assert [_search(address, count=True)[1]["@odata.count"] for _ in range(2)] == [0, 1]
    service.faults = [Fault(503, {"Retry-After": "7"}, on="search.post.search"), Fault(reset=True, after=True, on="search.index")]
    assert _search(address)[0] == 503
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        _index(address, {"id": "1", "size": 9})
    assert _search(address, filter="size eq 9")[1]["value"] == []
    assert len(_search(address, filter="size eq 9")[1]["value"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"skip": 100_001},
        {"orderby": "name asc"},
        {"orderby": "size up"},
        {"select": "words"},
        {"select": "nowhere"},
        {"facets": ["name"]},
        {"filter": "words eq 'a'"},
        {"search": "size:5", "queryType": "full"},
        {"search": "dog^0", "queryType": "full"},
        {"search": "(dog", "queryType": "full"},
        {"searchMode": "most"},
        {"colour": "red"},
        {"scoringProfile": "none"},
        {"vectorQueries": [{"kind": "vector", "vector": [1], "fields": "embedding", "k": 3}]},
    ],
)
def test_searches_that_the_service_refuses(address: str, body: dict[str, object]) -> None:
    assert _search(address, **body)[0] == 400


def test_text_facets_order_pages_and_vectors(address: str, service: SearchService) -> None:
    service.page = 2
    documents = [{"id": str(at), "size": at % 3, "words": "dogs " * (at + 1), "embedding": [at, 5]} for at in range(5)]
    assert _index(address, *documents)[0] == 200
    _, first = _search(address, search="words:dog", queryType="full", orderby="search.score() desc", count=True, top=5)
    assert [one["id"] for one in first["value"]] == ["4", "3"]
    assert (first["@odata.count"], "@odata.nextLink" in first) == (5, True)
    _, second = _search(address, **first["@search.nextPageParameters"])
    assert [one["id"] for one in second["value"]] == ["2", "1"]
    _, found = _search(address, facets=["size,count:2"], orderby="size desc,id asc", top=2)
    assert {one["value"]: one["count"] for one in found["@search.facets"]["size"]} == {0: 2, 1: 2}
    assert [one["id"] for one in found["value"]] == ["2", "1"]
    _, near = _search(address, vectorQueries=[{"kind": "vector", "vector": [0, 1], "fields": "embedding", "k": 2}])
    assert [one["id"] for one in near["value"]] == ["0", "1"]
