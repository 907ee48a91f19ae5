"""The projection of a record that every index shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from jobs.corrections import seen
from jobs.model import Facts, Record, Tag

SURE = 0.5
"""The least confidence of a person that counts: detectors list what they are hardly sure of as well."""

_FULL = 10**9
_MILLION = 10**6
_TOP = 2**30 - 1


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """What people can find of one image, the same in every index.

    `folder` is the name up to its last slash, empty at the top. `tag_names` and `colours` are distinct, in their order;
    `best` is the highest confidence of a tag, 0 without one. `date` is the capture time, else the blob's change, and `year` is
    that date's. `categories` are in the order of their taxonomy; `properties` are those of the blob as `name=value`. `text` is
    what was read in the image, line by line; `objects` are distinct names of what was found in it, `people` the number of those
    found with some certainty. `latitude` and `longitude` are in degrees, both of a place on earth or neither. `classifier` is
    the fingerprint that was asked; `group` is the id of the first of its near-duplicates, empty without any. `embedding` is
    little-endian float32, L2-normalised. `etag` names the version that all of it is true of.
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
    categories: tuple[str, ...]
    properties: tuple[str, ...]
    text: str
    objects: tuple[str, ...]
    people: int
    latitude: float | None
    longitude: float | None
    classifier: str
    rev: int
    etag: str
    group: str = ""
    embedding: bytes | None = field(default=None, repr=False)

    @property
    def has_text(self) -> bool:
        """Say whether anything was read in the image."""
        return bool(self.text.strip())

    @property
    def copy(self) -> bool:
        """Say whether it is a near-duplicate of a better picture."""
        return self.group not in ("", self.id)

    @property
    def has_people(self) -> bool:
        """Say whether somebody is to be seen."""
        return self.people > 0


def document(record: Record) -> SearchDocument:
    """Project a record that has an analysis, as people corrected it; raises ValueError for one that has none (see `shown`)."""
    found = seen(record)
    if found is None:
        raise ValueError(f"{record.name} has no analysis to show")
    date = found.facts.taken or record.modified
    latitude, longitude = _place(found.facts)
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
        categories=record.categories,
        properties=tuple(f"{name}={value}" for name, value in record.properties),
        text="\n".join(line.text for line in found.text),
        objects=tuple(dict.fromkeys(region.name for region in found.objects)),
        people=sum(region.confidence >= SURE for region in found.people),
        latitude=latitude,
        longitude=longitude,
        classifier=record.asked,
        rev=record.rev,
        etag=record.analysed or record.etag,
        group=record.group,
        embedding=found.embedding,
    )


def encodable(text: str) -> bool:
    """Say whether a text is Unicode: half surrogates, as in broken command lines, are not, and can match nothing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def grade(confidence: float) -> int:
    """Return a confidence in billionths, below 2**30: the grain at which an index compares it with what a query asks for."""
    if 0.0 <= confidence <= 1.0:
        return round(confidence * _FULL)
    return min(max(round(min(confidence, 2.0) * _FULL), 0), _TOP)


def micro(degrees: float) -> int:
    """Return degrees in millionths, about a tenth of a metre: the grain at which places are compared."""
    return round(degrees * _MILLION)


def _place(facts: Facts) -> tuple[float, float] | tuple[None, None]:
    """Return latitude and longitude, nothing for what a camera made up."""
    if facts.latitude is None or facts.longitude is None:
        return None, None
    if not (abs(facts.latitude) <= 90 and abs(facts.longitude) <= 180):  # noqa: PLR2004  # degrees
        return None, None
    return facts.latitude, facts.longitude
