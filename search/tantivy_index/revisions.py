"""Every document of a source in the order of the names' bytes, in bounded memory.

Tantivy sorts by a text only what fits in memory. So the documents are read in slices by their ids, which are evenly spread;
each slice is sorted and, when there are several, kept on disk; the slices are merged.
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import IO

from tantivy import Occur, Query, Schema, Searcher

from search.tantivy_index.compile import between, term
from search.tantivy_index.schema import revision

SLICE = 10_000
"""About so many documents are sorted at once."""

_IDS = 16**15
Revision = tuple[str, str, int]


def revisions(searcher: Searcher, schema: Schema, source: str, stack: ExitStack) -> Iterator[Revision]:
    """Return (name, id, rev) ascending by the names' UTF-8 bytes; the stack holds the files of the sort."""
    every = term(schema, "source", source)
    parts = _count(searcher, every) // SLICE + 1
    if parts == 1:
        return iter(_slice(searcher, every))
    edges = [_IDS * part // parts for part in range(parts + 1)]
    kept = [
        stack.enter_context(_keep(_slice(searcher, _both(every, between(schema, "tie", low, high - 1)))))
        for low, high in pairwise(edges)
    ]
    return heapq.merge(*(_read(file) for file in kept), key=_place)


def _both(one: Query, other: Query) -> Query:
    return Query.boolean_query([(Occur.Must, one), (Occur.Must, other)])


def _count(searcher: Searcher, matching: Query) -> int:
    count: int = searcher.search(matching, limit=1).count  # type: ignore[attr-defined]  # missing in the stub only
    return count


def _slice(searcher: Searcher, matching: Query) -> Sequence[Revision]:
    hits = searcher.search(matching, limit=max(_count(searcher, matching), 1), count=False).hits
    return sorted((revision(searcher.doc(address)["stored"][0]) for _, address in hits), key=_place)


def _keep(found: Sequence[Revision]) -> IO[str]:
    file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115  # closed by the stack of the caller
    file.writelines(json.dumps(one) + "\n" for one in found)
    file.seek(0)
    return file


def _read(file: IO[str]) -> Iterator[Revision]:
    for line in file:
        name, key, rev = json.loads(line)
        yield name, key, rev


def _place(found: Revision) -> tuple[bytes, str]:
    return found[0].encode(), found[1]
