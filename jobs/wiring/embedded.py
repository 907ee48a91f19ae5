"""The parts that need no cloud: folder, local model, SQLite, Tantivy."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from jobs.choose import chooser
from jobs.errors import LeaseHeld, Misconfigured
from jobs.ports import Classifier, Life, Source
from jobs.properties import name_pattern
from jobs.settings import Settings, several
from jobs.wiring.kinds import SearchIndex, Store

MEGABYTE = 1_000_000


@asynccontextmanager
async def folder(settings: Settings, location: str) -> AsyncIterator[Source]:
    """Open a folder as a source."""
    from jobs.adapters.folder import FolderSource  # noqa: PLC0415

    choice = chooser(several(settings.include), several(settings.exclude))
    pattern = name_pattern(settings.name_pattern)
    follow = settings.follow_folders
    yield FolderSource(Path(location), choose=choice, page=settings.page, follow_folders=follow, pattern=pattern)


@asynccontextmanager
async def onnx(settings: Settings, location: str) -> AsyncIterator[Classifier]:
    """Open a local model, with its worker processes."""
    try:
        from jobs.adapters.onnx_model import open_onnx  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("open", "the local model", str(error), hint="Install the extra `local`.") from error

    async with open_onnx(
        location,
        workers=settings.workers,
        max_bytes=settings.max_mb * MEGABYTE,
        max_pixels=settings.max_megapixels * MEGABYTE,
        seconds=settings.decode_seconds,
    ) as model:
        yield model


def sqlite(_: Settings, location: str, *, read_only: bool) -> AbstractAsyncContextManager[Store]:
    """Open a SQLite file as a store."""
    from jobs.adapters.sqlite import open_sqlite  # noqa: PLC0415

    return open_sqlite(Path(location), read_only=read_only)


async def create_sqlite(_: Settings, location: str) -> list[str]:
    """Create a SQLite file, and return its name; nothing where it is there."""
    from jobs.adapters.sqlite import open_sqlite  # noqa: PLC0415

    path = Path(location)
    new = not path.is_file()  # noqa: ASYNC240 one look at a local file
    async with open_sqlite(path):
        return [path.name] if new else []


def tantivy(_: Settings, location: str, *, read_only: bool) -> AbstractAsyncContextManager[SearchIndex]:
    """Open a folder as an index."""
    try:
        from search.tantivy_index import open_tantivy  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("open", "the embedded index", str(error), hint="Install the extra `local`.") from error

    return open_tantivy(Path(location), read_only=read_only)


async def create_tantivy(settings: Settings, location: str) -> str:
    """Make an empty index in a folder where there is none, and say that it is there."""
    async with tantivy(settings, location, read_only=False):
        return f"{location} is there"


@asynccontextmanager
async def tantivy_life(_: Settings, location: str) -> AsyncIterator[Life]:
    """Yield what makes, exchanges and drops the indexes of a folder's name."""
    try:
        from search.tantivy_index import TantivyLife  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("open", "the embedded index", str(error), hint="Install the extra `local`.") from error

    yield TantivyLife(Path(location))


@asynccontextmanager
async def alone(location: str, key: str) -> AsyncIterator[None]:
    """Keep other processes of this machine out of `key`, by a lock beside the SQLite file. Raises LeaseHeld when one is at it."""
    from jobs.adapters.process_lock import ProcessLock  # noqa: PLC0415

    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    lock = ProcessLock(Path(location).parent / f"sweep-{name}.lock")
    if not lock.acquire():
        cause = f"process {lock.holder() or 'unknown'} is at it"
        raise LeaseHeld("sweep", key, cause, hint="Wait for it, or stop it with Ctrl-C: the next sweep goes on from there.")
    try:
        yield
    finally:
        lock.release()
