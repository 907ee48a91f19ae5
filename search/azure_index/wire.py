"""Documents and hits as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import numpy as np
from pydantic_core import to_json

from jobs.model import Tag
from search.azure_index.compile import key, micros, moment
from search.azure_index.weights import texts
from search.document import SearchDocument, encodable, micro
from search.query import Hit

DOCUMENT = 16_000_000
"""The most bytes of one document, as of one batch; the service takes 16 MB."""

_TERM = 32_000
"""The most bytes of a text that is filtered by; the service takes 32 KB."""

_OBJECTS = 3000
"""The most tags of one document; the service takes so many objects in all its collections."""

_KEY = re.compile(r"[A-Za-z0-9=-][\w=-]{0,1023}", re.ASCII)
_DIGITS = 7


def unfit(document: SearchDocument) -> str | None:
    """Return the reason why the index will never take this document, None if it does."""
    if not _KEY.fullmatch(document.id):
        return "its id is not a legal key"
    name = key(document.name) if encodable(document.name) else document.name
    single = (document.source, name, document.folder, document.format, document.camera or "", document.classifier, document.group)
    several = (*document.tag_names, *document.categories, *document.properties, *document.objects, *document.colours)
    terms = (*single, *several)
    if not encodable("\n".join((*terms, document.caption, document.text, document.etag))):
        return "a text in it is not Unicode"
    if any(len(text) * 4 > _TERM and len(text.encode()) > _TERM for text in terms):
        return f"a text in it is longer than {_TERM:,} bytes"
    if len(document.tags) > _OBJECTS:
        return f"it has more than {_OBJECTS:,} tags"
    if not all(math.isfinite(tag.confidence) for tag in document.tags):
        return "a confidence in it is not a number"
    return None


def upload(document: SearchDocument, *, dimensions: int | None) -> bytes:
    """Return the action that replaces the whole document, with its embedding if that has as many numbers as the index takes."""
    return to_json({"@search.action": "upload", **_body(document), **texts(document), **_vector(document, dimensions)})


def delete(key_: str) -> bytes:
    """Return the action that removes a document."""
    return to_json({"@search.action": "delete", "id": key_})


def hit(found: Mapping[str, Any], score: float) -> Hit:
    """Return a hit from what the service shows of a document."""
    confident = tuple(Tag(tag["name"], float(tag["confidence"])) for tag in found["tags"])
    about = (found["id"], found["name"], score, found["caption"], confident, found["width"], found["height"], found["format"])
    rest = (found["size"], moment(found["date_micros"]), found["source"], found["rev"])
    given = (tuple(found["categories"]), tuple(found["properties"]), found["group"], found["copy"])
    return Hit(*about, *rest, *given)


def _body(document: SearchDocument) -> dict[str, object]:
    return {
        "id": document.id,
        "source": document.source,
        "name": document.name,
        "name_key": key(document.name),
        "folder": document.folder,
        "caption": document.caption,
        "tags": [{"name": tag.name, "confidence": tag.confidence} for tag in document.tags],
        "tag_names": document.tag_names,
        "best": document.best,
        "categories": document.categories,
        "properties": document.properties,
        "objects": document.objects,
        "text": document.text,
        "has_text": document.has_text,
        "people": document.people,
        "has_people": document.has_people,
        "format": document.format,
        "width": document.width,
        "height": document.height,
        "size": document.size,
        "date": document.date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "date_micros": micros(document.date),
        "year": document.year,
        "colours": document.colours,
        "camera": document.camera,
        "location": _point(document.latitude, document.longitude),
        "latitude": _degrees(document.latitude),
        "longitude": _degrees(document.longitude),
        "classifier": document.classifier,
        "group": document.group,
        "copy": document.copy,
        "etag": document.etag,
        "rev": document.rev,
    }


def _point(latitude: float | None, longitude: float | None) -> dict[str, object] | None:
    """Return a place on earth as the service takes it."""
    if latitude is None or longitude is None:
        return None
    return {"type": "Point", "coordinates": [longitude, latitude]}


def _degrees(degrees: float | None) -> float | None:
    """Return degrees at the grain at which they are compared."""
    return None if degrees is None else micro(degrees) / 1e6


def _vector(document: SearchDocument, dimensions: int | None) -> dict[str, object]:
    """Return the embedding to seven decimals: a third fewer bytes, and less is lost than by its compression.

    One of another length is of another embedder than the index was made for: the two must not be compared.
    """
    if document.embedding is None or len(document.embedding) != 4 * (dimensions or 0):
        return {}
    return {"embedding": np.frombuffer(document.embedding, "<f4").astype("f8").round(_DIGITS).tolist()}
