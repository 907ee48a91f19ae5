"""Which images are like a vector: the nearest rows of the vectors, and the documents that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tantivy import Query, Schema, Searcher

from search.query import Hit, Results, filters
from search.query import Query as Asked
from search.tantivy_index import vectors
from search.tantivy_index.compile import compiled
from search.tantivy_index.schema import shown

_SPARE = 4
"""Times as many rows are looked at as images are wanted, since some rows are dead; as many more each time that was too few."""


def likest(searcher: Searcher, schema: Schema, folder: Path, wanted: bytes, query: Asked) -> Results:
    """Return the images that a query narrows down to, the likest first, with their cosines as scores."""
    rows = vectors.opened(folder)
    if rows is None or not query.limit:
        return Results(0, (), {})
    matching, _ = compiled(schema, query)
    chosen = None if replace(query, limit=0) == filters(Asked(limit=0)) else _rows(searcher, matching)
    most = query.limit if chosen is not None else query.limit * _SPARE
    while True:
        numbers, scores = vectors.nearest(rows, wanted, most, chosen)
        hits = _hits(searcher, schema, dict(zip(numbers.tolist(), scores.tolist(), strict=True)))
        if len(hits) >= query.limit or len(numbers) < most or chosen is not None:
            return Results(len(hits[: query.limit]), tuple(hits[: query.limit]), {})
        most *= _SPARE


def _rows(searcher: Searcher, matching: Query) -> vectors.Rows:
    """Return the rows of all documents that match, ascending."""
    found = searcher.search(matching, limit=max(searcher.num_docs, 1), count=False).hits
    values = searcher.fast_field_values("vector", [address for _, address in found]) if found else []
    return np.array(sorted(value for value in values if value is not None), dtype=np.int64)


def _hits(searcher: Searcher, schema: Schema, scores: Mapping[int, float]) -> Sequence[Hit]:
    """Return the documents of these rows, the likest first; a dead row has none."""
    if not scores:
        return []
    of = Query.term_set_query(schema, "vector", list(scores))
    addresses = [address for _, address in searcher.search(of, limit=len(scores), count=False).hits]
    rows = searcher.fast_field_values("vector", addresses) if addresses else []
    stored = [
        shown(searcher.doc(address)["stored"][0], scores[int(row)])
        for address, row in zip(addresses, rows, strict=True)
        if row is not None
    ]
    return sorted(stored, key=lambda hit: (-hit.score, hit.id))
