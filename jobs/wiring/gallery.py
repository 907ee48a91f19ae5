"""The gallery's parts: settings in, parts out that open when they are first asked for.

A part that cannot be opened (nothing swept yet, a service that is down) fails alone, and is tried again with the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast
from urllib.parse import urlsplit

from jobs import redrive as redriving
from jobs import taxonomy, wiring
from jobs.correct import correct
from jobs.corrections import Said
from jobs.erase import Shelf
from jobs.errors import Misconfigured
from jobs.failures import FailureGroup, failures
from jobs.model import Blob, Image, Record, Report
from jobs.ports import Embedder, Linker, Source
from jobs.settings import Settings, several
from jobs.wiring import embedders
from jobs.wiring.embedded import MEGABYTE
from jobs.wiring.kinds import SearchIndex, Store, split
from jobs.wiring.lookahead import Lookahead
from jobs.work import Control, Ports
from search.gallery import Parts, Unavailable
from search.query import Query, Results

if TYPE_CHECKING:
    from jobs.adapters.thumbnails import Thumbnails

T = TypeVar("T")
MINUTES = 15.0
"""How long the address of a picture leads to it."""

SECONDS = 25.0
"""How long a redrive of the gallery may take before it is left to the next click."""

RUNS = 60
JOBS = ("backfill", "redrive", "audit")


class Late(Generic[T]):
    """Something that is opened when it is first asked for, and stays open."""

    def __init__(self, stack: AsyncExitStack, opening: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._stack = stack
        self._opening = opening
        self._turn = asyncio.Lock()
        self._opened: T | None = None

    async def __call__(self) -> T:
        """Return it, opened. Raises what opening raises, each time anew."""
        async with self._turn:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(self._opening())
            return self._opened


@dataclass(frozen=True, slots=True)
class LateIndex:
    """A searcher over an index that may not be there yet."""

    index: Late[SearchIndex]

    async def search(self, query: Query) -> Results:
        """Answer one query."""
        return await (await self.index()).search(query)

    async def similar(self, vector: bytes, query: Query) -> Results:
        """Return what is like a vector."""
        return await (await self.index()).similar(vector, query)


@dataclass(frozen=True, slots=True)
class LateStore:
    """What the gallery reads of a store that may not be there yet."""

    store: Late[Store]
    settings: Settings

    async def look_up(self, ids: Sequence[str], *, vectors: bool = False) -> Mapping[str, Record]:
        """Return the records that exist, by id."""
        return await (await self.store()).look_up(ids, vectors=vectors)

    async def runs(self) -> Sequence[Report]:
        """Return the newest reports of all jobs over these sources, newest first."""
        store = await self.store()
        found: dict[str, Report] = {}
        for key, area in await wiring.areas(self.settings):
            prefixes = [f"{key}|{area}|", *(f"{job}|{key}|" for job in JOBS)]
            for prefix in prefixes:
                found |= {report.run_id: report for _, report, _ in await store.list(Report, prefix, last=RUNS)}
        return sorted(found.values(), key=lambda report: report.started, reverse=True)[:RUNS]

    async def failures(self) -> Sequence[FailureGroup]:
        """Return what failed in these sources, by class."""
        store = await self.store()
        return [group for key in await wiring.keys(self.settings) for group in await failures(ledger=store, source=key)]


@dataclass(frozen=True, slots=True)
class LatePictures:
    """Pictures from sources that may not be there yet: drawn here, or linked to where the source can."""

    sources: Late[Mapping[str, Source]]
    thumbnails: Late[Thumbnails]

    async def picture(self, record: Record, longest: int) -> bytes | str:
        """Return a picture, or where it is found for a quarter of an hour. Raises Unavailable."""
        source = (await self.sources()).get(record.source)
        if hasattr(source, "read_url"):
            version = Blob(record.source, record.name, record.analysed or record.etag, record.modified, record.size)
            return await cast("Linker", source).read_url(version, MINUTES)
        from jobs.adapters.thumbnails import NoPicture  # noqa: PLC0415  # the extra `local`

        try:
            return await (await self.thumbnails()).picture(record, longest)
        except NoPicture as error:
            raise Unavailable(str(error)) from error


@asynccontextmanager
async def parts(settings: Settings, *, hosts: tuple[str, ...] = ()) -> AsyncIterator[Parts]:
    """Yield the parts of the gallery; what was opened of them is closed at the end."""
    key = settings.gallery_key.get_secret_value() if settings.gallery_key else ""
    async with AsyncExitStack() as stack:
        store = LateStore(Late(stack, lambda: wiring.store(settings, read_only=not key)), settings)
        index = LateIndex(Late(stack, lambda: wiring.index(settings)))
        sources = Late(stack, lambda: _sources(settings))

        async def redrive(failure_class: str) -> str:
            return await _redrive(settings, failure_class)

        yield Parts(
            searcher=index,
            ledger=store,
            pictures=LatePictures(sources, Late(stack, lambda: _thumbnails(settings, sources))),
            runs=store.runs,
            failures=store.failures,
            plan=Lookahead(settings),
            redrive=redrive if key else None,
            correct=partial(_correct, settings) if key else None,
            likeness=index,
            embed=_embed(Late(stack, lambda: embedders.local(settings))) if embedders.is_local(settings) else None,
            key=key,
            image_origin=_origins(settings),
            hosts=hosts,
        )


@asynccontextmanager
async def _sources(settings: Settings) -> AsyncIterator[Mapping[str, Source]]:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(opener) for opener in wiring.sources(settings)]
        yield {source.key: source for source in opened}


@asynccontextmanager
async def _thumbnails(settings: Settings, sources: Late[Mapping[str, Source]]) -> AsyncIterator[Thumbnails]:
    try:
        from jobs.adapters.thumbnails import Bounds, open_thumbnails  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured("open", "the thumbnails", str(error), hint="Install the extra `local`.") from error
    bounds = Bounds(settings.max_mb * MEGABYTE, settings.max_megapixels * MEGABYTE)
    kind, location = split("store", settings.store)
    folder = Path(location).parent if kind == "sqlite" else Path(".imagesweep")
    keep = settings.gallery_cache_mb * MEGABYTE
    async with open_thumbnails(folder / "thumbnails", await sources(), bounds, keep=keep) as opened:
        yield opened


def _embed(embedder: Late[Embedder]) -> Callable[[Image], Awaitable[bytes]]:
    async def embed(image: Image) -> bytes:
        return await (await embedder()).embed(image)

    return embed


def _origins(settings: Settings) -> str:
    """Return where links to pictures lead: the accounts of the sources that are containers."""
    found = (split("source", one) for one in several(settings.source))
    places = (urlsplit(location) for kind, location in found if kind == "azure-blob")
    return " ".join(dict.fromkeys(f"{place.scheme}://{place.netloc}" for place in places))


async def _redrive(settings: Settings, failure_class: str) -> str:
    """Try a class again in all sources, for some time and some calls; say what came of it."""
    said = []
    async with (
        wiring.classifier(settings) as classifier,
        wiring.store(settings) as store,
        wiring.publishing(settings, store) as index,
    ):
        for opener in wiring.sources(settings):
            async with opener as source, wiring.sole(settings, f"redrive|{source.key}") as sole:
                ports = Ports(source, classifier, store, store, store, index)
                terms = wiring.terms(settings, max_calls=max(settings.guard_calls, 1))
                control = Control(SECONDS, sole=sole)
                report = await redriving.redrive(ports=ports, terms=terms, failure_class=failure_class, control=control)
                said.append(_said(report))
    return " ".join(said)


async def _correct(settings: Settings, key: str, label: str, says: Said | None) -> None:
    """Say something of a label, and publish it."""
    rules = taxonomy.load(settings.taxonomy)
    async with wiring.store(settings) as store, wiring.publishing(settings, store) as index:
        await correct(key=key, label=label, says=says, by="hand", taxonomy=rules, shelf=Shelf(store, store, store, index))


def _said(report: Report) -> str:
    outcomes = ("classified", "reused", "deferred", "dead", "gone")
    counts = ", ".join(f"{getattr(report, name):,} {name}" for name in outcomes if getattr(report, name))
    more = " There is more: try again." if report.status == "stopped" else ""
    return f"Tried {report.listed:,} again: {counts or 'nothing changed'}.{more} {report.message}".strip()
