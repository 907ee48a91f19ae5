"""One typed query, its answer, and the port that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

from jobs.model import Tag

FACETS = ("tags", "categories", "folder", "format", "colours", "camera", "year", "properties", "objects", "classifier")
"""Fields that can be counted."""

Sort = Literal["relevance", "newest", "oldest", "name", "largest", "smallest"]
Copies = Literal["all", "hide", "only"]
COPY: Mapping[Copies, bool | None] = {"all": None, "hide": False, "only": True}
"""What each asks of an image: that it is a near-duplicate of a better one, that it is none, or nothing."""


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the earth between two parallels and two meridians, in degrees, edges included.

    Where `west` is greater than `east` it reaches over the date line.
    """

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class Near:
    """A circle on the earth: degrees of its centre, kilometres of its radius. Its edge is true to two per cent of the radius."""

    latitude: float
    longitude: float
    kilometres: float


@dataclass(frozen=True, slots=True)
class Query:
    """What to find. `text` is matched against all words of an image; the rest narrows it down, all together.

    Words of an image are those of its caption, tags, objects, categories, properties and name, and of the text read in it.
    `phrases` are words that stand side by side in one of these, spelled just so (but for case and accents). `words_none` and
    `phrases_none` must not occur. Tags are exact names: each of `tags_all`, one of `tags_any`, none of `tags_none`; `confidence`
    is the least confidence of those that are asked for, or of the best tag when none is. `categories`, `colours`, `objects` and
    `properties` (as `name=value`) are exact too, and each is required; of `folders`, `formats`, `cameras` and `classifiers` one
    is enough. `has_text` and `has_people` ask for images with or without; None takes both. `prefix` is of the name. Dates are of
    the capture time, else of the blob's change: `after` inclusive, `before` exclusive. Sizes are in bytes and sides in pixels,
    inclusive. `area` and `near` find only what knows its place. `group` is the id of the first of some near-duplicates; `copies`
    takes images that are near-duplicates of a better one, hides them, or takes nothing else. `page` counts from 1.
    """

    text: str = ""
    phrases: tuple[str, ...] = ()
    words_none: tuple[str, ...] = ()
    phrases_none: tuple[str, ...] = ()
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    confidence: float = 0.0
    prefix: str = ""
    folders: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None
    formats: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    min_width: int | None = None
    min_height: int | None = None
    categories: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    has_text: bool | None = None
    has_people: bool | None = None
    area: Area | None = None
    near: Near | None = None
    group: str = ""
    copies: Copies = "all"
    facets: tuple[str, ...] = ("tags", "folder", "format")
    facet_limit: int = 10
    sort: Sort = "relevance"
    limit: int = 20
    page: int = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """One image found. `score` is the index's own measure of relevance, comparable within one answer only.

    `group` is the id of the first of its near-duplicates, empty without any; `copy` says that it is another one than the first.
    """

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
    group: str = ""
    copy: bool = False


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


class Likeness(Protocol):
    """An index that finds what is like something."""

    async def similar(self, vector: bytes, query: Query) -> Results:
        """Return the `limit` images whose embeddings are most like a vector of the same embedder, with cosines as scores.

        Only the filters of the query count, not its words, facets, order and page. A vector of another length is like nothing.
        """
        ...


def filters(query: Query) -> Query:
    """Return a query for all that the filters of another one let through."""
    return replace(query, text="", phrases=(), words_none=(), phrases_none=(), facets=(), sort="relevance", page=1)
