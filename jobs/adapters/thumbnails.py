"""Pictures to look at, made from the blobs: decoded in processes of their own, and kept in a folder."""

from __future__ import annotations

import asyncio
import hashlib
import io
import multiprocessing
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pebble import ProcessExpired, ProcessPool

from jobs.errors import Rejected, SweepError
from jobs.model import Blob, Limits, Record
from jobs.pixels import redraw
from jobs.ports import Source

FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO", "HEIF", "AVIF"})
SECONDS = 20.0
"""Time to draw one picture."""

_WORKERS = 2
_QUALITY = 80
_SHARE = 0.8


class NoPicture(Exception):
    """There is no picture of this version, and why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be decoded: encoded bytes, and pixels at once."""

    max_bytes: int
    max_pixels: int


class Thumbnails:
    """Draws pictures of records, and keeps them by id, version and size: names of blobs never become names of files."""

    def __init__(self, folder: Path, sources: Mapping[str, Source], pool: ProcessPool, bounds: Bounds, *, keep: int) -> None:
        self._folder = folder
        self._sources = sources
        self._pool = pool
        self._bounds = bounds
        self._keep = keep
        self._size: int | None = None
        self._drawing = asyncio.Semaphore(_WORKERS * 2)

    async def picture(self, record: Record, longest: int) -> bytes:
        """Return a WebP of the version that was analysed, with no side longer than `longest`. Raises NoPicture."""
        path = self._path(record, longest)
        kept = await asyncio.to_thread(_read, path)
        if kept is not None:
            return kept
        async with self._drawing:
            drawn = await self._draw(record, longest)
        await asyncio.to_thread(self._store, path, drawn)
        return drawn

    async def _draw(self, record: Record, longest: int) -> bytes:
        source = self._sources.get(record.source)
        if source is None:
            raise NoPicture("Its source is not among those that are set.")
        version = Blob(record.source, record.name, record.analysed or record.etag, record.modified, record.size)
        try:
            data = await source.read(version)
            drawing = self._pool.schedule(drawn, args=[data, longest, self._bounds], timeout=SECONDS)
            return cast("bytes", await asyncio.wrap_future(drawing))
        except (SweepError, ProcessExpired, TimeoutError) as error:
            cause = error.cause if isinstance(error, SweepError) else "it cannot be decoded"
            raise NoPicture(f"There is no picture of this version: {cause}.") from error
        except ValueError as error:  # what the worker says of the image
            raise NoPicture(f"There is no picture of this version: {error}.") from error

    def _path(self, record: Record, longest: int) -> Path:
        key = hashlib.sha256(f"{record.id}\0{record.analysed or record.etag}\0{longest}".encode()).hexdigest()
        return self._folder / key[:2] / f"{key}.webp"

    def _store(self, path: Path, data: bytes) -> None:
        """Keep a picture, whole or not at all; a full or read-only disk costs time only."""
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(path)
            self._size = (self._size if self._size is not None else _size(self._folder)) + len(data)
            if self._size > self._keep:
                self._size = _shrink(self._folder, int(self._keep * _SHARE))


def drawn(data: bytes, longest: int, bounds: Bounds) -> bytes:
    """Draw a picture; runs in a worker process. Raises ValueError for a fault of the image."""
    limits = Limits(FORMATS, min_side=1, max_side=65_535, max_bytes=bounds.max_bytes)
    target = io.BytesIO()
    try:
        redraw(data, limits=limits, max_pixels=bounds.max_pixels, longest=longest).save(target, "WEBP", quality=_QUALITY, method=2)
    except Rejected as error:
        raise ValueError(error.cause) from None
    return target.getvalue()


@asynccontextmanager
async def open_thumbnails(folder: Path, sources: Mapping[str, Source], bounds: Bounds, *, keep: int) -> AsyncIterator[Thumbnails]:
    """Open the pictures of some sources, by key; up to `keep` bytes of them stay in the folder. Processes start with the first."""
    context = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    pool = ProcessPool(max_workers=_WORKERS, context=context)
    try:
        yield Thumbnails(folder, sources, pool, bounds, keep=keep)
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it so
        await asyncio.to_thread(pool.join)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.webp"))


def _shrink(folder: Path, most: int) -> int:
    """Remove the oldest pictures until no more than `most` bytes are left; return how many there are then."""
    found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*/*.webp"))
    left = sum(size for _, size, _ in found)
    for _, size, path in found:
        if left <= most:
            break
        path.unlink(missing_ok=True)
        left -= size
    return left
