"""The index in Azure AI Search. The SDK is imported where it is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.ports import Life
from jobs.settings import Settings
from jobs.wiring import embedders
from jobs.wiring.kinds import SearchIndex


@asynccontextmanager
async def azure_search(settings: Settings, location: str, *, read_only: bool) -> AsyncIterator[SearchIndex]:
    """Open an index, or the one behind an alias."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from search.azure_index import Place, open_azure_search  # noqa: PLC0415

    place = Place.parse(location)
    async with (
        credential(settings.search_key) as who,
        open_azure_search(
            place, who, dimensions=_dimensions(settings), read_only=read_only, semantic=settings.search_semantic
        ) as index,
    ):
        yield index


@asynccontextmanager
async def life(settings: Settings, location: str) -> AsyncIterator[Life]:
    """Open what makes, exchanges and drops the indexes behind an alias."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from search.azure_index import Place, open_azure_life  # noqa: PLC0415

    place = Place.parse(location)
    async with (
        credential(settings.search_key) as who,
        open_azure_life(place, who, dimensions=_dimensions(settings)) as lives,
    ):
        yield lives


async def create(settings: Settings, location: str) -> str:
    """Make the index and its alias where there are none, and say what is there."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from search.azure_index import Place, create_azure_search  # noqa: PLC0415

    place = Place.parse(location)
    async with credential(settings.search_key) as who:
        return await create_azure_search(place, who, dimensions=_dimensions(settings))


def _dimensions(settings: Settings) -> int | None:
    """Return how many numbers an embedding has, None where images get none."""
    return embedders.length(settings) or None
