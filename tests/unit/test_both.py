"""Publishers beside a rebuild that has come to some step, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from jobs.both import open_both
from jobs.cli import _Plain
from jobs.errors import StorageFailed, SweepError, Transient
from jobs.mark import Shelves
from jobs.model import Rebuild, Record
from jobs.stock import Held, stock
from tests.conftest import Run
from tests.fakes.index import MemoryIndex
from tests.fakes.life import MemoryLife
from tests.fakes.store import MemoryStore
from tests.pictures import PHOTOS, picture
from tests.unit.rebuild_kit import KEY, POLICY


class Shelf:
    """A store and indexes, with a rebuild that has got to some step, for publishers."""

    def __init__(self, **changes: object) -> None:
        self.store = MemoryStore()
        self.life = MemoryLife()
        self.changes = changes

    async def begin(self) -> str:
        fresh = await self.life.make()
        now = await self.store.now()
        await self.store.put(KEY, replace(Rebuild(fresh, "run", now, now), **self.changes), None)  # type: ignore[arg-type]
        return fresh

    def rebuild(self) -> Rebuild | None:
        found = self.store.documents.get(("Rebuild", KEY))
        assert found is None or isinstance(found[0], Rebuild)
        return found[0] if found else None


class Broken(MemoryIndex):
    """An index that takes nothing."""

    def __init__(self, error: SweepError, times: int = 1000) -> None:
        super().__init__()
        self.error = error
        self.times = times

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        if self.times > 0:
            self.times -= 1
            raise self.error
        return await super().publish(records)


async def published(shelf: Shelf, *, times: int = 1) -> int:
    """Publish one image, again after passing faults; return how often it was tried."""
    tries = 0
    async with open_both(shelf.life.index, state=shelf.store, key=KEY, opened=shelf.life.opened) as both:
        for tries in range(1, times + 1):  # noqa: B007
            try:
                assert await both.publish([picture("a.jpg")]) == [None]
            except Transient:
                continue
            break
        else:
            raise AssertionError("it never came to an end")
    return tries


def test_without_a_rebuild_one_index_is_written(run: Run) -> None:
    shelf = Shelf()
    assert run(published(shelf)) == 1
    assert len(shelf.life.index.documents) == 1


def test_a_new_index_that_is_broken_for_good_is_given_up_and_the_old_one_goes_on(run: Run) -> None:
    shelf = Shelf()
    fresh = run(shelf.begin())
    shelf.life.all[fresh] = Broken(StorageFailed("publish", fresh, "the disk is full"))
    assert run(published(shelf)) == 1
    assert len(shelf.life.index.documents) == 1
    found = shelf.rebuild()
    assert found
    assert "the disk is full" in found.failed


def test_a_line_says_which_index_was_given_up_and_why(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    fresh = run(shelf.begin())
    shelf.life.all[fresh] = Broken(StorageFailed("publish", fresh, "the disk is full"))
    with caplog.at_level(logging.WARNING, "imagesweep"):
        run(published(shelf))
    [line] = caplog.records
    assert _Plain().format(line).startswith(f"imagesweep: rebuild.failed {fresh} ")
    assert "the disk is full" in _Plain().format(line)


def test_a_new_index_that_fails_in_passing_alone_is_given_up_within_the_tries_of_one_publish(run: Run) -> None:
    shelf = Shelf()
    fresh = run(shelf.begin())
    shelf.life.all[fresh] = Broken(Transient("publish", fresh, "status 503"))
    assert run(published(shelf, times=POLICY.attempts)) == 3
    found = shelf.rebuild()
    assert found
    assert "status 503" in found.failed


def test_a_passing_fault_gives_nothing_up(run: Run) -> None:
    shelf = Shelf()
    fresh = run(shelf.begin())
    shelf.life.all[fresh] = Broken(Transient("publish", fresh, "status 503"), times=2)
    assert run(published(shelf, times=POLICY.attempts)) == 3
    found = shelf.rebuild()
    assert found
    assert found.failed == ""
    assert len(shelf.life.all[fresh].documents) == 1


def test_faults_of_one_rebuild_do_not_count_against_the_next(run: Run) -> None:
    shelf = Shelf()

    async def play() -> Rebuild | None:
        async with open_both(shelf.life.index, state=shelf.store, key=KEY, opened=shelf.life.opened) as both:
            for times in (3, 1):
                fresh = await shelf.begin()
                shelf.life.all[fresh] = Broken(Transient("publish", fresh, "status 503"), times=times)
                for _ in range(times):
                    with suppress(Transient):
                        await both.publish([picture("a.jpg")])
                last = shelf.rebuild()
                await shelf.store.remove(Rebuild, KEY)
            return last

    found = run(play())
    assert found
    assert found.failed == ""


def test_faults_of_both_are_not_the_new_ones(run: Run) -> None:
    shelf = Shelf()
    fresh = run(shelf.begin())
    down = Transient("publish", "both", "status 503")
    shelf.life.all = {"v1": Broken(down, times=20), fresh: Broken(down, times=20)}
    with pytest.raises(AssertionError, match="never"):
        run(published(shelf, times=10))
    found = shelf.rebuild()
    assert found
    assert found.failed == ""


def test_what_may_be_in_use_by_now_is_not_given_up(run: Run) -> None:
    shelf = Shelf(step="switching")
    fresh = run(shelf.begin())
    shelf.life.all[fresh] = Broken(StorageFailed("publish", fresh, "the disk is full"))
    with pytest.raises(AssertionError, match="never"):
        run(published(shelf, times=9))
    found = shelf.rebuild()
    assert found
    assert found.failed == ""


def test_a_document_that_one_of_them_refuses_is_refused(run: Run) -> None:
    class Picky(MemoryIndex):
        async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
            return ["too long" for _ in records]

    shelf = Shelf()
    fresh = run(shelf.begin())
    shelf.life.all[fresh] = Picky()

    async def publish() -> Sequence[str | None]:
        async with open_both(shelf.life.index, state=shelf.store, key=KEY, opened=shelf.life.opened) as both:
            return await both.publish([picture("a.jpg")])

    assert run(publish()) == ["too long"]


def test_what_is_in_use_and_what_it_holds_is_said(run: Run) -> None:
    shelf = Shelf(done=3, total=9)

    async def look() -> object:
        await shelf.store.write([picture("a.jpg"), picture("b.jpg")])
        await shelf.life.index.publish([picture("a.jpg"), picture("b.jpg", rev=7), picture("c.jpg")])
        await shelf.begin()
        shelves = Shelves(shelf.store, shelf.store, shelf.store, shelf.store, shelf.life, KEY)
        return await stock(shelves, opened=lambda: shelf.life.opened("v1"), policy=POLICY)

    found = run(look())
    assert found.sources == (Held(PHOTOS, 3, 2, 2),)
    assert (found.index, found.alive, found.left, found.fault) == ("v1", False, ("v2",), "")
    assert (found.rebuild.done, found.rebuild.total) == (3, 9)
