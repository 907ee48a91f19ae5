"""The contract of Source, over every adapter and the fake."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from jobs.errors import Changed, Gone
from jobs.model import Blob
from jobs.ports import Source
from tests.contract.source_worlds import SERVED, WORLDS, World

Scenario = Callable[[World], Awaitable[None]]
Play = Callable[[Scenario], None]


@pytest.fixture(params=[*WORLDS, *(pytest.param(name, marks=pytest.mark.servers) for name in SERVED)])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    served = SERVED.get(request.param)
    opening = partial(served, request.getfixturevalue("azurite_endpoint")) if served else partial(WORLDS[request.param], tmp_path)

    async def within(scenario: Scenario) -> None:
        async with opening() as world:
            await scenario(world)

    return lambda scenario: asyncio.run(within(scenario))


NAMES = ("a-b.jpg", "a.jpg", "a/x.jpg", "a/x/y.jpg", "a0.jpg", "b/c/d.png", "b/c-d.png", "é.jpg", "z.jpg", "zz/deep/er/1.gif")
ORDERED = tuple(sorted(NAMES, key=str.encode))
ODD_NAMES = (
    "it's.jpg",
    'double "quoted".jpg',
    "line\nbreak.jpg",
    " leading and trailing ",
    "semi;colon & ampersand <tag> 100%25.jpg",
    "back\\slash.jpg",
    "-dash.jpg",
    ".hidden/.dot.jpg",
    "emoji-🦉-👩‍🔬.jpg",
    "עברית-\u202erevo.jpg",
    "e\u0301 is not \u00e9.jpg",
    "\uffee and \U0001f600 sort by bytes",
    "\U0001f600 sorts by bytes and \uffee.jpg",
    "same place \uffee",
    "same place \U0001f600",
    "same place a",
    "l" * 200 + ".jpg",
    "m" * 150 + "/" + "n" * 150 + ".jpg",
)


async def fill(world: World, names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        await world.put(name, name.encode())


async def listed(source: Source, *, after: str | None = None, prefix: str = "") -> list[Blob]:
    return [blob async for page in source.pages(after=after, prefix=prefix) for blob in page.blobs]


async def names(source: Source, *, after: str | None = None, prefix: str = "") -> tuple[str, ...]:
    return tuple(blob.name for blob in await listed(source, after=after, prefix=prefix))


async def only(source: Source, name: str) -> Blob:
    blob = await source.head(name)
    assert blob is not None
    return blob


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_lists_every_blob_once_in_order_of_the_names_bytes(play: Play, page: int) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        assert await names(world.source(page=page)) == ORDERED

    play(scenario)


def test_an_empty_source_lists_nothing(play: Play) -> None:
    async def scenario(world: World) -> None:
        assert await names(world.source()) == ()

    play(scenario)


def test_a_listing_tells_source_size_and_time(play: Play) -> None:
    async def scenario(world: World) -> None:
        source = world.source()
        before = (await source.now()).replace(microsecond=0)
        await world.put("a/b.jpg", b"12345")
        [blob] = await listed(source)
        assert (blob.source, blob.name, blob.size) == (source.key, "a/b.jpg", 5)
        assert blob.etag
        assert before <= blob.modified <= await source.now() + timedelta(seconds=1)  # two grains of one clock

    play(scenario)


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_goes_on_strictly_after_any_name(play: Play, page: int) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        source = world.source(page=page)
        for place, name in enumerate(ORDERED):
            assert await names(source, after=name) == ORDERED[place + 1 :]

    play(scenario)


@pytest.mark.parametrize("after", ["", "a", "a/", "a/x", "a/x/", "a/x.jpg~", "b/zzz", "é", "é.jpg0", "zzz"])
def test_goes_on_after_names_that_are_not_there(play: Play, after: str) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        expected = tuple(name for name in ORDERED if name.encode() > after.encode())
        assert await names(world.source(), after=after) == expected

    play(scenario)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_every_page_says_where_to_go_on(play: Play, page: int) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        source = world.source(page=page)
        seen: tuple[str, ...] = ()
        async for found in source.pages():
            seen += tuple(blob.name for blob in found.blobs)
            assert found.last is not None
            assert seen + await names(source, after=found.last) == ORDERED

    play(scenario)


@pytest.mark.parametrize(
    "prefix", ["a", "a/", "a/x", "a/x/", "a/x/y.jpg", "b/c", "b/c/", "é", "nothing", "no/thing", "zz/deep/", "a//", "../"]
)
def test_a_prefix_is_of_the_name_not_of_a_folder(play: Play, prefix: str) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        expected = tuple(name for name in ORDERED if name.startswith(prefix))
        assert await names(world.source(), prefix=prefix) == expected
        assert await names(world.source(), prefix=prefix, after="a/x.jpg") == tuple(
            name for name in expected if name.encode() > b"a/x.jpg"
        )

    play(scenario)


def test_odd_names_come_as_they_are_and_can_be_read(play: Play) -> None:
    async def scenario(world: World) -> None:
        odd_names = tuple(name for name in ODD_NAMES if not set(name) & set(world.unnameable))
        await fill(world, odd_names)
        source = world.source()
        found = await listed(source)
        assert [blob.name for blob in found] == sorted(odd_names, key=str.encode)
        for blob in found:
            assert await source.head(blob.name) == blob
            assert await source.read(blob) == blob.name.encode()
            assert await names(source, prefix=blob.name) == (blob.name,)

    play(scenario)


def test_changes_during_a_listing_neither_break_nor_repeat_it(play: Play) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        seen = []
        async for page in world.source(page=1).pages():
            seen += [blob.name for blob in page.blobs]
            if len(seen) == 3:
                await world.overwrite(ORDERED[0], b"behind the listing")
                await world.overwrite(ORDERED[-1], b"ahead of the listing")
                await world.put("0-behind.jpg", b"new")
                await world.put("y-ahead.jpg", b"new")
                await world.delete("b/c/d.png")
        assert [name for name in seen if name in NAMES and name != "b/c/d.png"] == [n for n in ORDERED if n != "b/c/d.png"]
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, key=str.encode)

    play(scenario)


def test_an_abandoned_listing_can_be_closed_and_started_again(play: Play) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        source = world.source(page=2)
        async for page in source.pages():
            assert page.blobs
            break
        assert await names(source) == ORDERED

    play(scenario)


def test_two_listings_at_once_do_not_disturb_each_other(play: Play) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        source = world.source(page=1)
        assert tuple(await asyncio.gather(names(source), names(source))) == (ORDERED, ORDERED)

    play(scenario)


def test_a_read_returns_the_bytes_or_the_first_of_them(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.put("a.bin", bytes(range(256)) * 5000)
        await world.put("empty", b"")
        source = world.source()
        blob, empty = await listed(source)
        assert await source.read(blob) == bytes(range(256)) * 5000
        assert await source.read(blob, limit=10) == bytes(range(10))
        assert await source.read(blob, limit=2_000_000) == bytes(range(256)) * 5000
        assert await source.read(empty) == b""
        assert await source.read(empty, limit=10) == b""

    play(scenario)


@pytest.mark.parametrize("data", [b"longer than it was", b"same"])
def test_reading_a_version_that_is_no_more_is_changed(play: Play, data: bytes) -> None:
    async def scenario(world: World) -> None:
        await world.put("a.jpg", b"once")
        source = world.source()
        blob = await only(source, "a.jpg")
        await world.overwrite("a.jpg", data)
        with pytest.raises(Changed):
            await source.read(blob)
        with pytest.raises(Changed):
            await source.read(blob, limit=1)
        assert await source.read(await only(source, "a.jpg")) == data

    play(scenario)


def test_reading_under_a_made_up_etag_is_changed(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.put("a.jpg", b"once")
        source = world.source()
        with pytest.raises(Changed):
            await source.read(replace(await only(source, "a.jpg"), etag="0x8DEADBEEF"))

    play(scenario)


def test_reading_what_was_deleted_is_gone(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.put("a/b.jpg", b"once")
        source = world.source()
        blob = await only(source, "a/b.jpg")
        await world.delete("a/b.jpg")
        with pytest.raises(Gone):
            await source.read(blob)
        assert await source.head("a/b.jpg") is None

    play(scenario)


def test_head_and_listing_tell_the_same_version(play: Play) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        source = world.source()
        for blob in await listed(source):
            assert await source.head(blob.name) == blob
        first = await only(source, "a.jpg")
        await world.overwrite("a.jpg", b"again")
        second = await only(source, "a.jpg")
        assert second.etag != first.etag
        assert second.modified >= first.modified
        assert second in await listed(source)

    play(scenario)


@pytest.mark.parametrize(
    "name", ["nothing", "a", "a/", "a/x", "a.jpg/", "a.jpg/x", "/a.jpg", "./a.jpg", "a/../a.jpg", "a//x.jpg", "a\\x.jpg", ""]
)
def test_head_of_what_is_no_blob_is_none(play: Play, name: str) -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        assert await world.source().head(name) is None

    play(scenario)


def test_the_key_is_the_same_for_every_opening_and_part_of_the_id(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.put("a.jpg", b"once")
        assert world.source().key == world.source().key
        one, two = await only(world.source(), "a.jpg"), await only(world.source(), "a.jpg")
        assert one.id == two.id
        assert replace(one, source="another").id != one.id

    play(scenario)


def test_its_clock_is_not_behind_what_it_stamps_next(play: Play) -> None:
    async def scenario(world: World) -> None:
        source = world.source()
        for number in range(100):
            before = (await source.now()).replace(microsecond=0)
            await world.put(f"{number}.jpg", b"")
            assert (await only(source, f"{number}.jpg")).modified >= before

    play(scenario)
