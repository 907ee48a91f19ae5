"""What is stored in Azure Cosmos DB: the items of records, vectors and documents, and the keys that they are found and ordered by.

A record is an item of its own, with the JSON of the record under `record` for people to read and query, and beside it the few
properties that our queries use. They are strings of printable ASCII, made so that any way to compare strings orders them alike.
Its embedding is another item of the same partition. A document of the state is an item in a container of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json

from jobs.codec import decode, encode
from jobs.errors import StorageFailed
from jobs.model import Outcome, Record
from jobs.ports import D, Document

Item = dict[str, Any]

BEHIND = "~g"
"""What comes behind every ordered key that begins in the same way: no byte is written as high."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = re.compile(r"[!-}]*")
_FIRST, _LAST = ord("!"), ord("}")
_WRITTEN = [f" {byte:02x}" if byte < _FIRST else f"~{byte:02x}" if byte > _LAST else chr(byte) for byte in range(256)]
_BYTES = re.compile(r"[ ~]([0-9a-f]{2})|([!-}])")
_END = " /"
"""Ends an ordered key within a longer one: comes in no key, and before anything that a longer key could go on with but a space."""


def ordered(text: str) -> str:
    """Return a text whose characters compare as the UTF-8 bytes of `text` do, and that begins as those of its beginnings do.

    Bytes from `!` to `}` stay; those below are a space and two hex digits, those above a tilde and two hex digits.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_WRITTEN.__getitem__, text.encode()))


def unordered(key: str) -> str:
    """Return the text that an ordered key was made of."""
    found = _BYTES.finditer(key)
    return bytes(int(one[1], 16) if one[1] else ord(one[2]) for one in found).decode()


def bucket(key: str) -> str:
    """Return the partition of a blob id, one of 256: its first two hex digits. Never to be changed."""
    return key[:2]


def place(source: str, name: str) -> str:
    """Return the key by which the records of a source are in order; `name` may be the beginning of one."""
    return f"{_source_id(source)}/{ordered(name)}"


@lru_cache(256)
def _source_id(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def standing(source: str, outcome: str = "", failure_class: str = "") -> str:
    """Return the key by which records are counted."""
    return f"{ordered(source)}{_END}{outcome}/{ordered(failure_class)}"


def standing_parts(key: str) -> tuple[str, str, str]:
    """Return source, outcome and failure class of a key of standing."""
    source, _, rest = key.partition(_END)
    outcome, _, failure_class = rest.partition("/")
    return unordered(source), outcome, unordered(failure_class)


def standings(source: str) -> tuple[str, str]:
    """Return what comes before and behind every key of standing of a source."""
    key = ordered(source) + _END
    return key, key + BEHIND


def answer_key(content_hash: str, asked: str) -> str:
    """Return the key by which an answer is found."""
    return hashlib.sha256(f"{asked}\0{content_hash}".encode()).hexdigest()[:32]


def micros(time: datetime) -> int:
    """Return microseconds since 1970, which a JSON number holds exactly."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def stamp(record: Record) -> str:
    """Return what an embedding of this record is an embedding of: its bytes and the model that answered."""
    analysis = record.analysis
    if analysis is None:
        return ""
    return hashlib.sha256(json.dumps([record.analysed, analysis.answered]).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Version:
    """Where a stored record stands: the service's etag, and the stamp of its stored embedding, empty without one.

    The etag is what the service compares; the stamp says, without a read, whether the embedding outlives the next write.
    """

    etag: str
    vector: str

    def __str__(self) -> str:
        return f"{self.vector or '-'}:{self.etag}"


def version_of(text: str) -> Version | None:
    """Return the version that `text` says, None when it is none of ours."""
    found = re.fullmatch(r"(-|[0-9a-f]{16}):(.+)", text)
    return Version(found[2], "" if found[1] == "-" else found[1]) if found else None


def record_item(record: Record, *, vector: str, token: str) -> tuple[Item, int]:
    """Return the item of a record and its size in bytes on the wire. `token` tells our own write from another's."""
    body = encode(record, record.id, version=False)
    failure = record.failure
    item: Item = {
        "id": record.id,
        "bucket": bucket(record.id),
        "place": place(record.source, record.name),
        "standing": standing(record.source, record.outcome or "", failure.failure_class if failure else ""),
        "vector": vector,
        "token": token,
        "record": from_json(body),
    }
    if record.outcome in (Outcome.DEFERRED, Outcome.DEAD):
        item["trouble"] = item["place"]
    if failure and failure.next_try:
        item["due"] = micros(failure.next_try)
    if record.content_hash and _answers(record):
        item["answer"] = answer_key(record.content_hash, record.asked)
    beside = sum(len(value) for value in item.values() if isinstance(value, str)) + len(item["place"])
    return item, len(body.encode("ascii", "backslashreplace")) + beside + 300


def _answers(record: Record) -> bool:
    settled = record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED)
    return settled and record.analysis is not None and record.analysed == record.etag


def record_of(item: Mapping[str, Any], embedding: bytes | None = None) -> Record:
    """Return the record that an item holds."""
    body = item["record"] | {"version": str(Version(item["_etag"], item["vector"]))}
    return dressed(decode(Record, to_json(body), item["id"]), embedding)


def dressed(record: Record, embedding: bytes | None) -> Record:
    """Return the record with this embedding, or without any."""
    if record.analysis is None or record.analysis.embedding is embedding:
        return record
    return replace(record, analysis=replace(record.analysis, embedding=embedding))


def vector_id(key: str) -> str:
    """Return the id of the item that holds the embedding of a record."""
    return f"{key}.vector"


def vector_item(key: str, vector: str, embedding: bytes) -> Item:
    """Return the item of an embedding; base64 takes 4 bytes of JSON a float32 less than half, digits would take about 11."""
    return {"id": vector_id(key), "bucket": bucket(key), "stamp": vector, "embedding": base64.b64encode(embedding).decode()}


def embedding_of(item: Mapping[str, Any] | None, vector: str) -> bytes | None:
    """Return the embedding that an item holds, None when it is none of what `vector` says."""
    return base64.b64decode(item["embedding"]) if item is not None and item["stamp"] == vector else None


def document_part(kind: str, key: str) -> str:
    """Return the partition of a document of the state: leases of one kind share one, so that they are written together."""
    return _lease_part(key.partition("|")[0]) if kind == "Lease" else document_id(kind, key)


@lru_cache(256)
def _lease_part(beginning: str) -> str:
    return document_id("Lease", beginning)


def document_id(kind: str, key: str) -> str:
    """Return the id of a document of the state."""
    return hashlib.sha256(f"{kind}\0{key}".encode()).hexdigest()


def document_place(kind: str, key: str) -> str:
    """Return the key by which documents are in order; `key` may be the beginning of one."""
    return f"{kind}/{ordered(key)}"


def document_item(key: str, document: Document, token: str) -> Item:
    """Return the item of a document of the state."""
    kind = type(document).__name__
    body = from_json(encode(document, f"{kind} {key}"))
    item_id, part, order = document_id(kind, key), document_part(kind, key), document_place(kind, key)
    return {"id": item_id, "part": part, "place": order, "kind": kind, "key": key, "token": token, "document": body}


def document_of(kind: type[D], item: Mapping[str, Any]) -> tuple[str, D, str]:
    """Return key, document and version of an item of the state."""
    key = item.get("key")
    if not isinstance(key, str):
        raise StorageFailed("decode", f"{kind.__name__} {item['id']}", "the stored document names no key")
    return key, decode(kind, to_json(item["document"]), f"{kind.__name__} {key}"), item["_etag"]
