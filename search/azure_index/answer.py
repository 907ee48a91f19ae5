"""What the service answered, as `search.query.Results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.azure_index.compile import FIELDS, by_score, counted
from search.azure_index.wire import hit
from search.query import Bucket, Query, Results

Counts = Mapping[str, Sequence[Mapping[str, Any]]]


def nothing(query: Query) -> Results:
    """Return the answer to a query that nothing can match."""
    return Results(0, (), dict.fromkeys(query.facets, ()))


def results(query: Query, count: int, found: Sequence[Mapping[str, Any]], counts: Counts) -> Results:
    """Return the hits in the order that they came in, and the most frequent values of each facet."""
    scored = by_score(query)
    reranked = any("@search.rerankerScore" in one for one in found)
    measure = "@search.rerankerScore" if reranked else "@search.score"
    hits = tuple(hit(one, float(one.get(measure) or 0.0) if scored else 0.0) for one in found)
    return Results(count, hits, {facet: _buckets(counts.get(FIELDS[facet], ()), query.facet_limit) for facet in query.facets})


def alike(found: Sequence[Mapping[str, Any]]) -> Results:
    """Return the hits of a query for likeness, with cosines as scores: the service scores 1 / (2 - cosine)."""
    hits = sorted((hit(one, 2 - 1 / one["@search.score"]) for one in found), key=lambda one: (-one.score, one.id))
    return Results(len(hits), tuple(hits), {})


def unsettled(query: Query, counts: Counts) -> Sequence[str]:
    """Return the fields of which every value has to be asked for: a tie crosses the end of what is shown and of what came.

    The service promises nothing about the order of ties.
    """
    fields = [FIELDS[facet] for facet in query.facets if query.facet_limit]
    return [field for field in fields if _crossed(counts.get(field, ()), query.facet_limit, counted(query))]


def _crossed(values: Sequence[Mapping[str, Any]], most: int, asked: int) -> bool:
    found = sorted((value["count"] for value in values), reverse=True)
    return len(found) >= asked and found[most - 1] == found[-1]


def _buckets(values: Sequence[Mapping[str, Any]], most: int) -> tuple[Bucket, ...]:
    found = [Bucket(str(value["value"]), value["count"]) for value in values]
    return tuple(sorted(found, key=lambda bucket: (-bucket.count, bucket.value))[:most])
