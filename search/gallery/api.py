"""The search API: the same results as the pages, as JSON."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from search.gallery.asking import MOST, asked, cursor, deep, facets, number, page_of
from search.gallery.image import bare, found
from search.gallery.openapi import description
from search.gallery.suggest import suggestions
from search.gallery.web import json, parts, root
from search.language import LONGEST
from search.query import Query
from search.values import Unclear

_FACETS = Query().facets


async def search(request: Request) -> Response:
    """Answer a query with a page of results, and the cursor of the next one."""
    parsed = asked(request)
    limit = number(request, "limit", 20, most=MOST)
    text = request.query_params.get("cursor", "")
    page = deep(page_of(text) if text else 1, limit)
    counted = facets(request, _FACETS if page == 1 else ())
    results = await parts(request).searcher.search(replace(parsed.query, facets=counted, limit=limit, page=page))
    more = results.count > page * limit
    return json(
        {
            "count": results.count,
            "results": results.hits,
            "facets": dict(results.facets),
            "next": cursor(page + 1) if more else None,
        }
    )


async def image(request: Request) -> Response:
    """Answer with everything known of one image."""
    return json(bare(await found(request)))


async def suggest(request: Request) -> Response:
    """Answer with what the box could hold instead."""
    text = request.query_params.get("q", "")
    if len(text) > LONGEST:
        raise Unclear("the query is too long", LONGEST, len(text))
    return json({"suggestions": await suggestions(parts(request).searcher, text)})


async def openapi(request: Request) -> Response:
    """Answer with the description of this API."""
    return json(description(root(request)))
