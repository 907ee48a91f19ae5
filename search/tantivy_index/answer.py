"""One query answered from one state of the index: the count, a page of hits, and the facets over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Protocol

from tantivy import DocAddress, Order, Query, Schema, Searcher

from search.query import Bucket, Results, Sort
from search.query import Query as Asked
from search.tantivy_index.compile import compiled
from search.tantivy_index.schema import shown

_EVERY_TERM = 2**31
"""Terms that a segment reports before they are added up: all of them, or counts would be too low."""

_FIELDS: dict[Sort, tuple[str, Order]] = {
    "newest": ("date", Order.Desc),
    "oldest": ("date", Order.Asc),
    "largest": ("size", Order.Desc),
    "smallest": ("size", Order.Asc),
    "name": ("order", Order.Asc),
}
Ranked = tuple[Any, DocAddress]


class Counting(Protocol):
    """What counts values: a searcher."""

    def aggregate(self, query: Query, agg: dict[str, Any]) -> dict[str, Any]:
        """Return the buckets of each aggregation."""
        ...


@dataclass(frozen=True, slots=True)
class _Ranking:
    """What to rank, and by which field; by score where there is none."""

    query: Query
    field: str | None
    order: Order

    def top(self, searcher: Searcher, limit: int) -> tuple[int, Sequence[Ranked]]:
        """Return the count of all, and the first `limit` (at least one) with the keys that they are ranked by."""
        found = searcher.search(self.query, limit=limit, count=True, order_by_field=self.field, order=self.order)
        return found.count, found.hits  # type: ignore[attr-defined]  # missing in the stub only


def answer(searcher: Searcher, schema: Schema, query: Asked) -> Results:
    """Answer a checked query."""
    matching, scoring = compiled(schema, query)
    by_score = query.sort == "relevance" and bool(query.text.strip())
    field, order = (None, Order.Desc) if by_score else _FIELDS["name" if query.sort == "relevance" else query.sort]
    ranking = _Ranking(scoring if by_score else matching, field, order)
    count, page = _page(searcher, ranking, (query.page - 1) * query.limit, query.limit)
    hits = tuple(shown(_stored(searcher, address), key if by_score else 0.0) for key, address in page)
    return Results(count, hits, facets(searcher, matching, query.facets, query.facet_limit))


def _stored(searcher: Searcher, address: DocAddress) -> bytes:
    stored: bytes = searcher.doc(address)["stored"][0]
    return stored


def _page(searcher: Searcher, ranking: _Ranking, start: int, size: int) -> tuple[int, Sequence[Ranked]]:
    """Return the count of all and one page, its ties in the order of the ids wherever the index keeps them.

    Looks further than the page until no tie crosses its end; names with their ids never tie.
    """
    stop = start + size
    limit = stop + 1
    count, hits = ranking.top(searcher, limit)
    while size and ranking.field != "order" and stop < len(hits) < count and hits[stop - 1][0] == hits[-1][0]:
        limit = min(limit * 8, count)
        count, hits = ranking.top(searcher, limit)
    if ranking.field == "order":
        return count, hits[start:stop]
    runs = [list(run) for _, run in groupby(hits, key=itemgetter(0))]
    return count, list(_window(searcher, runs, start, stop))


def _window(searcher: Searcher, runs: Sequence[Sequence[Ranked]], start: int, stop: int) -> Sequence[Ranked]:
    """Return the hits from `start` to `stop` of these runs of ties, putting in order only the runs that it touches."""
    touched: list[Sequence[Ranked]] = []
    first, at = 0, 0
    for run in runs:
        if at < stop and at + len(run) > start:
            if not touched:
                first = at
            touched.append(_untied(searcher, run))
        at += len(run)
    return list(chain.from_iterable(touched))[start - first : stop - first]


def _untied(searcher: Searcher, run: Sequence[Ranked]) -> Sequence[Ranked]:
    if len(run) == 1:
        return run
    ties = searcher.fast_field_values("tie", [address for _, address in run])
    return [ranked for _, ranked in sorted(zip(ties, run, strict=True), key=itemgetter(0))]


def facets(searcher: Counting, matching: Query, fields: Sequence[str], most: int) -> dict[str, Sequence[Bucket]]:
    """Return the most frequent values of each field, counted over all that matches, ties in the order of the values.

    Tantivy promises nothing about ties, so where one crosses the end, the values of that count are asked for by their order.
    """
    if not fields or not most:
        return dict.fromkeys(fields, ())
    by_count = {field: _terms(field, most + 1) for field in fields}
    found = {field: _buckets(answered) for field, answered in searcher.aggregate(matching, by_count).items()}
    cut = {field: found[field][most].count for field in fields if _crossed(found[field], most)}
    by_value = {field: _terms(field, most, order={"_key": "asc"}, min_doc_count=count) for field, count in cut.items()}
    for field, answered in searcher.aggregate(matching, by_value).items() if by_value else ():
        more = [bucket for bucket in found[field] if bucket.count > cut[field]]
        found[field] = more + [bucket for bucket in _buckets(answered) if bucket.count == cut[field]]
    return {field: tuple(_sorted(found[field])[:most]) for field in fields}


def _terms(field: str, size: int, **more: object) -> dict[str, object]:
    return {"terms": {"field": field, "size": size, "segment_size": _EVERY_TERM, **more}}


def _buckets(answered: dict[str, Any]) -> list[Bucket]:
    return [Bucket(bucket["key"], bucket["doc_count"]) for bucket in answered["buckets"]]


def _crossed(buckets: Sequence[Bucket], most: int) -> bool:
    return len(buckets) > most and buckets[most - 1].count == buckets[most].count


def _sorted(buckets: Sequence[Bucket]) -> Sequence[Bucket]:
    return sorted(buckets, key=lambda bucket: (-bucket.count, bucket.value))
