"""The places behind the sources that the contract is run over. A new adapter joins with a World of its own in WORLDS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from jobs.adapters.folder import FolderSource
from jobs.ports import Source
from tests.fakes.source import MemorySource


class World(Protocol):
    """The place behind a source, as others change it."""

    async def put(self, name: str, data: bytes) -> None: ...
    async def overwrite(self, name: str, data: bytes) -> None: ...
    async def delete(self, name: str) -> None: ...
    def source(self, *, page: int = 1000) -> Source: ...


class FolderWorld:
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


@asynccontextmanager
async def folder_world(tmp_path: Path) -> AsyncIterator[World]:
    yield FolderWorld(tmp_path)


@asynccontextmanager
async def memory_world(_: Path) -> AsyncIterator[World]:
    yield MemoryWorld()


WORLDS: dict[str, Callable[[Path], AbstractAsyncContextManager[World]]] = {"folder": folder_world, "memory": memory_world}
