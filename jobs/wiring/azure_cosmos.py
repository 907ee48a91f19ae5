"""The store in Cosmos DB. The SDK is imported where it is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.settings import Settings
from jobs.wiring.kinds import Store


@asynccontextmanager
async def cosmos(settings: Settings, location: str, *, read_only: bool) -> AsyncIterator[Store]:
    """Open a database as a store. `read_only` changes nothing: opening writes nothing, and rights are the account's to give."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from jobs.adapters.cosmos import open_cosmos  # noqa: PLC0415

    del read_only
    async with credential(settings.cosmos_key) as who, open_cosmos(location, who) as store:
        yield store


async def create(settings: Settings, location: str) -> list[str]:
    """Create what is missing of a database, and return its names."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from jobs.adapters.cosmos_containers import create_cosmos  # noqa: PLC0415

    async with credential(settings.cosmos_key) as who:
        return await create_cosmos(location, who, max_ru=settings.cosmos_max_ru)
