"""The life of an index: made from `search/index.json` behind an alias, so that a rebuilt one can take its place.

`INDEX` is the alias: what the setting names, and all that sweeps and searches know. `INDEX-v1` is the index that `create`
makes. A rebuild makes `INDEX-v2026...`, named by its time; when it is full the alias moves there, and the old one is deleted.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential

from jobs.errors import Misconfigured, SweepError
from search.azure_index.errors import MISSING
from search.azure_index.index import AzureSearchIndex, open_azure_search
from search.azure_index.place import Place
from search.azure_index.schema import checked, definition
from search.azure_index.service import Service, opened

PROPAGATION = 15.0
"""Seconds until every part of the service knows where an alias leads: up to ten, as the service says, and some."""

Credential = AzureKeyCredential | AsyncTokenCredential


async def create_azure_search(place: Place, credential: Credential, *, dimensions: int | None) -> str:
    """Make the index and its alias where there are none; return what is there now. Calling it again changes nothing."""
    async with opened(place, credential) as service:
        alias = await _alias(service)
        if alias is not None:
            checked(place, await service.must("create", "GET", f"/indexes('{alias}')"), dimensions=dimensions)
            return f"{place} is there: an alias of {alias}"
        plain = await service.look("create", f"/indexes('{place.name}')", unless=(MISSING,))
        if plain is not None:
            checked(place, plain, dimensions=dimensions)
            return f"{place} is there: an index without an alias, which `imagesweep index rebuild` cannot replace"
        first = f"{place.name}-v1"
        await _make(service, first, dimensions)
        await _point(service, first)
        return f"{place} was made: an alias of {first}"


class AzureLife:
    """The indexes behind one alias, by the contract of `jobs.ports.Life`."""

    propagation = PROPAGATION

    def __init__(self, service: Service, credential: Credential, *, dimensions: int | None, now: Callable[[], datetime]) -> None:
        self._service = service
        self._credential = credential
        self._dimensions = dimensions
        self._now = now

    async def in_use(self) -> str | None:
        """Return the index that the alias leads to, or the one that has its name."""
        name = self._service.place.name
        used = await _alias(self._service)
        if used is None and await self._service.look("open", f"/indexes('{name}')", unless=(MISSING,)) is not None:
            return name
        return used

    async def beside(self) -> Sequence[str]:
        """Return the indexes that are named as those that this program makes for the alias, but for the one that it leads to."""
        used = await _alias(self._service)
        ours = re.compile(rf"{re.escape(self._service.place.name)}-v(?:1|\d{{14}})")
        found = await self._service.must("list", "GET", "/indexes")
        return sorted(one["name"] for one in found["value"] if ours.fullmatch(one["name"]) and one["name"] != used)

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[AzureSearchIndex]:
        """Open one of them by its own name."""
        place = Place(self._service.place.endpoint, name)
        async with open_azure_search(place, self._credential, dimensions=self._dimensions) as index:
            yield index

    async def make(self) -> str:
        """Make an index. Raises Misconfigured where the name is that of an index and not of an alias: it could not be replaced."""
        if await _alias(self._service) is None:
            await _no_plain_index(self._service)
        name = f"{self._service.place.name}-v{self._now():%Y%m%d%H%M%S}"
        await _make(self._service, name, self._dimensions)
        return name

    async def switch(self, name: str) -> None:
        """Let the alias lead to this one."""
        await _point(self._service, name)

    async def drop(self, name: str) -> None:
        """Delete an index; the service refuses to delete one that an alias leads to."""
        answer = await self._service.ask("delete", "DELETE", f"/indexes('{name}')")
        if answer.status == MISSING:
            return
        try:
            self._service.accepted("delete", answer)
        except SweepError:
            if await _alias(self._service) != name:
                raise


@asynccontextmanager
async def open_azure_life(
    place: Place, credential: Credential, *, dimensions: int | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[AzureLife]:
    """Open the connections to the service of an alias; asks nothing of it yet."""
    async with opened(place, credential) as service:
        yield AzureLife(service, credential, dimensions=dimensions, now=now)


async def _alias(service: Service) -> str | None:
    """Return the index that the alias of this name leads to, None where there is no alias."""
    found = await service.look("open", f"/aliases('{service.place.name}')", unless=(MISSING,))
    return str(found["indexes"][0]) if found else None


async def _no_plain_index(service: Service) -> None:
    if await service.look("rebuild", f"/indexes('{service.place.name}')", unless=(MISSING,)) is not None:
        cause = "this is the name of an index, not of an alias: no other index can take its place"
        hint = "Choose another name in IMAGESWEEP_INDEX, run `imagesweep index create` and `imagesweep index rebuild`, delete this."
        raise Misconfigured("rebuild", str(service.place), cause, hint=hint)


async def _make(service: Service, name: str, dimensions: int | None) -> None:
    await service.must("create", "PUT", f"/indexes('{name}')", definition(name, dimensions=dimensions))


async def _point(service: Service, name: str) -> None:
    alias = service.place.name
    await service.must("switch", "PUT", f"/aliases('{alias}')", {"name": alias, "indexes": [name]})
