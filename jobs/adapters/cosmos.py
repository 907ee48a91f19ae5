"""Results in Azure Cosmos DB: ledger, counts, state and clock.

"No call is repeated after its answer was durably stored" holds because a write returns after a quorum of replicas has it. Every
write is conditional on the etag, which the service compares; nothing is ever overwritten blindly. See docs/azure.md for what a
request costs, and docs/adr/0006-vectors-beside-the-record.md for where embeddings are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from azure.cosmos.aio import ContainerProxy

from jobs.adapters.cosmos_account import PATIENCE, Account, Credential, located, open_account
from jobs.adapters.cosmos_batch import Intent, Refused, batches, intents, new_token, operations_of, settle
from jobs.adapters.cosmos_containers import SCHEMA, SCHEMA_ID, checked, writable
from jobs.adapters.cosmos_items import (
    BEHIND,
    Item,
    Version,
    answer_key,
    bucket,
    document_id,
    document_item,
    document_of,
    document_part,
    document_place,
    embedding_of,
    record_of,
    standing_parts,
    standings,
    vector_id,
)
from jobs.adapters.cosmos_lane import Lane, Step
from jobs.adapters.cosmos_query import CHOSEN, PAGE, VERSIONS, Ranges, Select, Stream, chosen, one_of
from jobs.errors import Conflict, StorageFailed, Transient
from jobs.model import Outcome, Record
from jobs.ports import D, Document
from jobs.retry import Policy

MOST_HASHES = 400
"""Content hashes asked for in one query; fewer than PAGE, so that a full page always shows some of them."""

LOOKS = 3
"""Looks at a record and its embedding, which are two items, until they fit: another may write both in between."""

T = TypeVar("T")

_NEXT = "SELECT TOP 1 VALUE c.standing FROM c WHERE c.standing > @low AND c.standing < @high ORDER BY c.standing"
_COUNT = "SELECT VALUE COUNT(1) FROM c WHERE c.standing = @standing"
_LIST = "{} * FROM c WHERE c.place >= @low AND c.place < @high ORDER BY c.place {}"


@asynccontextmanager
async def open_cosmos(
    location: str, credential: Credential, *, policy: Policy = PATIENCE, **options: Any
) -> AsyncIterator[CosmosStore]:
    """Open the store at `https://ACCOUNT.documents.azure.com/DATABASE`; `options` go to the SDK's client.

    Raises Misconfigured when its containers are missing or another's, when the key or the role is, or when the account's
    consistency could show a process less than it wrote itself; Transient when it cannot be reached.
    """
    async with open_account(located(location), credential, policy=policy, **options) as account:
        records, state = await checked(account, account.client.get_database_client(account.location.database))
        yield CosmosStore(account, records, state)


class CosmosStore:
    """A Ledger, Tally, State and Clock over two containers; and Metered, in request units."""

    def __init__(self, account: Account, records: ContainerProxy, state: ContainerProxy) -> None:
        self._account = account
        self._records = records
        self._state = state
        self._ranges = Ranges(records)
        self._lanes: WeakValueDictionary[str, Lane] = WeakValueDictionary()

    def spent(self) -> float:
        """Return the request units that all requests of this store were charged."""
        return self._account.meter.ru

    async def look_up(
        self, ids: Sequence[str], *, vectors: bool = False, seen: Mapping[str, str | None] | None = None
    ) -> Mapping[str, Record]:
        """Return the records that exist, by a query for each thousand ids and physical partition."""
        if seen and ids:
            ids = await self._moved(ids, seen)
        if not vectors:
            return {key: record_of(item) for key, item in (await self._items(ids)).items()}
        found: dict[str, Record] = {}
        wanted: Sequence[str] = list(dict.fromkeys(ids))
        for _ in range(LOOKS):
            items = await self._items([*wanted, *map(vector_id, wanted)])
            found |= {key: _dressed(items[key], items) for key in wanted if key in items}
            wanted = [key for key in wanted if key in items and _bare(found[key], items[key])]
            if not wanted:
                break
        return found

    async def answers(self, hashes: Sequence[str], asked: str) -> Mapping[str, Record]:
        """Return for each content hash one record that can answer for it, by an indexed path over all partitions."""
        contents = {answer_key(content, asked): content for content in hashes}
        found: dict[str, Record] = {}
        wanted = list(contents)
        for _ in range(LOOKS):
            items = await self._answering(wanted)
            vectors = await self._items([vector_id(item["id"]) for item in items.values() if item["vector"]])
            found |= {contents[key]: _dressed(item, vectors) for key, item in items.items()}
            wanted = [key for key, item in items.items() if _bare(found[contents[key]], item)]
            if not wanted:
                break
        return found

    async def _answering(self, keys: Sequence[str]) -> Mapping[str, Item]:
        """Return one item for each key of an answer, where there is any; however many copies there are, few are read."""
        found: dict[str, Item] = {}
        wanted = list(keys)
        while wanted:
            lot = wanted[:MOST_HASHES]
            condition, parameters = one_of("answer", lot)
            stream = Stream(partial(_run, self._records, Select(CHOSEN.format(condition), parameters)))
            items = await self._account.call("look up", "answers", stream.take)
            found |= {item["answer"]: item for item in items}
            over = len(items) < PAGE
            wanted = [key for key in lot if key not in found and not over] + wanted[MOST_HASHES:]
        return found

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        """Write each record if it is still at its version, in a transaction for each partition; None for each that lost."""
        intended = list(intents(records, new_token()))
        results = await _all(settle(batch, execute=self._execute, read=self._items) for batch in batches(intended))
        settled = {number: record for result in results for number, record in result.items()}
        return [settled.get(number) for number in range(len(records))]

    async def scan(
        self,
        source: str,
        *,
        outcomes: Sequence[Outcome] = (),
        due: datetime | None = None,
        prefix: str = "",
        after: str | None = None,
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Stream records in the order of their names, by one query that is asked again behind the last name when it broke."""

        def begin(last: Item | None) -> AsyncIterator[Item]:
            behind = after if last is None else last["record"]["name"]
            return chosen(source, outcomes, due, prefix, behind).run(self._records)

        stream = Stream(begin)
        while items := await self._account.call("scan", source, stream.take):
            yield [record_of(item) for item in items]

    async def tally(self, source: str) -> Mapping[tuple[str, str], int]:
        """Count by outcome and failure class: one step through the index to each pair, and one count of it."""
        counts: dict[tuple[str, str], int] = {}
        low, high = standings(source)
        while (key := await self._standing(low, high)) is not None:
            _, outcome, failure_class = standing_parts(key)
            (count,) = await self._values("tally", self._records, Select(_COUNT, {"@standing": key}))
            counts[outcome, failure_class] = int(count)
            low = key
        return counts

    async def sources(self) -> Sequence[str]:
        """Return the keys of all sources, by one step through the index for each."""
        found: dict[str, None] = {}
        low = ""
        while (key := await self._standing(low, BEHIND)) is not None:
            source, _, _ = standing_parts(key)
            found[source] = None
            _, low = standings(source)
        return sorted(found)

    async def get(self, kind: type[D], key: str) -> tuple[D, str] | None:
        """Return the document and its version, None when there is none."""
        item = await self._document("get", kind.__name__, key)
        return None if item is None else document_of(kind, item)[1:]

    async def put(self, key: str, document: Document, version: str | None) -> str:
        """Write the document if it is still at `version`; return the new version."""
        kind = type(document).__name__
        item = document_item(key, document, new_token())

        won = await self._lane(kind, key).write(Step(f"{kind} {key}", item["id"], item, version))
        if won is not None:
            return won
        stored = await self._document("put", kind, key)
        if stored is None or stored["token"] != item["token"]:
            raise Conflict("put", f"{kind} {key}", "it was changed meanwhile")
        etag: str = stored["_etag"]
        return etag

    async def remove(self, kind: type[Document], key: str, version: str | None = None) -> None:
        """Remove the document, if it is at `version` where one is given."""
        step = Step(f"{kind.__name__} {key}", document_id(kind.__name__, key), None, version)
        gone = await self._lane(kind.__name__, key).write(step)
        if gone is None and await self._document("remove", kind.__name__, key) is not None:
            raise Conflict("remove", f"{kind.__name__} {key}", "it was changed meanwhile")

    async def list(self, kind: type[D], prefix: str, *, last: int | None = None) -> Sequence[tuple[str, D, str]]:
        """Return the documents whose keys begin with `prefix`, ascending; only the `last` so many if given."""
        if last == 0:
            return []
        low = document_place(kind.__name__, prefix)
        head, tail = ("SELECT", "ASC") if last is None else (f"SELECT TOP {last}", "DESC")
        select = Select(_LIST.format(head, tail), {"@low": low, "@high": low + BEHIND})
        items = await self._values("list", self._state, select)
        return [document_of(kind, item) for item in (items if last is None else reversed(items))]

    async def now(self) -> datetime:
        """Return the service's time, to the second, by the Date header of the cheapest request."""
        item = await self._account.call("read", "the time", partial(self._state.read_item, SCHEMA_ID, SCHEMA_ID))
        date = item.get_response_headers().get("Date")
        if date is None:
            raise StorageFailed("read", "the time", "the answer has no Date header")
        return parsedate_to_datetime(date)

    async def check(self) -> str:
        """Count the sources, and try a write that is bound to lose: only who may write gets as far as that."""
        await writable(self._account, self._state)
        number = len(await self.sources())
        return f"schema {SCHEMA}, results of {number} source{'s' * (number != 1)}; it may be read and written"

    async def _moved(self, ids: Sequence[str], seen: Mapping[str, str | None]) -> Sequence[str]:
        """Return the ids of the records that are not at the version that was seen; no more than versions is read of the others."""
        queries = await self._account.call(
            "look up", f"{len(ids)} versions", partial(self._ranges.by_id, dict.fromkeys(ids), VERSIONS)
        )
        pages = await _all(self._values("look up", self._records, query) for query in queries)
        found = {item["id"]: str(Version(item["_etag"], item["vector"])) for page in pages for item in page}
        return [key for key, version in found.items() if version != seen.get(key)]

    async def _items(self, keys: Sequence[str]) -> Mapping[str, Item]:
        """Return the items of these ids that exist, by id."""
        if not keys:
            return {}
        if len(keys) == 1:
            item = await self._account.unless_lost("look up", keys[0], partial(self._records.read_item, keys[0], bucket(keys[0])))
            return {} if item is None else {keys[0]: item}
        queries = await self._account.call("look up", f"{len(keys)} items", partial(self._ranges.by_id, dict.fromkeys(keys)))
        pages = await _all(self._values("look up", self._records, query) for query in queries)
        return {item["id"]: item for page in pages for item in page}

    async def _execute(self, batch: Sequence[Intent]) -> Sequence[Mapping[str, Any]] | Refused:
        what = batch[0].record.name if len(batch) == 1 else f"{len(batch)} records"
        part = bucket(batch[0].record.id)
        return await self._account.batch("write", what, self._records, part, lambda: operations_of(batch))

    async def _document(self, operation: str, kind: str, key: str) -> Item | None:
        read = partial(self._state.read_item, document_id(kind, key), document_part(kind, key))
        return await self._account.unless_lost(operation, f"{kind} {key}", read)

    def _lane(self, kind: str, key: str) -> Lane:
        part = document_part(kind, key)

        async def execute(steps: Sequence[Step]) -> Sequence[Mapping[str, Any]] | Refused:
            what = steps[0].name if len(steps) == 1 else f"{len(steps)} documents"
            return await self._account.batch("write", what, self._state, part, lambda: [step.operation() for step in steps])

        lane = self._lanes.get(part)
        if lane is None:
            lane = self._lanes[part] = Lane(execute)
        return lane

    async def _standing(self, low: str, high: str) -> str | None:
        """Return the next key of standing between two."""
        values = await self._values("tally", self._records, Select(_NEXT, {"@low": low, "@high": high}))
        return values[0] if values else None

    async def _values(self, operation: str, container: ContainerProxy, select: Select) -> Sequence[Any]:
        async def collect() -> Sequence[Any]:
            return [value async for value in select.run(container)]

        return await self._account.call(operation, container.id, collect)


async def _all(work: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Return all results once everything has ended; the first error then, and one that no retry helps before one that it may."""
    results = await asyncio.gather(*work, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Transient))
    return [result for result in results if not isinstance(result, BaseException)]


def _run(container: ContainerProxy, query: Select, _: Item | None) -> AsyncIterator[Item]:
    return query.run(container)


def _dressed(item: Item, vectors: Mapping[str, Item]) -> Record:
    return record_of(item, embedding_of(vectors.get(vector_id(item["id"])), item["vector"]))


def _bare(record: Record, item: Item) -> bool:
    """Say whether the embedding that goes with a record was not found with it."""
    return bool(item["vector"]) and (record.analysis is None or record.analysis.embedding is None)
