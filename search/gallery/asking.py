"""From a request to a query, and from results to pages of them."""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request

from search.language import Parsed, parse
from search.query import FACETS, Query, Results, Searcher
from search.values import Unclear

FRESH = 5.0
"""Seconds for which the answer to a query over everything is kept: its counts cost the most, and are asked for the most often."""

KEPT = 32
MOST = 200
"""Results on a page."""

DEEPEST = 100_000
"""The last result that can be paged to."""


class Remembering:
    """A searcher that keeps its answers to queries over everything for a few seconds."""

    def __init__(self, searcher: Searcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._searcher = searcher
        self._clock = clock
        self._kept: OrderedDict[Query, tuple[float, Results]] = OrderedDict()

    async def search(self, query: Query) -> Results:
        """Answer a query."""
        if not _everything(query):
            return await self._searcher.search(query)
        now = self._clock()
        until, results = self._kept.get(query, (now, None))
        if results is None or until <= now:
            results = await self._searcher.search(query)
            self._kept[query] = (now + FRESH, results)
            self._kept.move_to_end(query)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return results


def _everything(query: Query) -> bool:
    about = {name: getattr(query, name) for name in ("facets", "facet_limit", "sort", "limit", "page")}
    return query == replace(Query(), **about)


def asked(request: Request) -> Parsed:
    """Return what the parameter `q` asks for. Raises Unclear."""
    return parse(request.query_params.get("q", ""))


def number(request: Request, name: str, default: int, *, most: int) -> int:
    """Return a whole number from 1 from the parameters. Raises Unclear."""
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:  # noqa: PLR2004  # digits
        raise Unclear(f"{name}={text[:20]} is no number from 1 to {most:,}", 0, 0)
    return int(text)


def deep(page: int, limit: int) -> int:
    """Return a page if it can be reached. Raises Unclear."""
    if page * limit > DEEPEST:
        raise Unclear(f"results beyond the first {DEEPEST:,} cannot be paged to", 0, 0, hint="Narrow the query down, or export it.")
    return page


def facets(request: Request, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the facets that the parameter `facets` names. Raises Unclear."""
    text = request.query_params.get("facets")
    if text is None:
        return default
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    for name in names:
        if name not in FACETS:
            raise Unclear(f"there is no facet {name[:40]}", 0, 0, hint=f"Facets are {', '.join(FACETS)}.")
    return names


def cursor(page: int) -> str:
    """Return what stands for a page in the address of the next one."""
    return base64.urlsafe_b64encode(f"page {page}".encode()).decode().rstrip("=")


def page_of(text: str) -> int:
    """Return the page that a cursor stands for. Raises Unclear."""
    try:
        word, _, digits = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode().partition(" ")
        if word == "page" and digits.isascii() and digits.isdecimal() and 0 < int(digits) <= DEEPEST:
            return int(digits)
    except (binascii.Error, ValueError):
        pass
    raise Unclear("the cursor is not one of ours", 0, 0, hint="Take it from `next` of the answer before.")
