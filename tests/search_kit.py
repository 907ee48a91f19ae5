"""An Azure AI Search index over the stand-in, for tests."""

from __future__ import annotations

import atexit
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager

from azure.core.credentials import AzureKeyCredential

from jobs.model import Record
from search.azure_index import AzureSearchIndex, Place, create_azure_search, open_azure_search
from search.query import Query, Results
from tests.standins.search import SearchService, app
from tests.standins.serve import App, Receive, Scope, Send, served

ADMIN = AzureKeyCredential("admin")
DIMENSIONS = 4
"""Numbers in the embeddings of tests."""

_PATIENCE = 50


class Settled:
    """An index of which tests may look at what they have published: every write waits until searches see it.

    The contract says "searchable when it returns, or soon after". The stand-in lets a number of searches pass until then, so
    waiting takes no time.
    """

    def __init__(self, index: AzureSearchIndex) -> None:
        self.index = index
        self._sources: set[str] = set()

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        reasons = await self.index.publish(records)
        revs = {one.id: one.rev for one, reason in zip(records, reasons, strict=True) if reason is None}
        self._sources |= {one.source for one in records}
        await self._until(lambda seen: revs.items() <= seen.items())
        return reasons

    async def remove(self, ids: Sequence[str]) -> None:
        await self.index.remove(ids)
        await self._until(lambda seen: seen.keys().isdisjoint(ids))

    async def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]]]:
        async for batch in self.index.revisions(source):
            yield batch

    async def search(self, query: Query) -> Results:
        return await self.index.search(query)

    async def similar(self, vector: bytes, query: Query) -> Results:
        return await self.index.similar(vector, query)

    async def _until(self, true: Callable[[dict[str, int]], bool]) -> None:
        for _ in range(_PATIENCE):
            seen = {key: rev for source in self._sources async for some in self.index.revisions(source) for _, key, rev in some}
            if true(seen):
                return
        raise TimeoutError("searches never see what was published")


_ADDRESSES = ExitStack()
_SERVED: dict[str, tuple[str, list[App]]] = {}


def address_of(service: SearchService) -> str:
    """Return where this service can be asked: one server for the whole process, whose service is exchanged."""
    if "" not in _SERVED:
        current: list[App] = []

        async def whichever(scope: Scope, receive: Receive, send: Send) -> None:
            await current[0](scope, receive, send)

        _SERVED[""] = (_ADDRESSES.enter_context(served(whichever)), current)
        atexit.register(_ADDRESSES.close)
    address, current = _SERVED[""]
    current[:] = [app(service)]
    return address


@asynccontextmanager
async def standin_index(service: SearchService) -> AsyncIterator[AzureSearchIndex]:
    """Create an index in the stand-in as `imagesweep index create` does, and open it."""
    place = Place.parse(f"{address_of(service)}/images")
    await create_azure_search(place, ADMIN, dimensions=DIMENSIONS)
    async with open_azure_search(place, ADMIN, dimensions=DIMENSIONS) as index:
        yield index
