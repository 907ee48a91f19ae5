"""The Azure AI Search index as the jobs and the searchers see it."""

from __future__ import annotations

import asyncio
import random as _random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential

from jobs.errors import Misconfigured, Transient
from jobs.model import Record
from jobs.retry import Policy, backoff
from search.azure_index.answer import alike, nothing, results, unsettled
from search.azure_index.batches import Actions, batches, send
from search.azure_index.compile import after, by_meaning, compiled, key, likest
from search.azure_index.place import Place
from search.azure_index.schema import SCHEMA, verify
from search.azure_index.service import POLICY, Service, opened
from search.azure_index.wire import DOCUMENT, delete, unfit, upload
from search.checks import check
from search.document import document, encodable
from search.query import Query, Results, filters

PAGE = 1000
"""Documents of one page of revisions: the most that the service takes."""


class AzureSearchIndex:
    """An index by the contracts of `jobs.ports.Index` and `search.query.Searcher`.

    What `publish` has acknowledged is durable, and is found by queries a few seconds later, as the service says.
    """

    def __init__(
        self,
        service: Service,
        *,
        dimensions: int | None = None,
        read_only: bool = False,
        semantic: bool = False,
        policy: Policy = POLICY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._service = service
        self._dimensions = dimensions
        self._read_only = read_only
        self._semantic = semantic
        self._policy = policy
        self._sleep = sleep
        self._random = random

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        """Replace whole documents; of two of one id in a call, the last counts."""
        reasons, actions = await asyncio.to_thread(_prepared, records, self._dimensions)
        reasons |= await self._write(actions)
        return [reasons[record.id] for record in records]

    async def remove(self, ids: Sequence[str]) -> None:
        """Remove these documents."""
        await self._write({one: delete(one) for one in ids})

    async def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]]]:
        """Stream (name, id, rev), page by page after the last name: the service skips no more than 100,000 documents."""
        if not encodable(source):
            return
        last: str | None = None
        while True:
            about = {"search": "*", "filter": after(source, last), "orderby": "name_key asc", "select": "name,id,rev", "top": PAGE}
            _, found, _ = await self._ask(about, PAGE)
            if not found:
                return
            yield [(one["name"], one["id"], one["rev"]) for one in found]
            last = key(found[-1]["name"])

    async def search(self, query: Query) -> Results:
        """Answer one query; raises Misconfigured for one that makes no sense."""
        check(query)
        body = compiled(query)
        if body is None:
            return nothing(query)
        count, found, counts = await self._ask(by_meaning(body, query) if self._semantic else body, query.limit)
        more = unsettled(query, counts)
        if more:
            _, _, every = await self._ask({**body, "skip": 0, "top": 0, "facets": [f"{field},count:0" for field in more]}, 0)
            counts = {**counts, **every}
        return results(query, count, found, counts)

    async def similar(self, vector: bytes, query: Query) -> Results:
        """Return the images most like a vector, of those that a query narrows down to by its filters."""
        check(query)
        body = compiled(filters(query))
        if body is None or not query.limit or len(vector) != 4 * (self._dimensions or 0):
            return nothing(filters(query))
        _, found, _ = await self._ask(likest(body, vector, query.limit), query.limit)
        return alike(found)

    async def count(self) -> int:
        """Return the number of documents, of every source."""
        count, _, _ = await self._ask({"search": "*", "count": True, "top": 0}, 0)
        return count

    async def check(self) -> str:
        """Count the documents, and delete one that is not there: only who may publish gets as far as that."""
        number = await self.count()
        absent = {"value": [{"@search.action": "delete", "id": "imagesweep-check"}]}
        await self._service.must("check", "POST", f"/indexes('{self._service.place.name}')/docs/search.index", absent)
        vectors = f"vectors of {self._dimensions:,} numbers" if self._dimensions else "no vectors"
        return f"schema {SCHEMA}, {number:,} documents, {vectors}; it may be searched and published to"

    async def _ask(self, body: Mapping[str, object], limit: int) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
        """Return the count, up to `limit` documents, and the facets of a request that the service may answer in parts."""
        path = f"/indexes('{self._service.place.name}')/docs/search.post.search"
        first = part = await self._service.must("search", "POST", path, body)
        found = list(part["value"])
        while len(found) < limit and part.get("@search.nextPageParameters"):
            part = await self._service.must("search", "POST", path, part["@search.nextPageParameters"])
            found += part["value"]
        return first.get("@odata.count", 0), found[:limit], first.get("@search.facets", {})

    async def _write(self, actions: Actions) -> dict[str, str | None]:
        if self._read_only and actions:
            raise Misconfigured("publish", str(self._service.place), "the index was opened to be read only")
        settled: dict[str, str | None] = {}
        for batch in batches(actions):
            settled |= await self._settle(batch)
        return settled

    async def _settle(self, batch: dict[str, bytes]) -> dict[str, str | None]:
        """Send a batch, and again those documents that the service wants sent again, until every one is settled."""
        settled: dict[str, str | None] = {}
        left: Actions = batch
        for attempt in range(1, self._policy.attempts + 1):
            settled |= await send(self._service, left)
            left = {one: action for one, action in batch.items() if one not in settled}
            if not left:
                return settled
            if attempt < self._policy.attempts:
                await self._sleep(backoff(attempt, self._policy, jitter=self._random()))
        cause = f"{len(left)} of {len(batch)} documents were not taken in {self._policy.attempts} attempts"
        raise Transient("publish", str(self._service.place), cause)


def _prepared(records: Sequence[Record], dimensions: int | None) -> tuple[dict[str, str | None], dict[str, bytes]]:
    """Return by id the reasons why documents never fit, None for the others, and the actions that upload those."""
    reasons: dict[str, str | None] = {}
    actions: dict[str, bytes] = {}
    for record in records:
        shown = document(record) if record.analysis else None
        reason = unfit(shown) if shown else "it has no analysis"
        actions.pop(record.id, None)
        if shown and reason is None:
            action = upload(shown, dimensions=dimensions)
            if len(action) > DOCUMENT:
                reason = f"its document has more than {DOCUMENT:,} bytes"
            else:
                actions[record.id] = action
        reasons[record.id] = reason
    return reasons, actions


@asynccontextmanager
async def open_azure_search(
    place: Place,
    credential: AzureKeyCredential | AsyncTokenCredential,
    *,
    dimensions: int | None = None,
    read_only: bool = False,
    semantic: bool = False,
) -> AsyncIterator[AzureSearchIndex]:
    """Open the index, or the one behind the alias, of this name. `dimensions` are the numbers of an embedding, None without.

    `semantic` ranks what words find by meaning, which the service counts and charges.

    Raises Misconfigured where there is none, where it has another schema or other vectors, or where the rights are missing.
    """
    async with opened(place, credential) as service:
        await verify(service, dimensions=dimensions)
        yield AzureSearchIndex(service, dimensions=dimensions, read_only=read_only, semantic=semantic)
