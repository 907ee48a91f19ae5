"""Wiring: settings in, open parts out. The only place that knows every kind, and the only one that enters resources."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from jobs.choose import chooser
from jobs.errors import LeaseHeld, Misconfigured
from jobs.ports import Classifier, Source
from jobs.run import Terms
from jobs.settings import Settings, several

if TYPE_CHECKING:
    from jobs.adapters.sqlite import SqliteStore
    from search.tantivy_index import TantivyIndex

T = TypeVar("T")
Opener = Callable[[Settings, str], AbstractAsyncContextManager[T]]


def split(setting: str, value: str) -> tuple[str, str]:
    """Split KIND:LOCATION. Raises Misconfigured naming the setting."""
    kind, colon, location = value.partition(":")
    if not colon or not kind or not location:
        hint = "It reads KIND:LOCATION, as in folder:photos."
        raise Misconfigured("read", f"IMAGESWEEP_{setting.upper()}", f"{value!r} names no kind and location", hint=hint)
    return kind, location


def _opener(setting: str, value: str, known: dict[str, Opener[T]], settings: Settings) -> AbstractAsyncContextManager[T]:
    kind, location = split(setting, value)
    if kind not in known:
        hint = f"Known kinds: {', '.join(sorted(known))}."
        raise Misconfigured("read", f"IMAGESWEEP_{setting.upper()}", f"there is no kind {kind!r}", hint=hint)
    return known[kind](settings, location)


@asynccontextmanager
async def _folder(settings: Settings, location: str) -> AsyncIterator[Source]:
    from jobs.adapters.folder import FolderSource  # noqa: PLC0415

    choice = chooser(several(settings.include), several(settings.exclude))
    yield FolderSource(Path(location), choose=choice, page=settings.page, follow_folders=settings.follow_folders)


@asynccontextmanager
async def _onnx(settings: Settings, location: str) -> AsyncIterator[Classifier]:
    try:
        from jobs.adapters.onnx_model import open_onnx  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("open", "the local model", str(error), hint="Install the extra `local`.") from error

    megabyte = 1_000_000
    async with open_onnx(
        location,
        workers=settings.workers,
        max_bytes=settings.max_mb * megabyte,
        max_pixels=settings.max_megapixels * megabyte,
        seconds=settings.decode_seconds,
    ) as model:
        yield model


SOURCES: dict[str, Opener[Source]] = {"folder": _folder}
CLASSIFIERS: dict[str, Opener[Classifier]] = {"onnx": _onnx}


def sources(settings: Settings) -> list[AbstractAsyncContextManager[Source]]:
    """Return an opener for each source that the settings list."""
    listed = several(settings.source)
    if not listed:
        raise Misconfigured("read", "IMAGESWEEP_SOURCE", "it is empty", hint="Name a folder, as in folder:photos.")
    return [_opener("source", value, SOURCES, settings) for value in listed]


async def keys(settings: Settings) -> list[str]:
    """Return the keys of the sources that the settings list, without reading them."""
    found = []
    for opener in sources(settings):
        async with opener as source:
            found.append(source.key)
    return found


def classifier(settings: Settings) -> AbstractAsyncContextManager[Classifier]:
    """Return an opener for the classifier."""
    return _opener("classifier", settings.classifier, CLASSIFIERS, settings)


def store(settings: Settings, *, read_only: bool = False) -> AbstractAsyncContextManager[SqliteStore]:
    """Return an opener for the store: ledger, state, tally and clock in one."""
    from jobs.adapters.sqlite import open_sqlite  # noqa: PLC0415

    return _opener("store", settings.store, {"sqlite": lambda _, where: open_sqlite(Path(where), read_only=read_only)}, settings)


def index(settings: Settings, *, read_only: bool = False) -> AbstractAsyncContextManager[TantivyIndex]:
    """Return an opener for the index, which is published to and searched."""
    try:
        from search.tantivy_index import open_tantivy  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("open", "the embedded index", str(error), hint="Install the extra `local`.") from error

    return _opener("index", settings.index, {"tantivy": lambda _, where: open_tantivy(Path(where), read_only=read_only)}, settings)


@asynccontextmanager
async def fresh_index(settings: Settings) -> AsyncIterator[TantivyIndex]:
    """Open a new, empty index beside the one that the settings name, and put it in its place when the body has succeeded."""
    from search.tantivy_index import open_tantivy, swap  # noqa: PLC0415

    kind, location = split("index", settings.index)
    if kind != "tantivy":
        raise Misconfigured("rebuild", f"index of kind {kind}", "there is no kind like it", hint="Known kinds: tantivy.")
    path = Path(location)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.name}.rebuild-", dir=path.parent) as folder:
        beside = Path(folder) / "index"
        async with open_tantivy(beside) as fresh:
            yield fresh
        swap(beside, path)


@asynccontextmanager
async def sole(settings: Settings, key: str) -> AsyncIterator[bool]:
    """Keep other processes of this machine out of `key`, where the store is a file; yield whether that proves them dead.

    Raises LeaseHeld when another process is at it.
    """
    kind, location = split("store", settings.store)
    if kind != "sqlite":
        yield False
        return
    from jobs.adapters.process_lock import ProcessLock  # noqa: PLC0415

    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    lock = ProcessLock(Path(location).parent / f"sweep-{name}.lock")
    if not lock.acquire():
        cause = f"process {lock.holder() or 'unknown'} is at it"
        raise LeaseHeld("sweep", key, cause, hint="Wait for it, or stop it with Ctrl-C: the next sweep goes on from there.")
    try:
        yield True
    finally:
        lock.release()


def terms(settings: Settings, *, max_calls: int | None = None) -> Terms:
    """Return what a run settles by. The scope changes with every setting that decides which blobs are taken."""
    filters = (settings.include, settings.exclude, settings.follow_folders, settings.max_mb, settings.max_megapixels)
    return Terms(
        concurrency=settings.concurrency,
        max_flying_bytes=settings.in_flight_mb * 1_000_000,
        per_second=settings.calls_per_second,
        write_buffer=settings.write_buffer,
        call_seconds=settings.call_seconds,
        lease_seconds=settings.lease_seconds,
        attempts=settings.attempts,
        lookback=settings.lookback,
        pages_in_flight=settings.pages_in_flight,
        max_calls=max_calls,
        scope=hashlib.sha256(repr(filters).encode()).hexdigest()[:16],
    )
