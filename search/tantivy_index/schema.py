"""The Tantivy schema, and how a document fills it.

Every text is cut into terms here, in Python, and every query asks for terms: what users type never meets a query parser.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any

from pydantic_core import from_json, to_json
from tantivy import Document, Filter, Schema, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from jobs.model import Tag
from search.document import SearchDocument, encodable, grade, micro
from search.earth import LEVELS, cell
from search.phrases import MOST_TEXT, said
from search.query import FACETS, Hit
from search.scoring import step
from search.words import forms, words

VERSION = 5
"""Grows with every change of the fields or their terms; an index of another version is to be rebuilt."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 60_000
_PIECE = re.compile(r"[^/]{0,63}/|[^/]{1,64}")
_ID = re.compile("[0-9a-f]{15,64}")
_STEMMER = TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.stemmer("english")).build()


def schema() -> Schema:
    """Return the fields.

    `order` is the name and the id, sorted; `starts` answers prefixes; `sure` is a tag with its confidence, `vector` a row's number;
    `cells` are those of the grids of `search.earth` in which the place lies.
    """
    builder = SchemaBuilder()
    for name in ("id", "source", "starts", "cells", "group"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("order", *FACETS):
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    for name in ("words", "exact", "within", "kinds", "caption", "text", "path"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field("said", tokenizer_name="whitespace", index_option="position")
    flags = ("has_text", "has_people", "copy")
    for name in ("best", "date", "size", "tie", "vector", *flags, "width", "height", "latitude", "longitude"):
        builder.add_integer_field(name, fast=True, indexed=True)
    builder.add_unsigned_field("sure", fast=True, indexed=False)
    builder.add_bytes_field("stored", stored=True)
    return builder.build()


_SCHEMA = schema()


def unfit(document: SearchDocument) -> str | None:
    """Return the reason why the index will never take this document, None if it does."""
    if not _ID.fullmatch(document.id):
        return "its id is not made of hex digits"
    texts = (document.source, document.name, document.caption, document.format, document.camera or "", document.classifier)
    several = (document.tag_names, document.colours, document.categories, document.properties, document.objects)
    for text in chain(texts, (document.group,), *several):
        if not encodable(text):
            return "a text in it is not Unicode"
        if len(text.encode()) > _LONGEST:
            return f"a text in it is longer than {_LONGEST:,} bytes"
    return None if encodable(document.text) else "a text in it is not Unicode"


def fill(document: SearchDocument, row: int | None = None) -> Document:
    """Return the Tantivy document with all terms, fast values and what a hit shows; `row` is that of its vector."""
    fields: dict[str, Any] = {
        "id": document.id,
        "source": document.source,
        "order": _order(document),
        "starts": list(_starts(document.name)),
        "group": [document.group] if document.group else [],
        **_facets(document),
        "said": said(document),
        **_texts(document),
        "sure": [sure(tag.name, grade(tag.confidence)) for tag in document.tags],
        "best": grade(document.best),
        "date": micros(document.date),
        "size": document.size,
        "tie": tie(document.id),
        "has_text": int(document.has_text),
        "has_people": int(document.has_people),
        "copy": int(document.copy),
        "width": document.width,
        "height": document.height,
        "stored": _stored(document),
    }
    if document.latitude is not None and document.longitude is not None:
        latitude, longitude = micro(document.latitude), micro(document.longitude)
        fields |= {"latitude": latitude, "longitude": longitude, "cells": _cells(latitude, longitude)}
    if row is not None:
        fields["vector"] = row
    return Document.from_dict(fields, _SCHEMA)


def shown(stored: bytes, score: float) -> Hit:
    """Return a hit from what the document stored."""
    key, name, caption, tags, width, height, format_, size, date, *given, source, rev = from_json(stored)
    confident = tuple(Tag(tag, confidence) for tag, confidence in tags)
    about = (key, name, score, caption, confident, width, height, format_, size, datetime.fromisoformat(date), source, rev)
    categories, properties, *near = given
    return Hit(*about, tuple(categories), tuple(properties), *near)


def revision(stored: bytes) -> tuple[str, str, int]:
    """Return the name, the id and the rev that the document stored."""
    fields = from_json(stored)
    return fields[1], fields[0], fields[-1]


@lru_cache(65536)
def stem(word: str) -> str:
    """Return the English stem of a word from `search.words`."""
    return _STEMMER.analyze(word)[0]


def phrase(text: str) -> str:
    """Return all the words of a text as the one term that a tag of exactly these words has."""
    return "_".join(stem(word.whole) for word in words(text))


def sure(tag: str, graded: int) -> int:
    """Return a number that holds a tag and a graded confidence: those of one tag are a range."""
    return _hash34(tag) << 30 | graded


def micros(date: datetime) -> int:
    """Return microseconds since 1970."""
    return (date - _EPOCH) // timedelta(microseconds=1)


def tie(key: str) -> int:
    """Return the order of an id among ids, as a number below 16**15."""
    return int(key[:15], 16)


def boundary(prefix: str) -> tuple[str, str]:
    """Return the term of all names that go on from the last whole piece of a prefix, and the rest of the prefix."""
    rest = ""
    for _, piece in _pieces(prefix):
        rest = "" if _whole(piece) else piece
    return _place(prefix[: len(prefix) - len(rest)]), rest


def cell_term(level: int, row: int, column: int) -> str:
    """Return the term of all places in one cell of a grid."""
    return f"{level}:{row}:{column}"


def _cells(latitude: int, longitude: int) -> list[str]:
    return [cell_term(level, *cell(level, latitude, longitude)) for level in LEVELS]


def _order(document: SearchDocument) -> str:
    """Return a term that sorts by name, then id; a NUL in the name sorts after the end of the name."""
    return document.name.replace("\0", "\0\1") + "\0\0" + document.id


def _starts(name: str) -> Iterator[str]:
    """Yield, for each piece of the name, the place where it begins with the piece, and the place where it ends."""
    for before, piece in _pieces(name):
        yield _place(before) + piece
        if _whole(piece):
            yield _place(before + piece)


def _pieces(name: str) -> Iterator[tuple[str, str]]:
    """Yield (what comes before, piece): pieces end after a slash or after 64 characters, whatever comes later."""
    for found in _PIECE.finditer(name):
        yield name[: found.start()], found[0]


def _whole(piece: str) -> bool:
    return piece.endswith("/") or len(piece) == 64  # noqa: PLR2004  # the length in _PIECE


@lru_cache(4096)
def _place(before: str) -> str:
    return hashlib.blake2b(before.encode(), digest_size=10).hexdigest()


@lru_cache(65536)
def _hash34(tag: str) -> int:
    return int.from_bytes(hashlib.blake2b(tag.encode(), digest_size=5).digest()) >> 6


def _facets(document: SearchDocument) -> dict[str, Sequence[str]]:
    return {
        "tags": list(document.tag_names),
        "categories": list(document.categories),
        "folder": [document.folder],
        "format": [document.format],
        "colours": list(document.colours),
        "camera": [document.camera] if document.camera is not None else [],
        "year": [str(document.year)],
        "properties": list(document.properties),
        "objects": list(document.objects),
        "classifier": [document.classifier],
    }


def _texts(document: SearchDocument) -> dict[str, str]:
    """Return the terms of each searchable field: stems, and for tags stems with their per cent."""
    caption, path = _stems(forms(document.caption)), _stems(forms(document.name))
    text = _stems(forms("\n".join((document.text[:MOST_TEXT], *document.properties))))
    kinds = [stemmed for name in (*document.categories, *document.objects) for stemmed in _kind(name)]
    exact: dict[str, int] = {}
    within: dict[str, int] = {}
    for tag in document.tags:
        percent = step(tag.confidence)
        whole, parts = _tag(tag.name)
        if whole:
            exact[whole] = max(exact.get(whole, 0), percent)
        for part in parts:
            within[part] = max(within.get(part, 0), percent)
    return {
        "words": " ".join({*caption, *text, *kinds, *path, *exact, *within}),
        "kinds": " ".join(dict.fromkeys(kinds)),
        "text": " ".join(text),
        "caption": " ".join(caption),
        "path": " ".join(path),
        "exact": " ".join(f"{term}:{percent}" for term, percent in exact.items()),
        "within": " ".join(f"{term}:{percent}" for term, percent in within.items()),
    }


@lru_cache(65536)
def _tag(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the term of the whole tag, and the terms of the words in it if it has several."""
    whole = phrase(name)
    return whole, tuple(part for part in _stems(forms(name)) if part != whole)


@lru_cache(65536)
def _kind(name: str) -> tuple[str, ...]:
    return _stems(forms(name))


def _stems(some: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(stem, some))


def _stored(document: SearchDocument) -> bytes:
    date, tags = document.date.isoformat(), [(tag.name, tag.confidence) for tag in document.tags]
    size = (document.width, document.height, document.format, document.size)
    given = (document.categories, document.properties, document.group, document.copy)
    fields = (document.id, document.name, document.caption, tags, *size, date, *given, document.source, document.rev)
    return to_json(fields)
