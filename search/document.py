"""The projection of a record that every index shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobs.model import Record, Tag

_FULL = 10**9
_TOP = 2**30 - 1


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """What people can find of one image, the same in every index.

    `folder` is the name up to its last slash, empty at the top. `tag_names` and `colours` are distinct, in their order;
    `best` is the highest confidence of a tag, 0 without one. `date` is the capture time, else the blob's change, and `year` is
    that date's. `etag` names the version that all of it is true of.
    """

    id: str
    source: str
    name: str
    folder: str
    caption: str
    tags: tuple[Tag, ...]
    tag_names: tuple[str, ...]
    best: float
    width: int
    height: int
    format: str
    size: int
    date: datetime
    colours: tuple[str, ...]
    camera: str | None
    year: int
    rev: int
    etag: str


def document(record: Record) -> SearchDocument:
    """Project a record that has an analysis (see `jobs.model.shown`); raises ValueError for one that has none."""
    found = record.analysis
    if found is None:
        raise ValueError(f"{record.name} has no analysis to show")
    date = found.facts.taken or record.modified
    return SearchDocument(
        id=record.id,
        source=record.source,
        name=record.name,
        folder=record.name.rpartition("/")[0],
        caption=found.caption,
        tags=found.tags,
        tag_names=tuple(dict.fromkeys(tag.name for tag in found.tags)),
        best=max((tag.confidence for tag in found.tags), default=0.0),
        width=found.facts.width,
        height=found.facts.height,
        format=found.facts.format,
        size=record.size,
        date=date,
        colours=tuple(dict.fromkeys(found.facts.colours)),
        camera=found.facts.camera,
        year=date.year,
        rev=record.rev,
        etag=record.analysed or record.etag,
    )


def grade(confidence: float) -> int:
    """Return a confidence in billionths, below 2**30: the grain at which an index compares it with what a query asks for."""
    return min(max(round(min(confidence, 2.0) * _FULL), 0), _TOP)
