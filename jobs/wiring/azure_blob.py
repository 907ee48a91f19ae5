"""Azure Blob Storage as a source: settings in, an open container out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.choose import chooser
from jobs.ports import Source
from jobs.properties import name_pattern
from jobs.settings import Settings, several


@asynccontextmanager
async def blob(settings: Settings, location: str) -> AsyncIterator[Source]:
    """Open a container as a source, by identity, or by the account's key where one is set."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415 half a second that a folder does not need
    from jobs.adapters.azure_blob import open_azure_blob  # noqa: PLC0415

    async with (
        credential(settings.blob_key) as identity,
        open_azure_blob(
            location,
            identity,
            choose=chooser(several(settings.include), several(settings.exclude)),
            page=settings.page,
            shards=settings.listing_shards,
            pattern=name_pattern(settings.name_pattern),
            metadata=settings.blob_metadata,
            index_tags=settings.blob_tags,
        ) as source,
    ):
        yield source
