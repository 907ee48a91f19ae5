"""What no index answers, said before it is asked."""

from __future__ import annotations

from typing import get_args

from jobs.errors import Misconfigured
from search.query import FACETS, Query, Sort

DEPTH = 100_000
"""The last image, counted from the first, that a page may reach."""

MOST_VALUES = 10_000
"""The most values of one facet."""


def check(query: Query) -> None:
    """Raise Misconfigured for a query that no index answers: an unknown facet or order, or a page too deep."""
    unknown = [name for name in query.facets if name not in FACETS]
    if unknown:
        raise Misconfigured("search", "facets", f"there is no facet {unknown[0]}", hint=f"Facets are {', '.join(FACETS)}.")
    if query.sort not in get_args(Sort):
        raise Misconfigured("search", "sort", f"there is no order {query.sort}", hint=f"Orders are {', '.join(get_args(Sort))}.")
    if query.limit < 0 or query.page < 1:
        raise Misconfigured("search", "page", "pages count from 1, and a limit is not negative")
    if query.limit * query.page > DEPTH:
        raise Misconfigured("search", "page", f"a page may not reach beyond image {DEPTH:,}", hint="Narrow the query down.")
    if not 0 <= query.facet_limit <= MOST_VALUES:
        raise Misconfigured("search", "facets", f"a facet shows from 0 to {MOST_VALUES:,} values")
