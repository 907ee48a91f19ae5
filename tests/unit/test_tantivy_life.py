"""Folders that change places: at once, in a moment in which nobody writes, and what is left when that is not so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.both import open_both
from jobs.errors import Misconfigured, StorageFailed, Transient
from jobs.model import Rebuild, Record
from jobs.retry import Policy, retry
from search.query import Query
from search.tantivy_index import TantivyLife, life, open_tantivy, swap
from search.tantivy_index.files import Busy, create, still
from search.tantivy_index.likeness import likest
from tests.conftest import Run
from tests.fakes.store import MemoryStore
from tests.pictures import picture


@pytest.fixture
def path(tmp_path: Path, run: Run) -> Path:
    """The folder of an index with one document."""
    run(publish(tmp_path / "index", "old.jpg"))
    return tmp_path / "index"


@pytest.fixture
def beside(tmp_path: Path, run: Run) -> Path:
    """The folder of another."""
    run(publish(tmp_path / ".index.rebuild-1", "new.jpg"))
    return tmp_path / ".index.rebuild-1"


async def publish(path: Path, name: str) -> None:
    async with open_tantivy(path) as index:
        await index.publish([picture(name)])


async def found(path: Path) -> Sequence[str]:
    async with open_tantivy(path, read_only=True) as index:
        return [hit.name for hit in (await index.search(Query())).hits]


def test_two_folders_change_places(path: Path, beside: Path, run: Run) -> None:
    swap(beside, path)
    assert (run(found(path)), run(found(beside))) == (["new.jpg"], ["old.jpg"])


def test_two_folders_change_places_also_where_the_system_cannot_do_it_at_once(
    path: Path, beside: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "_at_once", lambda *_: False)
    swap(beside, path)
    assert (run(found(path)), run(found(beside))) == (["new.jpg"], ["old.jpg"])
    assert sorted(one.name for one in path.parent.iterdir()) == [".index.rebuild-1", "index"]


def test_the_index_in_use_comes_back_where_another_cannot_take_its_place(
    path: Path, beside: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def renamed(one: Path, other: Path) -> Path:
        if one == beside:
            raise OSError(5, "Input/output error")
        return rename(one, other)

    monkeypatch.setattr(life, "_at_once", lambda *_: False)
    monkeypatch.setattr(Path, "rename", renamed)
    with pytest.raises(StorageFailed, match="Input/output"):
        swap(beside, path)
    assert (run(found(path)), run(found(beside))) == (["old.jpg"], ["new.jpg"])


@pytest.mark.parametrize("written", ["index", ".index.rebuild-1"])
def test_nothing_changes_places_while_somebody_writes(path: Path, beside: Path, run: Run, written: str) -> None:
    with still(path.parent / written), pytest.raises(Busy):
        swap(beside, path)
    assert run(found(path)) == ["old.jpg"]
    swap(beside, path)
    assert run(found(path)) == ["new.jpg"]


def test_a_switch_waits_for_writers_and_at_last_says_so(path: Path, beside: Path, run: Run) -> None:
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    assert beside.exists()
    with still(path), pytest.raises(Transient, match="300 seconds"):
        run(TantivyLife(path, clock=lambda: now[0], sleep=sleep).switch("rebuild-1"))
    assert run(found(path)) == ["old.jpg"]


def test_searches_never_miss_the_index_while_folders_change_places(path: Path, beside: Path, run: Run) -> None:
    async def both() -> None:
        async with open_tantivy(path, read_only=True) as reader, asyncio.TaskGroup() as group:
            swapping = group.create_task(asyncio.to_thread(lambda: [swap(beside, path) for _ in range(400)]))
            while not swapping.done():
                assert [hit.name for hit in (await reader.search(Query())).hits] in (["old.jpg"], ["new.jpg"])

    run(both())


async def switched(path: Path, store: MemoryStore) -> str:
    """Let a new index take the place, by a rebuild that is killed before it says so; what it replaced is of no use any more."""
    indexes = TantivyLife(path)
    (fresh,) = await indexes.beside()
    await indexes.switch(fresh)
    (path.parent / f".index.{fresh}" / "meta.json").write_text("garbage")
    document, version = store.documents["Rebuild", "index"]
    assert isinstance(document, Rebuild)
    await store.put("index", replace(document, step="switching"), version)
    return fresh


@pytest.mark.parametrize("before", [True, False])
def test_a_rebuild_that_is_killed_behind_its_switch_keeps_no_publisher_from_the_new_index(
    path: Path, run: Run, *, before: bool
) -> None:
    """Whether they had opened the new index before, or come to it later."""

    async def look() -> None:
        store, indexes = MemoryStore(), TantivyLife(path)
        now = await store.now()
        await store.put("index", Rebuild(await indexes.make(), "run", now, now), None)
        async with open_tantivy(path) as used, open_both(used, state=store, key="index", opened=indexes.opened) as both:
            if before:
                await both.publish([picture("new.jpg")])
            await switched(path, store)
            assert await retry(lambda: both.publish([picture("newer.jpg")]), Policy(attempts=2, base=0.0)) == [None]

    run(look())
    assert sorted(run(found(path))) == ["new.jpg", "newer.jpg"][not before :]


def test_an_index_behind_a_link_is_replaced_for_all_who_reach_it(path: Path, run: Run) -> None:
    link = path.parent / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(path)

    async def replaced() -> None:
        indexes, direct = TantivyLife(link), TantivyLife(path)
        fresh = await indexes.make()
        assert await direct.beside() == [fresh]
        async with direct.opened(fresh) as index:
            await index.publish([picture("new.jpg")])
        await indexes.switch(fresh)
        await indexes.drop(fresh)

    run(replaced())
    assert (run(found(link)), run(found(path))) == (["new.jpg"], ["new.jpg"])
    assert sorted(one.name for one in path.parent.iterdir()) == ["elsewhere", "index"]


def pointing(name: str, axis: int) -> Record:
    made = picture(name)
    assert made.analysis
    return replace(made, analysis=replace(made.analysis, embedding=np.eye(4, dtype="<f4")[axis].tobytes()))


@pytest.mark.parametrize("more", [0, 2])
def test_what_is_alike_is_told_by_one_index_and_never_by_two(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """The two hold the same images, in another order; the one that was in use may hold some that are gone."""
    path, fresh = tmp_path / "index", tmp_path / ".index.rebuild-1"
    images = [pointing("a.jpg", 0), pointing("b.jpg", 1)]
    swaps = iter([(fresh, path)])

    def between(searcher: Any, schema: Any, folder: Path, *about: Any) -> Any:
        for two in swaps:
            swap(*two)
        return likest(searcher, schema, folder, *about)

    async def look() -> Sequence[str]:
        async with open_tantivy(fresh) as index:
            await index.publish(images[::-1])
        async with open_tantivy(path) as index:
            await index.publish([*(pointing(f"{at}.jpg", 2) for at in range(more)), *images])
            monkeypatch.setattr("search.tantivy_index.index.likest", between)
            query = Query(limit=1, formats=("JPEG",))
            return [hit.name for hit in (await index.similar(np.eye(4, dtype="<f4")[0].tobytes(), query)).hits]

    assert run(look()) == ["a.jpg"]


def test_something_else_in_the_place_is_left_alone(tmp_path: Path, run: Run) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    with pytest.raises(Misconfigured, match="something else"):
        run(TantivyLife(tmp_path / "photos").make())
    assert [one.name for one in tmp_path.iterdir()] == ["photos"]


def test_a_damaged_index_is_replaced_and_a_damaged_new_one_takes_no_place(path: Path, beside: Path, run: Run) -> None:
    (path / "meta.json").write_text("garbage")
    swap(beside, path)
    assert run(found(path)) == ["new.jpg"]
    with pytest.raises(StorageFailed):
        swap(beside, path)
    assert run(found(path)) == ["new.jpg"]


def test_what_was_left_in_folders_beside_is_found_and_dropped(path: Path, beside: Path, run: Run) -> None:
    create(path.parent / ".index.old-12", "")
    (path.parent / ".index.rebuild-x" / "index").mkdir(parents=True)  # as an earlier version left it
    (path.parent / ".indexes.rebuild-1").mkdir()
    indexes = TantivyLife(path)
    assert run(indexes.beside()) == ["old-12", beside.name.removeprefix(".index."), "rebuild-x"]
    for name in run(indexes.beside()):
        run(indexes.drop(name))
    assert sorted(one.name for one in path.parent.iterdir()) == [".indexes.rebuild-1", "index"]
    assert run(found(path)) == ["old.jpg"]
