"""One typed query, its answer, and the port that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from jobs.model import Tag

FACETS = ("tags", "categories", "folder", "format", "colours", "camera", "year", "properties", "objects")
"""Fields that can be counted."""

Sort = Literal["relevance", "newest", "oldest", "name", "largest", "smallest"]


@dataclass(frozen=True, slots=True)
class Query:
    """What to find. `text` is matched against all words of an image; the rest narrows it down, all together.

    Words of an image are those of its caption, tags, objects, categories, properties and name, and of the text read in it.
    `tags_all` and `tags_none` are exact tag names; `confidence` is the least confidence of each of `tags_all`, or of the best
    tag when none is given. `categories` and `properties` (as `name=value`) are exact too, and each is required. `has_text` and
    `has_people` ask for images with or without; None takes both. `prefix` is of the name. Dates are of the capture time, else
    of the blob's change: `after` inclusive, `before` exclusive. Sizes are in bytes, inclusive. `page` counts from 1.
    """

    text: str = ""
    tags_all: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    confidence: float = 0.0
    prefix: str = ""
    after: datetime | None = None
    before: datetime | None = None
    formats: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    categories: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    has_text: bool | None = None
    has_people: bool | None = None
    facets: tuple[str, ...] = ("tags", "folder", "format")
    facet_limit: int = 10
    sort: Sort = "relevance"
    limit: int = 20
    page: int = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """One image found. `score` is the index's own measure of relevance, comparable within one answer only."""

    id: str
    name: str
    score: float
    caption: str
    tags: tuple[Tag, ...]
    width: int
    height: int
    format: str
    size: int
    date: datetime
    source: str
    rev: int
    categories: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A value of a facet and how many of all the images found have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Results:
    """`count` of all images found, one page of them, and the facets over all of them."""

    count: int
    hits: tuple[Hit, ...]
    facets: Mapping[str, Sequence[Bucket]]


class Searcher(Protocol):
    """An index that answers queries."""

    async def search(self, query: Query) -> Results:
        """Answer one query from what was published so far."""
        ...
