"""What the life of every index is: the ports `Generations` and `Succession`, and a rebuild over them beside publishers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs.both import open_both
from jobs.erase import Shelf, errand
from jobs.errors import Misconfigured, StorageFailed
from jobs.mark import Rebuilder, Shelves
from jobs.model import Outcome, Record, shown
from jobs.ports import Index, Life
from jobs.publish import publish
from jobs.reindex import reindex
from jobs.retry import Policy
from search.azure_index import Place, create_azure_search, open_azure_life, open_azure_search
from search.tantivy_index import TantivyLife, open_tantivy
from tests.conftest import Run, entered
from tests.fakes.life import MemoryFolders, MemoryLife, Named
from tests.fakes.store import MemoryStore
from tests.pictures import PHOTOS, picture
from tests.search_kit import ADMIN, DIMENSIONS, Settled, address_of
from tests.standins.search import SearchService

KEY = "an index"
POLICY = Policy(attempts=4, seconds=60.0, base=0.01)


@dataclass(frozen=True, slots=True)
class Shop:
    """The indexes of one name, the one in use opened to publish, and another who opens it anew."""

    life: Life
    used: Index
    opened: Callable[[], AbstractAsyncContextManager[Index]]


@asynccontextmanager
async def _memory(_: Path, life: MemoryLife) -> AsyncIterator[Shop]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Index]:
        yield Named(life)

    yield Shop(life, Named(life), opened)


@asynccontextmanager
async def _tantivy(folder: Path) -> AsyncIterator[Shop]:
    path = folder / "index"
    async with open_tantivy(path) as index:
        yield Shop(TantivyLife(path), index, lambda: open_tantivy(path))


@asynccontextmanager
async def _azure_search(_: Path) -> AsyncIterator[Shop]:
    place = Place.parse(f"{address_of(SearchService(lag=2, page=300))}/images")
    await create_azure_search(place, ADMIN, dimensions=DIMENSIONS)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Index]:
        async with open_azure_search(place, ADMIN, dimensions=DIMENSIONS) as index:
            yield Settled(index)

    async with open_azure_life(place, ADMIN, dimensions=DIMENSIONS) as life, opened() as index:
        yield Shop(life, index, opened)


OPENERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Shop]]] = {
    "azure-search": _azure_search,
    "memory-alias": lambda path: _memory(path, MemoryLife()),
    "memory-folders": lambda path: _memory(path, MemoryFolders()),
    "tantivy": _tantivy,
}


@pytest.fixture(params=sorted(OPENERS))
def shop(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Shop]:
    with entered(run, OPENERS[request.param](tmp_path)) as opened:
        yield opened


async def listed(index: Index, source: str = PHOTOS) -> Sequence[tuple[str, int]]:
    return [(name, rev) async for batch in index.revisions(source) for name, _, rev in batch]


async def until(index: Index, expected: Sequence[tuple[str, int]]) -> None:
    """Wait until an index shows this: what is published is found soon after."""
    for _ in range(50):
        if await listed(index) == expected:
            return
    raise AssertionError(f"the index shows {await listed(index)}")


def test_a_new_index_is_empty_and_beside_the_one_in_use(shop: Shop, run: Run) -> None:
    async def look() -> None:
        await shop.used.publish([picture("old.jpg")])
        former = await shop.life.in_use()
        assert await shop.life.beside() == []
        fresh = await shop.life.make()
        assert (await shop.life.in_use(), await shop.life.beside()) == (former, [fresh])
        async with shop.life.opened(fresh) as index:
            assert await listed(index) == []
            assert await index.publish([picture("new.jpg")]) == [None]
            await until(index, [("new.jpg", 1)])
        assert await listed(shop.used) == [("old.jpg", 1)]
        await shop.life.drop(fresh)
        await shop.life.drop(fresh)
        assert await shop.life.beside() == []
        assert await listed(shop.used) == [("old.jpg", 1)]

    run(look())


def test_after_a_switch_whoever_has_the_index_open_sees_and_writes_the_new_one(shop: Shop, run: Run) -> None:
    async def look() -> None:
        await shop.used.publish([picture("old.jpg")])
        fresh = await shop.life.make()
        async with shop.life.opened(fresh) as index:
            await index.publish([picture("new.jpg")])
            await until(index, [("new.jpg", 1)])
        await shop.life.switch(fresh)
        assert await shop.life.in_use() == fresh
        assert await listed(shop.used) == [("new.jpg", 1)]
        assert len(await shop.life.beside()) == 1
        await shop.used.publish([picture("newer.jpg")])
        for name in await shop.life.beside():
            await shop.life.drop(name)
        assert await shop.life.beside() == []
        await shop.used.remove([picture("new.jpg").id])
        async with shop.opened() as again:
            await until(again, [("newer.jpg", 1)])

    run(look())


def test_after_a_switch_its_name_opens_the_one_in_use(shop: Shop, run: Run) -> None:
    async def look() -> None:
        await shop.used.publish([picture("old.jpg")])
        fresh = await shop.life.make()
        async with shop.life.opened(fresh) as index:
            await index.publish([picture("new.jpg")])
            await until(index, [("new.jpg", 1)])
        await shop.life.switch(fresh)
        async with shop.life.opened(fresh) as index:
            await index.publish([picture("newer.jpg")])
        async with shop.opened() as again:
            await until(again, [("new.jpg", 1), ("newer.jpg", 1)])

    run(look())


def test_opening_never_makes_one_and_a_missing_one_never_takes_the_place(shop: Shop, run: Run) -> None:
    async def look() -> None:
        await shop.used.publish([picture("old.jpg")])
        former, fresh = await shop.life.in_use(), await shop.life.make()
        async with shop.life.opened(fresh) as index:
            await shop.life.drop(fresh)
            with pytest.raises((Misconfigured, StorageFailed)):
                await index.publish([picture("late.jpg")])
        with pytest.raises((Misconfigured, StorageFailed)):
            async with shop.life.opened(fresh) as index:
                await index.publish([picture("late.jpg")])
        with pytest.raises((Misconfigured, StorageFailed)):
            await shop.life.switch(fresh)
        assert (await shop.life.in_use(), await shop.life.beside()) == (former, [])
        assert await listed(shop.used) == [("old.jpg", 1)]

    run(look())


async def publisher(shop: Shop, store: MemoryStore, number: int) -> None:
    """Change images and publish them, as a process beside the rebuild does."""
    async with open_both(shop.used, state=store, key=KEY, opened=shop.life.opened) as index:
        for turn in range(6):
            await asyncio.sleep(0)
            run = await errand(Shelf(store, store, store, index), POLICY)
            record = store.records[picture(f"{number}{turn}.jpg").id]
            outcome = Outcome.DEAD if turn == 3 else record.outcome
            changed: list[Record] = [replace(record, rev=record.rev + 1, outcome=outcome), picture(f"more{number}{turn}.jpg")]
            stored = [one for one in await store.write(changed) if one]
            await publish(stored, ledger=store, index=index, run=run)


def test_a_rebuild_beside_publishers_comes_to_show_the_store(shop: Shop, run: Run) -> None:
    store = MemoryStore()
    names = [f"{number}{turn}.jpg" for number in range(3) for turn in range(6)]

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    async def play() -> Sequence[tuple[str, int]]:
        stored = [one for one in await store.write([picture(name, ("dog", 0.9)) for name in names]) if one]
        await shop.used.publish(stored[:9])  # and the others are missing, which a rebuild mends
        by = Rebuilder("one", "one", policy=POLICY, sleep=sleep)
        shelves = Shelves(store, store, store, store, shop.life, KEY)
        await asyncio.gather(reindex(shelves, by=by), *(publisher(shop, store, number) for number in range(3)))
        shows = sorted((one.name, one.rev) for one in store.records.values() if shown(one))
        async with shop.opened() as again:
            await until(again, shows)
        assert await shop.life.beside() == []
        return shows

    assert len(run(play())) == 18 + 18 - 3
