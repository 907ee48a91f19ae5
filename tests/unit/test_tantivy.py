"""What only the index of files can get wrong: its files, its lock, and what reaches it as text."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import tantivy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient
from jobs.model import Record
from search.query import FACETS, Query
from search.tantivy_index import TantivyIndex, answer, files, open_tantivy, revisions, swap
from search.tantivy_index.schema import VERSION
from tests.conftest import Run
from tests.fakes.index import MemoryIndex
from tests.pictures import PHOTOS, picture, pictures, queries

ROOT = Path(__file__).parents[2]
DOG = picture("dog.jpg", ("dog", 0.9), caption="a dog on a beach")


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another process of ours with this script; `path` is its first argument."""
    program = "import sys, tantivy, asyncio\nfrom pathlib import Path\npath = Path(sys.argv[1])\n" + dedent(script)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path: Path, run: Run) -> Path:
    """Return the place of an index with one document."""
    run(publish(tmp_path / "index", DOG))
    return tmp_path / "index"


async def publish(path: Path, *records: Record) -> None:
    async with open_tantivy(path) as index:
        assert await index.publish(records) == [None] * len(records)


async def found(path: Path, query: Query = Query(limit=100)) -> Sequence[str]:  # noqa: B008  # frozen
    async with open_tantivy(path, read_only=True) as index:
        return [hit.name for hit in (await index.search(query)).hits]


def test_nothing_to_read_says_how_to_make_it(tmp_path: Path, run: Run) -> None:
    with pytest.raises(Misconfigured, match=r"nothing has been indexed yet.*imagesweep sweep"):
        run(found(tmp_path / "index"))
    assert list(tmp_path.iterdir()) == []


def test_an_older_schema_asks_for_a_rebuild(path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "VERSION", VERSION + 1)
    with pytest.raises(Misconfigured) as raised:
        run(found(path))
    assert raised.value.cause == f"the index has schema {VERSION}, this program needs {VERSION + 1}"
    assert raised.value.hint == "rebuild it: imagesweep index rebuild"


def test_the_folder_of_something_else_is_left_alone(tmp_path: Path, run: Run) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Misconfigured, match="something else"):
        run(publish(tmp_path, DOG))
    with pytest.raises(Misconfigured, match="file"):
        run(publish(tmp_path / "letter.txt", DOG))
    with pytest.raises(Misconfigured):
        run(publish(tmp_path / "letter.txt" / "index", DOG))
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_an_empty_folder_becomes_an_index(tmp_path: Path, run: Run) -> None:
    run(publish(tmp_path, DOG))
    assert run(found(tmp_path)) == ["dog.jpg"]


@pytest.mark.parametrize("name", ["meta.json", ".managed.json", "imagesweep.json", "*.store", "*.term", "*.fast", "*.idx"])
@pytest.mark.parametrize("damage", ["emptied", "garbled", "gone"])
def test_damaged_files_never_end_in_a_traceback(path: Path, run: Run, name: str, damage: str) -> None:
    async def use() -> None:
        async with open_tantivy(path) as index:
            await index.search(Query("dog", facets=FACETS))
            assert [revision async for batch in index.revisions(PHOTOS) for revision in batch]
            await index.publish([DOG])

    (file,) = path.glob(name)
    _damage(file, damage)
    seen = failure(run, use())
    if name == "imagesweep.json":
        assert isinstance(seen, StorageFailed | Misconfigured)
    elif name != ".managed.json" or seen:  # the list of files can be done without
        assert isinstance(seen, StorageFailed)
        assert "imagesweep index rebuild" in seen.hint


def failure(run: Run, work: Coroutine[Any, Any, object]) -> SweepError | None:
    """Return how this failed, None if it did not; what is not one of our errors escapes."""
    try:
        run(work)
    except SweepError as error:
        return error
    return None


def _damage(file: Path, damage: str) -> None:
    if damage == "gone":
        file.unlink()
    elif damage == "emptied":
        file.write_bytes(b"")
    else:
        file.write_bytes(bytes(byte ^ 0x5A for byte in file.read_bytes()))


def test_a_failed_assertion_in_rust_is_an_error_of_ours(path: Path) -> None:
    with pytest.raises(StorageFailed, match="Limit must be"), files.translated("search", path):
        tantivy.Index.open(str(path)).searcher().search(tantivy.Query.all_query(), limit=0)


def test_a_lock_held_elsewhere_is_waited_for_within_bounds(path: Path, run: Run) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def blocked() -> None:
        async with open_tantivy(path, patience=5, clock=lambda: sum(slept), sleep=sleep) as index:
            await index.publish([picture("cat.jpg")])

    with child("w = tantivy.Index.open(str(path)).writer(15_000_000, 1); print(1, flush=True); sys.stdin.read()", path) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(Transient, match="another process") as raised:
            run(blocked())
        holder.kill()
    assert raised.value.failure_class == "locked"
    assert 5 <= sum(slept) <= 6
    assert max(slept) <= 0.5
    run(publish(path, picture("cat.jpg")))  # the lock died with the process
    assert run(found(path)) == ["cat.jpg", "dog.jpg"]


def test_a_writer_killed_in_the_middle_leaves_the_last_commit(path: Path, run: Run) -> None:
    script = """
        from search.tantivy_index.schema import fill
        from search.document import document
        from tests.pictures import picture
        writer = tantivy.Index.open(str(path)).writer(15_000_000, 1)
        writer.delete_documents_by_term("id", picture("dog.jpg").id)
        for at in range(2000):
            writer.add_document(fill(document(picture(str(at), ("cat", 0.5)))))
        print(1, flush=True)
        sys.stdin.read()
    """
    with child(script, path) as killed:
        assert killed.stdout
        assert killed.stdout.readline()
        killed.kill()
    assert run(found(path)) == ["dog.jpg"]
    run(publish(path, picture("cat.jpg")))
    assert run(found(path)) == ["cat.jpg", "dog.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a thing of POSIX")
@pytest.mark.parametrize("batch", [100, 500, 5000])
def test_a_full_disk_is_said_and_nothing_of_the_batch_is_there(path: Path, run: Run, batch: int) -> None:
    script = """
        import os, resource
        from jobs.errors import StorageFailed
        from search.tantivy_index import open_tantivy
        from search.query import Query
        from tests.pictures import picture
        async def main():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            async with open_tantivy(path) as index:
                try:
                    await index.publish([picture(os.urandom(500).hex(), ("cat", 0.5)) for _ in range(int(sys.argv[2]))])
                except StorageFailed as error:
                    print(error.hint)
                print((await index.search(Query())).count)
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                await index.publish([picture("cat.jpg")])
                print((await index.search(Query())).count)
        asyncio.run(main())
    """
    with child(script, path, batch) as full:
        printed, _ = full.communicate()
    assert printed.splitlines() == ["Free some space and run it again; what was published stays.", "1", "2"]
    assert run(found(path)) == ["cat.jpg", "dog.jpg"]


def test_processes_that_publish_in_turn_see_each_other_and_leave_no_files(path: Path, run: Run) -> None:
    async def in_turn() -> None:
        async with open_tantivy(path) as one, open_tantivy(path) as other:
            for at in range(20):
                writer, reader = (one, other) if at % 2 else (other, one)
                await writer.publish([picture(f"{at:02}")])
                assert (await reader.search(Query())).count == at + 2
            async with open_tantivy(path) as third:
                await asyncio.gather(*(index.publish([picture(f"at once {index}")]) for index in (one, other, third)))

    run(in_turn())
    assert len(run(found(path))) == 24
    assert len({file.stem for file in path.glob("*.store")}) < 12, (
        "segments are not merged, or files of merged ones are left behind"
    )


def test_many_small_batches_stay_few_segments(path: Path, run: Run) -> None:
    async def many() -> int:
        async with open_tantivy(path) as index:
            for at in range(30):
                await index.publish([picture(f"{at}")])
            return (await index.search(Query())).count

    assert run(many()) == 31
    assert tantivy.Index.open(str(path)).searcher().num_segments < 12


def test_a_batch_costs_the_event_loop_nothing(path: Path, run: Run) -> None:
    async def beside() -> tuple[int, Sequence[str | None]]:
        async with open_tantivy(path) as index:
            publishing = asyncio.ensure_future(index.publish([picture(f"{at}", ("cat", 0.5)) for at in range(500)]))
            turns = 0
            while not publishing.done():
                await asyncio.sleep(0)
                turns += 1
            return turns, await publishing

    turns, reasons = run(beside())
    assert reasons == [None] * 500
    assert turns > 100


def test_a_publish_given_up_on_ends_before_the_next_begins(path: Path, run: Run) -> None:
    async def cancelled() -> Sequence[str]:
        async with open_tantivy(path) as index:
            publishing = asyncio.ensure_future(index.publish([picture(f"{at}") for at in range(300)]))
            while not publishing.done():
                await asyncio.sleep(0)
                publishing.cancel()
            await index.publish([picture("next")])
            return [hit.name for hit in (await index.search(Query(prefix="n"))).hits]

    assert run(cancelled()) == ["next"]


class Reversed:
    """A searcher that breaks ties of counts the other way round, as it is free to do."""

    def __init__(self, searcher: tantivy.Searcher) -> None:
        self._searcher = searcher

    def aggregate(self, query: tantivy.Query, agg: dict[str, Any]) -> dict[str, Any]:
        answers = {}
        for name, asked in agg.items():
            whole = self._searcher.aggregate(query, {name: {"terms": {**asked["terms"], "size": 1000}}})[name]["buckets"]
            if "order" not in asked["terms"]:
                whole.sort(key=lambda bucket: (bucket["doc_count"], bucket["key"]), reverse=True)
            answers[name] = {"buckets": whole[: asked["terms"]["size"]]}
        return answers


def test_values_that_tie_across_the_end_of_a_facet_are_the_first_by_name(path: Path, run: Run) -> None:
    tagged = [[(f"{tag:02}", 0.5) for tag in range(20) if tag in (7, 13) or at] for at in range(3)]
    run(publish(path, *(picture(str(at), *tags) for at, tags in enumerate(tagged))))
    searcher = Reversed(tantivy.Index.open(str(path)).searcher())
    for most, expected in [(1, ["07"]), (2, ["07", "13"]), (4, ["07", "13", "00", "01"]), (20, ["07", "13", "00"])]:
        found = answer.facets(searcher, tantivy.Query.all_query(), ["tags", "folder"], most)
        assert [bucket.value for bucket in found["tags"]][: len(expected)] == expected
        assert len(found["tags"]) == most


def test_read_only_is_read_only(path: Path, run: Run) -> None:
    async def write() -> None:
        async with open_tantivy(path, read_only=True) as index:
            await index.remove([DOG.id])

    with pytest.raises(Misconfigured, match="read only"):
        run(write())


def test_a_fresh_index_takes_the_place_of_another(path: Path, run: Run, tmp_path: Path) -> None:
    async def swapped() -> Sequence[str]:
        async with open_tantivy(path, read_only=True) as reader:
            assert (await reader.search(Query())).count == 1
            await asyncio.to_thread(swap, tmp_path / "fresh", path)
            return [hit.name for hit in (await reader.search(Query())).hits]

    run(publish(tmp_path / "fresh", picture("cat.jpg")))
    assert run(swapped()) == ["cat.jpg"]
    assert run(found(tmp_path / "fresh")) == ["dog.jpg"]
    run(publish(path, DOG))
    assert run(found(path)) == ["cat.jpg", "dog.jpg"]


def test_long_lists_are_sorted_on_disk(path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "SLICE", 20)
    names = [f"{at * 7919 % 1000:03}\n/é" for at in range(300)]

    async def listed() -> Sequence[str]:
        async with open_tantivy(path) as index:
            await index.publish([picture(name) for name in names])
            return [name async for batch in index.revisions(PHOTOS) for name, _, _ in batch]

    assert run(listed()) == [*sorted(names), "dog.jpg"]


@pytest.mark.parametrize("name", ["x" * 70_000, "tags"])
def test_what_never_fits_is_refused_with_a_reason(path: Path, run: Run, name: str) -> None:
    async def refused() -> Sequence[str | None]:
        async with open_tantivy(path) as index:
            return await index.publish([picture(name, ("\ud800" if name == "tags" else "cat", 0.5)), picture("cat.jpg")])

    reason, fine = run(refused())
    assert reason
    assert fine is None
    assert run(found(path)) == ["cat.jpg", "dog.jpg"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, TantivyIndex]]:
    with asyncio.Runner() as runner:
        opening = open_tantivy(tmp_path_factory.mktemp("shared") / "index")
        index = runner.run(opening.__aenter__())
        runner.run(index.publish([DOG]))
        yield runner, index
        runner.run(opening.__aexit__(None, None, None))


Shared = tuple[asyncio.Runner, TantivyIndex]
anything = st.text(max_size=60)
syntax = st.lists(
    st.sampled_from(["dog", '"', "'", "(", "[", "{", "*", "?", "~", "^", "\\", ":", "+", "-", " OR ", "/", "TO", "\0"])
)


@given(text=anything | syntax.map("".join), prefix=anything, tags=st.lists(anything, max_size=2))
@example("\ud800", "\ud800", ["\ud800"])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_is_ever_syntax(shared: Shared, text: str, prefix: str, tags: list[str]) -> None:
    runner, index = shared
    asked = [Query(text), Query(prefix=prefix), Query(tags_all=tuple(tags), tags_none=tuple(tags), formats=(text,), confidence=0.5)]
    asked += [Query(phrases=(text, *tags)), Query(tags_any=(text, prefix), words_none=(prefix,), phrases_none=(text,))]
    asked += [Query(folders=(text,), cameras=(text,), classifiers=(text,)), Query(colours=(text,), objects=(prefix,))]
    for query in asked:
        results = runner.run(index.search(query))
        assert results.count == len(results.hits) <= 1


def test_a_very_long_text_is_only_a_long_text(shared: Shared) -> None:
    runner, index = shared
    assert runner.run(index.search(Query(" ".join(f"w{at}" for at in range(20_000))))).count == 0
    assert runner.run(index.search(Query("dog " * 20_000))).count == 1
    assert runner.run(index.search(Query("dog beach " + "x" * 10**6))).count == 0


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=150), min_size=1, max_size=8, unique=True), st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_found_listed_and_sorted(shared: Shared, names: list[str], data: st.DataObject) -> None:
    runner, index = shared
    records = [picture(name, source="folder:/names") for name in names]
    runner.run(emptied(index, "folder:/names"))
    assert runner.run(index.publish(records)) == [None] * len(names)

    async def listed() -> Sequence[str]:
        return [name async for batch in index.revisions("folder:/names") for name, _, _ in batch]

    assert runner.run(listed()) == sorted(names, key=str.encode)
    name = data.draw(st.sampled_from(names))
    prefix = name[: data.draw(st.integers(1, len(name)))]
    hits = runner.run(index.search(Query(prefix=prefix, sort="name"))).hits
    assert [hit.name for hit in hits if hit.source == "folder:/names"] == sorted(
        (one for one in names if one.startswith(prefix)), key=str.encode
    )


async def emptied(index: TantivyIndex, *sources: str) -> None:
    """Remove what an example before this one has left behind, even if it failed."""
    for source in sources:
        await index.remove([key async for batch in index.revisions(source) for _, key, _ in batch])


@given(st.lists(st.lists(pictures, max_size=6), max_size=4), st.lists(queries, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_it_answers_as_plain_evaluation_does(compared: Shared, batches: list[list[Record]], asked: list[Query]) -> None:
    runner, index = compared
    plain = MemoryIndex()
    runner.run(emptied(index, PHOTOS, "folder:/other"))
    for batch in batches:
        runner.run(index.publish(batch))
        runner.run(plain.publish(batch))
    for query in asked:
        ours, theirs = runner.run(index.search(query)), runner.run(plain.search(query))
        assert ours == theirs


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with asyncio.Runner() as runner:
        opening = open_tantivy(tmp_path_factory.mktemp("compared") / "index")
        yield runner, runner.run(opening.__aenter__())
        runner.run(opening.__aexit__(None, None, None))


def test_search_itself_does_not_need_tantivy() -> None:
    modules = "search.query, search.document, search.rebuild, search.checks, search.words"
    script = f"import {modules}; assert 'tantivy' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", "import sys\n" + script], cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0


def test_the_mark_says_the_schema(path: Path) -> None:
    assert json.loads((path / "imagesweep.json").read_text()) == {"schema": VERSION}


def test_a_commit_that_was_killed_at_its_last_step_does_not_block_the_next(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "index"
    records = [picture(f"{number}.jpg", ("dog", 0.9), rev=1) for number in range(20)]
    again = [replace(record, rev=2) for record in records[:5]]

    async def publish(batch: Sequence[Record]) -> Sequence[str | None]:
        async with open_tantivy(path) as index:
            return await index.publish(batch)

    run(publish(records))
    before = (path / "meta.json").read_bytes()
    run(publish(again))
    (path / "meta.json").write_bytes(before)
    assert run(publish(again)) == [None] * 5


RANKED = [
    picture("1.jpg", ("harbour", 0.1)),
    picture("2.jpg", ("old harbour", 0.1)),
    picture("3.jpg", categories=("harbours", "boats")),
    picture("4.jpg", caption="a harbour"),
    picture("5.jpg", text=("no parking", "Harbour Master")),
    picture("6.jpg", properties=(("place", "Harbour 7"),)),
    picture("harbour.jpg"),
    picture("boat.jpg", objects=("boat",), people=1),
]


def test_words_are_found_wherever_they_stand_and_tags_come_first(tmp_path: Path, run: Run) -> None:
    async def answers() -> list[list[str]]:
        memory = MemoryIndex()
        await memory.publish(RANKED)
        async with open_tantivy(tmp_path / "index") as index:
            await index.publish(RANKED)
            found = [await one.search(Query("harbour")) for one in (memory, index)]
            assert [hit.score for hit in found[0].hits] == [hit.score for hit in found[1].hits]
            return [[hit.name for hit in results.hits] for results in found]

    one, other = run(answers())
    assert sorted(one) == sorted(other)
    assert [name for name in other if name not in {"5.jpg", "6.jpg"}] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "harbour.jpg"]
    assert set(other[4:6]) == {"5.jpg", "6.jpg"}, "what is read comes after a caption and before a name"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(categories=("boats",)), ["3.jpg"]),
        (Query(categories=("boats", "harbours")), ["3.jpg"]),
        (Query(categories=("boats", "other")), []),
        (Query(categories=("boat",)), []),
        (Query(properties=("place=Harbour 7",)), ["6.jpg"]),
        (Query(properties=("place=Harbour",)), []),
        (Query(has_text=True), ["5.jpg"]),
        (Query(has_people=True), ["boat.jpg"]),
        (Query("boat", has_people=False), ["3.jpg"]),
        (Query("boat"), ["3.jpg", "boat.jpg"]),
    ],
)
def test_what_was_found_beyond_the_tags_narrows_down(tmp_path: Path, run: Run, query: Query, names: list[str]) -> None:
    async def answer() -> list[str]:
        async with open_tantivy(tmp_path / "index") as index:
            await index.publish(RANKED)
            return sorted(hit.name for hit in (await index.search(query)).hits)

    assert run(answer()) == names


def test_a_hit_shows_categories_and_properties(tmp_path: Path, run: Run) -> None:
    async def answer() -> None:
        async with open_tantivy(tmp_path / "index") as index:
            await index.publish(RANKED)
            (hit,) = (await index.search(Query(categories=("boats",)))).hits
            assert (hit.categories, hit.properties) == (("harbours", "boats"), ())
            (hit,) = (await index.search(Query(properties=("place=Harbour 7",)))).hits
            assert hit.properties == ("place=Harbour 7",)

    run(answer())
