"""The places behind the sources that the contract is run over. A new adapter joins with a World of its own in WORLDS.

Those in SERVED need a server, whose address they are opened with in place of a folder.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from azure.core.credentials import AzureKeyCredential
from azure.storage.blob.aio import ContainerClient

from jobs.adapters.azure_blob import AzureBlobSource
from jobs.adapters.azure_blob_channel import Channel, open_channel
from jobs.adapters.azure_blob_link import Links
from jobs.adapters.azure_blob_names import Names
from jobs.adapters.azure_blob_place import Place, place
from jobs.adapters.folder import FolderSource
from jobs.ports import Source
from tests.fakes.source import MemorySource
from tests.servers.azurite import KEY


class World(Protocol):
    """The place behind a source, as others change it. No name there holds a character of `unnameable`."""

    unnameable: str

    async def put(self, name: str, data: bytes) -> None: ...
    async def overwrite(self, name: str, data: bytes) -> None: ...
    async def delete(self, name: str) -> None: ...
    def source(self, *, page: int = 1000) -> Source: ...


class FolderWorld:
    unnameable = ""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    async def overwrite(self, name: str, data: bytes) -> None:
        (self._root / name).write_bytes(data)

    async def delete(self, name: str) -> None:
        (self._root / name).unlink()

    def source(self, *, page: int = 1000) -> Source:
        return FolderSource(self._root, page=page)


class MemoryWorld:
    unnameable = ""

    def __init__(self) -> None:
        self._blobs = MemorySource(lambda: datetime.now(UTC))

    async def put(self, name: str, data: bytes) -> None:
        self._blobs.put(name, data)

    async def overwrite(self, name: str, data: bytes) -> None:
        self._blobs.put(name, data)

    async def delete(self, name: str) -> None:
        self._blobs.delete(name)

    def source(self, *, page: int = 1000) -> Source:
        source = MemorySource(lambda: datetime.now(UTC), page=page)
        source.blobs = self._blobs.blobs
        return source


class AzureBlobWorld:
    """A container of its own. `shards` are the ranges that its sources list at once. The service takes a backslash for a slash."""

    unnameable = "\\"

    def __init__(self, container: ContainerClient, channel: Channel, where: Place, *, shards: int) -> None:
        self._container = container
        self._channel = channel
        self._place = where
        self._shards = shards

    async def put(self, name: str, data: bytes) -> None:
        await self._container.upload_blob(name, data)

    async def overwrite(self, name: str, data: bytes) -> None:
        await self._container.upload_blob(name, data, overwrite=True)

    async def delete(self, name: str) -> None:
        await self._container.delete_blob(name)

    def source(self, *, page: int = 1000) -> Source:
        names = Names(self._channel, self._place.key, most=page)
        links = Links(self._place, AzureKeyCredential(KEY), now=_noon)
        return AzureBlobSource(self._channel, names, links, self._place, page=page, shards=self._shards)


async def _noon() -> datetime:
    return datetime(2026, 6, 1, 12, tzinfo=UTC)


@asynccontextmanager
async def azure_blob_world(endpoint: str, *, shards: int = 1) -> AsyncIterator[World]:
    where = place(f"{endpoint}/c{uuid.uuid4().hex}", with_key=True)
    key = {"account_name": where.account, "account_key": KEY}
    async with (
        ContainerClient(
            where.endpoint, where.container, credential=key, max_single_put_size=_BLOCK, max_block_size=_BLOCK
        ) as container,
        open_channel(where, AzureKeyCredential(KEY), seconds=30) as channel,
    ):
        await container.create_container()
        yield AzureBlobWorld(container, channel, where, shards=shards)
        await container.delete_container()


@asynccontextmanager
async def folder_world(tmp_path: Path) -> AsyncIterator[World]:
    yield FolderWorld(tmp_path)


@asynccontextmanager
async def memory_world(_: Path) -> AsyncIterator[World]:
    yield MemoryWorld()


_BLOCK = 512 * 1024  # larger bodies make aiohttp warn

SERVED: dict[str, Callable[[str], AbstractAsyncContextManager[World]]] = {
    "azurite": azure_blob_world,
    "azurite, 4 ranges": partial(azure_blob_world, shards=4),
}
WORLDS: dict[str, Callable[[Path], AbstractAsyncContextManager[World]]] = {"folder": folder_world, "memory": memory_world}
