"""JSON for the records that a store keeps.

A document names the schema that wrote it. Fields that this program does not know are ignored, so an older program may
read what a newer one wrote as long as the schema is the same; a higher schema says that it may not. Embeddings are never
in the JSON: a store keeps them beside it. `version` is in it only where the store puts it there.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json

from jobs.errors import Misconfigured, StorageFailed
from jobs.model import Account, Lease, OpenPage, Quota, Rebuild, Record, Report, Round, Scan

SCHEMA = 1
"""The schema that this program writes, and the highest that it reads."""

T = TypeVar("T", Record, Scan, Lease, OpenPage, Report, Round, Account, Quota, Rebuild)

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (Record, Scan, Lease, OpenPage, Report, Round, Account, Quota, Rebuild)
}
_BESIDE: dict[str, Any] = {"analysis": {"embedding"}}
_BARE = {**_BESIDE, "version": True}
_HEAD = f'{{"schema":{SCHEMA},'


Coded = Record | Scan | Lease | OpenPage | Report | Round | Account | Quota | Rebuild


def encode(value: Coded, key: str, *, version: bool = True) -> str:
    """Return the JSON of a record or document, without its embedding, and its version if so wanted; `key` names it in errors.

    Raises StorageFailed for what could not be read back: a confidence that is no number, text that is not valid Unicode.
    """
    if isinstance(value, Record) and not _finite(value):
        raise StorageFailed("encode", key, "a confidence is not a finite number")
    beside = None if not isinstance(value, Record) else _BESIDE if version else _BARE
    try:
        body = _ADAPTERS[type(value)].dump_json(value, exclude=beside)
    except PydanticSerializationError as error:
        raise StorageFailed("encode", key, str(error)) from error
    return _HEAD + body.decode()[1:]


def decode(kind: type[T], body: str | bytes, key: str) -> T:
    """Return the record or document that `body` holds; `key` names it in errors.

    Raises Misconfigured when a newer schema wrote it, StorageFailed when it is not what it should be.
    """
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if not text.startswith(_HEAD):
        _check_schema(text, key)
    try:
        value: T = _ADAPTERS[kind].validate_json(text, strict=True)
    except ValidationError as error:
        raise _damaged(key, _first(error)) from error
    return value


def _finite(record: Record) -> bool:
    analysis = record.analysis
    return analysis is None or math.isfinite(sum(tag.confidence for tag in analysis.tags) + analysis.caption_confidence)


def _check_schema(text: str, key: str) -> None:
    try:
        parsed = from_json(text)
    except ValueError as error:
        raise _damaged(key, str(error)) from error
    schema = parsed.get("schema") if isinstance(parsed, dict) else None
    if type(schema) is not int or schema < 1:
        raise _damaged(key, "it names no schema")
    if schema > SCHEMA:
        raise Misconfigured(
            "decode",
            key,
            f"written by a newer imagesweep (schema {schema}, this one reads up to {SCHEMA})",
            hint="Update imagesweep here, or use the version that wrote it",
        )


def _damaged(key: str, cause: str) -> StorageFailed:
    return StorageFailed("decode", key, f"the stored document is damaged: {cause}", hint="Restore the store from a copy")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
