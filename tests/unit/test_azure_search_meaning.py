"""Semantic ranking: asked for where hits come by score, and never where the service would refuse it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search.azure_index import AzureSearchIndex, Place, create_azure_search, open_azure_search
from search.azure_index.compile import by_meaning, compiled
from search.query import Query
from tests.conftest import Run, entered
from tests.pictures import picture
from tests.search_kit import ADMIN, address_of
from tests.standins.search import SearchService

PICTURES = [
    picture("sure", ("dog", 0.99), ("beach", 0.99), caption="nothing much"),
    picture("said", ("dog", 0.2), ("beach", 0.2), caption="a dog on the beach plays"),
    picture("other", ("cat", 0.9), caption="a cat"),
]


@pytest.fixture
def place(run: Run) -> Place:
    place = Place.parse(f"{address_of(SearchService())}/images")
    run(create_azure_search(place, ADMIN, dimensions=None))
    return place


@pytest.fixture
def index(place: Place, run: Run) -> Iterator[AzureSearchIndex]:
    with entered(run, open_azure_search(place, ADMIN, semantic=True)) as index:
        run(index.publish(PICTURES))
        yield index


def names(index: AzureSearchIndex, query: Query, run: Run) -> list[str]:
    return [hit.name for hit in run(index.search(query)).hits]


def test_what_is_meant_comes_before_what_scores_more(index: AzureSearchIndex, place: Place, run: Run) -> None:
    """To the stand-in the meaning is every word of the query, `a` as well, which only one caption has."""
    asked = Query("a dog beach")
    with entered(run, open_azure_search(place, ADMIN)) as plain:
        assert names(plain, asked, run) == ["sure", "said"]
    found = run(index.search(asked)).hits
    assert [hit.name for hit in found] == ["said", "sure"]
    assert [hit.score for hit in found] == [pytest.approx(4.0), pytest.approx(8 / 3)]


def test_counts_and_facets_stay_as_they_are(index: AzureSearchIndex, place: Place, run: Run) -> None:
    asked = Query("dog beach", facets=("tags",))
    with entered(run, open_azure_search(place, ADMIN)) as plain:
        found, expected = run(index.search(asked)), run(plain.search(asked))
    assert (found.count, found.facets) == (expected.count, expected.facets)


@pytest.mark.parametrize("asked", [Query(), Query("dog", sort="newest"), Query(tags_all=("dog",)), Query("\ud800 dog")])
def test_only_hits_by_score_are_ranked_by_meaning(asked: Query, index: AzureSearchIndex, run: Run) -> None:
    body = compiled(asked)
    assert body is None or "semanticQuery" not in by_meaning(body, asked)
    run(index.search(asked))  # the stand-in refuses an order beside it, as the service does


def test_every_page_is_of_one_order(place: Place, run: Run) -> None:
    with entered(run, open_azure_search(place, ADMIN, semantic=True)) as index:
        run(index.publish([picture(f"{at:03}", ("dog", 0.5), caption=f"a dog {at % 7}") for at in range(120)]))
        whole = names(index, Query("dog", limit=120), run)
        paged = [name for page in range(1, 7) for name in names(index, Query("dog", limit=20, page=page), run)]
    assert len(set(whole)) == 120
    assert paged == whole
