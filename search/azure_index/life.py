"""The life of an index: made from `search/index.json` behind an alias, so that a rebuilt one can take its place.

`INDEX` is the alias: what the setting names, and all that sweeps and searches know. `INDEX-v1` is the index that `create`
makes. A rebuild makes `INDEX-v2026...`, named by its time; when it is full the alias moves there, and the old one is deleted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential

from jobs.errors import Misconfigured, SweepError
from search.azure_index.errors import MISSING
from search.azure_index.index import AzureSearchIndex
from search.azure_index.place import Place
from search.azure_index.schema import checked, definition
from search.azure_index.service import Service, opened

PROPAGATION = 15.0
"""Seconds until every part of the service knows where an alias leads: up to ten, as the service says, and some."""

Sleep = Callable[[float], Awaitable[None]]
Credential = AzureKeyCredential | AsyncTokenCredential

_log = logging.getLogger(__name__)


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


@asynccontextmanager
async def fresh_azure_search(
    place: Place,
    credential: Credential,
    *,
    dimensions: int | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[AzureSearchIndex]:
    """Make a new, empty index beside the one in use; put it in its place and delete the old when the body has succeeded.

    Raises Misconfigured where the name is that of an index and not of an alias: then it could not be replaced.
    """
    async with opened(place, credential) as service:
        old = await _alias(service)
        if old is None:
            await _no_plain_index(service)
        name = f"{place.name}-v{now():%Y%m%d%H%M%S}"
        await _make(service, name, dimensions)
        try:
            async with opened(Place(place.endpoint, name), credential) as fresh:
                yield AzureSearchIndex(fresh, dimensions=dimensions)
            await _point(service, name)
        except BaseException:
            await _drop(service, name)
            raise
        if old is not None and old != name:
            await sleep(PROPAGATION)
            await _drop(service, old)


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
    await service.must("create", "PUT", f"/aliases('{alias}')", {"name": alias, "indexes": [name]})


async def _drop(service: Service, name: str) -> None:
    """Delete an index that nothing refers to; what cannot be deleted is left, and said."""
    try:
        answer = await service.ask("delete", "DELETE", f"/indexes('{name}')")
        if answer.status != MISSING:
            service.accepted("delete", answer)
    except SweepError as error:
        _log.warning("index.left", extra={"index": name, "cause": str(error)})
