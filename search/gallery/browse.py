"""The first page: what was found, what can narrow it down, and more of it while one scrolls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jobs.errors import SweepError
from search.filters import ALIASES
from search.gallery.asking import DEEPEST, deep, number
from search.gallery.web import page, parts, problem, root, status_of
from search.language import Clause, Parsed, parse, spelled
from search.query import Bucket, Results, Sort

SHOWN = 60
"""Images on a page."""

_VALUES = 12
_OF = {
    "categories": ("Category", "category"),
    "tags": ("Tag", "tag"),
    "colours": ("Colour", "colour"),
    "format": ("Format", "format"),
    "folder": ("Folder", "folder"),
    "year": ("Year", "date"),
}
"""The facets of the page, their headings, and the filters that their values become."""

SORTS: dict[Sort, str] = {
    "relevance": "Best match",
    "newest": "Newest",
    "oldest": "Oldest",
    "name": "Name",
    "largest": "Largest",
    "smallest": "Smallest",
}


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter, and where the results without it are."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a facet: how many images have it, where they are, and whether it is asked for already."""

    label: str
    count: int
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """A facet with its values."""

    name: str
    heading: str
    choices: Sequence[Choice]


async def browse(request: Request) -> Response:
    """Show the first page of results, or any other by its number; with `part` only what is added to a page while one scrolls."""
    text = request.query_params.get("q", "")
    only_part = "part" in request.query_params
    try:
        parsed = parse(text)
        at = deep(number(request, "page", 1, most=DEEPEST), SHOWN)
        query = replace(parsed.query, facets=() if only_part else tuple(_OF), facet_limit=_VALUES, limit=SHOWN, page=at)
        results = await parts(request).searcher.search(query)
    except SweepError as error:
        return _refused(request, text, error)
    more = results.count > at * SHOWN and (at + 1) * SHOWN <= DEEPEST
    about: dict[str, Any] = {
        "q": text,
        "results": results,
        "at": at,
        "first": (at - 1) * SHOWN,
        "earlier": _href(request, text, page=at - 1) if at > 1 else "",
        "more": _href(request, text, page=at + 1) if more else "",
    }
    if only_part:
        return page(request, "cards.html", **about)
    return _whole(request, parsed, results, about)


def _whole(request: Request, parsed: Parsed, results: Results, about: dict[str, Any]) -> HTMLResponse:
    chips = [Chip(one.text, _href(request, parsed.without(one))) for one in parsed.clauses if one.field != "sort"]
    sort = next((clause for clause in parsed.clauses if clause.field == "sort"), None)
    bare = parsed.without(sort) if sort else parsed.text
    order = parsed.query.sort if parsed.query.text or parsed.query.sort != "relevance" else "name"
    names = [name for name in SORTS if name != "relevance" or parsed.query.text]
    sorts = [(SORTS[name], _href(request, parse(bare).beside(f"sort:{name}")), name == order) for name in names]
    return page(
        request,
        "browse.html",
        title=parsed.text or "All images",
        chips=chips,
        facets=[_facet(request, parsed, name, found) for name, found in results.facets.items() if found],
        sorts=sorts,
        copies=_copies(request, parsed),
        **about,
    )


def _copies(request: Request, parsed: Parsed) -> tuple[str, str]:
    """Return what near-duplicates can be made to do, hide or show again, and where the results are then."""
    said = next((one for one in parsed.clauses if one.field == "copies"), None)
    if said is None:
        return "Hide near-duplicates", _href(request, parsed.beside("copies:hide"))
    return "Show near-duplicates", _href(request, parsed.without(said))


def _refused(request: Request, text: str, error: SweepError) -> HTMLResponse:
    """Say what is wrong with a query, or that the index is down, where the results would be."""
    return page(request, "problem.html", status=status_of(error), q=text, title="Search", problem=problem(error) | {"text": text})


def _facet(request: Request, parsed: Parsed, name: str, buckets: Sequence[Bucket]) -> Facet:
    heading, filter_ = _OF[name]
    choices = [_choice(request, parsed, filter_, bucket) for bucket in buckets]
    return Facet(name, heading, choices)


def _choice(request: Request, parsed: Parsed, filter_: str, bucket: Bucket) -> Choice:
    """Return a value: a click asks for it, or takes it back where it is asked for already."""
    value = bucket.value
    there = next((one for one in parsed.clauses if _says(one, filter_, value)), None)
    text = parsed.without(there) if there else _chosen(parsed, filter_, value)
    label = value or "(top)" if filter_ == "folder" else value
    return Choice(label, bucket.count, _href(request, text), there is not None)


def _chosen(parsed: Parsed, filter_: str, value: str) -> str:
    """Return the text that asks for a value as well; of formats and folders an image has one, so another takes its place."""
    if filter_ in ("format", "folder", "date"):
        old = next((one for one in parsed.clauses if ALIASES.get(one.field, one.field) == filter_), None)
        parsed = parse(parsed.without(old)) if old else parsed
    return parsed.beside(spelled(filter_, [value]))


def _says(clause: Clause, filter_: str, value: str) -> bool:
    return not clause.negated and ALIASES.get(clause.field, clause.field) == filter_ and _same(clause.values, value, filter_)


def _same(values: tuple[str, ...], value: str, filter_: str) -> bool:
    return tuple(one.upper() for one in values) == (value,) if filter_ == "format" else values == (value,)


def _href(request: Request, text: str, *, page: int = 1) -> str:
    """Return the address of a query."""
    asked = {name: str(value) for name, value in (("q", text), ("page", page if page > 1 else "")) if value}
    return f"{root(request)}/" + (f"?{urlencode(asked)}" if asked else "")
