"""Wiring: settings in, open parts out. The only place that knows every kind, and the only one that enters resources."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from jobs import taxonomy
from jobs.both import open_both
from jobs.budget import Budget
from jobs.cascade import Cascade, Doubt
from jobs.errors import Misconfigured
from jobs.ports import Classifier, Index, Life, Source, State
from jobs.prices import Tariff
from jobs.run import Terms
from jobs.settings import Settings, several
from jobs.window import window, zone
from jobs.wiring import azure_blob, azure_cosmos, azure_search, azure_vision, embedded, embedders
from jobs.wiring.kinds import Opener, SearchIndex, Store, choose, split

SOURCES: dict[str, Opener[Source]] = {"folder": embedded.folder, "azure-blob": azure_blob.blob}
CLASSIFIERS: dict[str, Opener[Classifier]] = {"onnx": embedded.onnx, "azure-vision": azure_vision.vision}
TARIFFS: dict[str, Callable[[Settings], Tariff]] = {"azure-vision": azure_vision.tariff}
STORES: dict[str, Callable[..., AbstractAsyncContextManager[Store]]] = {"sqlite": embedded.sqlite, "cosmos": azure_cosmos.cosmos}
CREATE_STORES: dict[str, Callable[[Settings, str], Awaitable[list[str]]]] = {
    "sqlite": embedded.create_sqlite,
    "cosmos": azure_cosmos.create,
}
INDEXES: dict[str, Callable[..., AbstractAsyncContextManager[SearchIndex]]] = {
    "tantivy": embedded.tantivy,
    "azure-search": azure_search.azure_search,
}
SETTLE: dict[str, float] = {"cosmos": 5.0}
"""Seconds until every process surely reads what another wrote to a store of this kind: with Session consistency, a moment later."""
CREATE_INDEXES: dict[str, Callable[[Settings, str], Awaitable[str]]] = {
    "tantivy": embedded.create_tantivy,
    "azure-search": azure_search.create,
}
LIVES: dict[str, Opener[Life]] = {"tantivy": embedded.tantivy_life, "azure-search": azure_search.life}


def sources(settings: Settings) -> list[AbstractAsyncContextManager[Source]]:
    """Return an opener for each source that the settings list."""
    listed = several(settings.source)
    if not listed:
        raise Misconfigured("read", "IMAGESWEEP_SOURCE", "it is empty", hint="Name a folder, as in folder:photos.")
    chosen = [choose("source", value, SOURCES) for value in listed]
    return [opener(settings, location) for opener, location in chosen]


async def areas(settings: Settings) -> list[tuple[str, str]]:
    """Return key and prefix of the sources that the settings list, without reading them."""
    found = []
    for opener in sources(settings):
        async with opener as source:
            found.append((source.key, source.prefix))
    return found


async def keys(settings: Settings) -> list[str]:
    """Return the distinct keys of the sources that the settings list, without reading them."""
    return list(dict.fromkeys([key for key, _ in await areas(settings)]))


def classifier(settings: Settings) -> AbstractAsyncContextManager[Classifier]:
    """Return an opener for the classifier, with the embedder that goes with it."""
    opener, location = choose("classifier", settings.classifier, CLASSIFIERS)
    opening = opener(settings, location)
    return embedders.joined(settings, _cascaded(settings, opening) if settings.cascade else opening)


@asynccontextmanager
async def _cascaded(settings: Settings, opening: AbstractAsyncContextManager[Classifier]) -> AsyncIterator[Classifier]:
    """Open the classifier with the one that is asked before it. Raises Misconfigured where that one is paid."""
    opener, location = choose("cascade", settings.cascade, CLASSIFIERS)
    labels = frozenset(label.casefold() for label in several(settings.cascade_labels))
    async with opener(settings, location) as first, opening as second:
        if first.price:
            cause = f"{settings.cascade} costs {first.price:g} a call"
            raise Misconfigured("read", "IMAGESWEEP_CASCADE", cause, hint="What is asked of every image has to be free.")
        yield Cascade(first, second, Doubt(settings.cascade_confidence, labels))


def tariff(settings: Settings) -> Tariff | None:
    """Return what is paid for with each image, None where the classifier has no price list."""
    known = TARIFFS.get(split("classifier", settings.classifier)[0])
    return known(settings) if known else None


def store(settings: Settings, *, read_only: bool = False) -> AbstractAsyncContextManager[Store]:
    """Return an opener for the store: ledger, state, tally and clock in one."""
    opener, location = choose("store", settings.store, STORES)
    return opener(settings, location, read_only=read_only)


async def create_store(settings: Settings) -> list[str]:
    """Create what is missing of the store, and return the names of what was made; opening it creates nothing of a service's."""
    create, location = choose("store", settings.store, CREATE_STORES)
    return await create(settings, location)


def index(settings: Settings) -> AbstractAsyncContextManager[SearchIndex]:
    """Return an opener for the index in use, to be searched and read."""
    opener, location = choose("index", settings.index, INDEXES)
    return opener(settings, location, read_only=True)


@asynccontextmanager
async def publishing(settings: Settings, state: State) -> AsyncIterator[Index]:
    """Open the index to publish to it, and to the one that is being built beside it, as `state` says."""
    opener, location = choose("index", settings.index, INDEXES)
    async with (
        opener(settings, location, read_only=False) as used,
        open_both(used, state=state, key=index_key(settings), opened=partial(_beside, settings)) as both,
    ):
        yield both


@asynccontextmanager
async def _beside(settings: Settings, name: str) -> AsyncIterator[Index]:
    async with life(settings) as lives, lives.opened(name) as index:
        yield index


async def create_index(settings: Settings) -> str:
    """Create the index where there is none, and say what is there; opening it creates nothing of a service's."""
    create, location = choose("index", settings.index, CREATE_INDEXES)
    return await create(settings, location)


def life(settings: Settings) -> AbstractAsyncContextManager[Life]:
    """Return an opener for what makes, exchanges and drops the indexes of this name."""
    opener, location = choose("index", settings.index, LIVES)
    return opener(settings, location)


def settle(settings: Settings) -> float:
    """Return the seconds until every process reads what another wrote to the store; 0 where that is at once."""
    return SETTLE.get(split("store", settings.store)[0], 0.0)


def index_key(settings: Settings) -> str:
    """Return what names the index for every process that shares it, whatever folder it was started in."""
    kind, location = split("index", settings.index)
    return f"{kind}:{Path(location).resolve() if kind == 'tantivy' else location.rstrip('/').lower()}"


@asynccontextmanager
async def sole(settings: Settings, key: str) -> AsyncIterator[bool]:
    """Keep other processes of this machine out of `key`, where the store is a file; yield whether that proves them dead.

    Raises LeaseHeld when another process is at it.
    """
    kind, location = split("store", settings.store)
    if kind != "sqlite":
        yield False
        return
    async with embedded.alone(location, key):
        yield True


def terms(settings: Settings, *, max_calls: int | None = None, max_cost: float | None = None) -> Terms:
    """Return what a run settles by. The scope changes with every setting that decides which blobs are taken."""
    filters = (settings.include, settings.exclude, settings.follow_folders, settings.max_mb, settings.max_megapixels)
    return Terms(
        concurrency=settings.concurrency,
        max_flying_bytes=settings.in_flight_mb * 1_000_000,
        per_second=settings.calls_per_second,
        quota=settings.classifier,
        write_buffer=settings.write_buffer,
        call_seconds=settings.call_seconds,
        lease_seconds=settings.lease_seconds,
        attempts=settings.attempts,
        lookback=settings.lookback,
        pages_in_flight=settings.pages_in_flight,
        max_calls=max_calls,
        max_cost=max_cost,
        budget=Budget(settings.day_calls, settings.day_cost, settings.month_calls, settings.month_cost),
        window=window(settings.window, zone(settings.time_zone)),
        taxonomy=taxonomy.load(settings.taxonomy),
        scope=hashlib.sha256(repr(filters).encode()).hexdigest()[:16],
    )
