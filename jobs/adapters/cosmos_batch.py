"""Conditional writes of records to Azure Cosmos DB, in transactional batches, one partition each.

A batch is all or nothing, and it fails with the first operation that does. So the losers are taken out and the rest is sent
again. Every item carries the token of the write that made it: where an answer was lost and the request was sent again, by us or
by the SDK, the second try meets our own first one, and the token tells it from another's.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from jobs.adapters.cosmos_items import (
    Item,
    Version,
    bucket,
    dressed,
    embedding_of,
    record_item,
    stamp,
    vector_id,
    vector_item,
    version_of,
)
from jobs.model import Record

MOST_OPERATIONS = 100
MOST_BYTES = 1_000_000
"""Of one batch. The service takes 100 operations and 2 MB, its SDK says 1.2 MB, and its transport warns of bodies over 1 MiB."""

Operation = tuple[str, tuple[Any, ...], dict[str, Any]]
Beside = Literal["none", "put", "keep", "drop"]


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that came to nothing, because the item of one operation is not at the version that it was to have."""

    operation: int


@dataclass(frozen=True, slots=True)
class Intent:
    """One record on its way: where it stands in the caller's list, what it expects, and what becomes of the embedding beside it.

    `expected` is the etag that the stored item must have, None when there must be none. `size` is in bytes.
    """

    number: int
    record: Record
    expected: str | None
    item: Item
    size: int
    beside: Beside

    def operations(self) -> Iterator[Operation]:
        """Yield the operations of this record: its own first, then the one on its embedding. New ones each time: the SDK eats them.

        The embedding is written without a condition, because the record's condition guards the whole batch.
        """
        key = self.record.id
        if self.expected is None:
            yield "create", (self.item,), {}
        else:
            yield "replace", (key, self.item), {"if_match_etag": self.expected}
        match self.beside:
            case "put":
                yield "upsert", (vector_item(key, self.item["vector"], _embedding(self.record) or b""),), {}
            case "keep":
                yield "read", (vector_id(key),), {}
            case "drop":
                yield "delete", (vector_id(key),), {}
            case "none":
                pass

    def stored(self, etag: str, kept: Mapping[str, Any] | None) -> Record:
        """Return the record as it is stored now; `kept` is the item of its embedding, where that was kept."""
        vector = self.item["vector"]
        embedding = embedding_of(kept, vector) if self.beside == "keep" else _embedding(self.record)
        return dressed(replace(self.record, version=str(Version(etag, vector))), embedding)

    def alone(self) -> Intent:
        """Return the same without an embedding that was to be there and is not."""
        return replace(self, beside="none", item=self.item | {"vector": ""})


Execute = Callable[[Sequence[Intent]], Awaitable[Sequence[Mapping[str, Any]] | Refused]]
Read = Callable[[Sequence[str]], Awaitable[Mapping[str, Item]]]


def intents(records: Sequence[Record], token: str) -> Iterator[Intent]:
    """Yield what is to be done for each record; one whose version is none of ours has lost already and is left out."""
    for number, record in enumerate(records):
        version = None if record.version is None else version_of(record.version)
        if record.version is not None and version is None:
            continue
        held = version.vector if version else ""
        beside = _beside(record, held)
        vector = stamp(record) if beside in ("put", "keep") else ""
        item, size = record_item(record, vector=vector, token=token)
        size += 2 * len(_embedding(record) or b"")
        yield Intent(number, record, version.etag if version else None, item, size, beside)


def _beside(record: Record, held: str) -> Beside:
    """Decide what becomes of the stored embedding, whose stamp is `held`: a former one stays only for the same bytes and answer."""
    if _embedding(record) is not None:
        return "put"
    if not held:
        return "none"
    return "keep" if held == stamp(record) else "drop"


def _embedding(record: Record) -> bytes | None:
    return record.analysis.embedding if record.analysis else None


def batches(chosen: Iterable[Intent], *, operations: int = MOST_OPERATIONS, size: int = MOST_BYTES) -> Iterator[list[Intent]]:
    """Group by partition, within the limits of a batch. What is too large for any goes alone, and the service says so."""
    parted: dict[str, list[Intent]] = {}
    for intent in chosen:
        parted.setdefault(bucket(intent.record.id), []).append(intent)
    for part in parted.values():
        batch: list[Intent] = []
        count = total = 0
        for intent in part:
            steps = 1 if intent.beside == "none" else 2
            if batch and (count + steps > operations or total + intent.size > size):
                yield batch
                batch, count, total = [], 0, 0
            batch.append(intent)
            count, total = count + steps, total + intent.size
        yield batch


def operations_of(batch: Sequence[Intent]) -> list[Operation]:
    """Return the operations of a batch."""
    return [step for intent in batch for step in intent.operations()]


async def settle(batch: Sequence[Intent], *, execute: Execute, read: Read) -> dict[int, Record]:
    """Write a batch, and return by number what is stored of those that did not lose.

    `execute` sends a batch, `read` returns the items of ids as they are stored. Each round takes out at least one.
    """
    settled: dict[int, Record] = {}
    left = list(batch)
    while left:
        answer = await execute(left)
        if not isinstance(answer, Refused):
            return settled | _won(left, answer)
        owners = [(intent, step) for intent in left for step, _ in enumerate(intent.operations())]
        refused, step = owners[answer.operation]
        if step:
            left = [intent.alone() if intent is refused else intent for intent in left]
            continue
        kept = [vector_id(intent.record.id) for intent in left if intent.beside == "keep"]
        ours, left = sort_out(left, await read([*(intent.record.id for intent in left), *kept]), refused=refused)
        settled |= ours
    return settled


def sort_out(left: Sequence[Intent], found: Mapping[str, Item], *, refused: Intent) -> tuple[dict[int, Record], list[Intent]]:
    """Part what a refused batch was made of, by what is stored: what is there by our own hand, and what is to be sent again.

    The rest lost, and so did `refused` in any case, unless it is there by our own hand.
    """
    ours, again = {}, []
    for intent in left:
        item = found.get(intent.record.id)
        if item is not None and item["token"] == intent.item["token"]:
            ours[intent.number] = intent.stored(item["_etag"], found.get(vector_id(intent.record.id)))
        elif intent is not refused and (item["_etag"] if item else None) == intent.expected:
            again.append(intent)
    return ours, again


def _won(batch: Sequence[Intent], results: Sequence[Mapping[str, Any]]) -> dict[int, Record]:
    """Return what is stored after a batch went through, from the results of its operations."""
    won = {}
    rest = iter(results)
    for intent in batch:
        etag = next(rest)["eTag"]
        beside = next(rest)["resourceBody"] if intent.beside == "keep" else None
        if intent.beside in ("put", "drop"):
            next(rest)
        won[intent.number] = intent.stored(etag, beside)
    return won


def new_token() -> str:
    """Return a token that no other write has."""
    return uuid.uuid4().hex
