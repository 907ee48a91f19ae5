"""What can happen to the SQLite file, and what is said about it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jobs.adapters import sqlite_file
from jobs.adapters.sqlite import SqliteStore, open_sqlite
from jobs.adapters.sqlite_file import MIGRATIONS, connect
from jobs.errors import Conflict, Misconfigured, StorageFailed, Transient
from jobs.model import Outcome, Record, Scan, blob_id
from tests.conftest import Run, entered
from tests.examples import SOURCE, classified, record

T = TypeVar("T")

_WRITER = """
import asyncio, sys
from pathlib import Path
from jobs.adapters.sqlite import open_sqlite
from tests.examples import classified

async def main():
    async with open_sqlite(Path(sys.argv[1])) as store:
        for batch in range(100_000):
            names = [f"{batch}-{number}" for number in range(20)]
            await store.write([classified(name, name, embedding=b"x" * 5120) for name in names])
            print(batch, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "results.db"


def opened(run: Run, path: Path, *, read_only: bool = False) -> AbstractContextManager[SqliteStore]:
    return entered(run, open_sqlite(path, read_only=read_only))


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_folder_and_file_are_made(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        run(store.write([record("cat")]))
    assert [file.name for file in path.parent.iterdir()] == ["results.db"]


def test_what_was_stored_is_there_again(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        (cat,) = run(store.write([classified("cat", "h1", embedding=b"\1\2")]))
        run(store.put("key", Scan(fence=1), None))
    for read_only in (True, False):
        with opened(run, path, read_only=read_only) as store:
            assert run(store.look_up([blob_id(SOURCE, "cat")], vectors=True)) == {blob_id(SOURCE, "cat"): cat}
            assert run(store.get(Scan, "key")) == (Scan(fence=1), "1")


def test_every_commit_is_synced_and_waits_for_its_turn(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        pragmas = [
            run(store._call("ask", partial(sqlite_file._pragma, store._connection, name)))
            for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["wal", 2]


def test_nothing_to_read_says_what_to_run(run: Run, path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"no results yet\. Run imagesweep sweep"), opened(run, path, read_only=True):
        pass
    assert not path.parent.exists()
    path.parent.mkdir()
    path.touch()
    with pytest.raises(Misconfigured, match="no results yet"), opened(run, path, read_only=True):
        pass


def test_a_reader_cannot_write(run: Run, path: Path) -> None:
    with opened(run, path):
        pass
    with opened(run, path, read_only=True) as store, pytest.raises(Misconfigured, match=r"write .*readonly"):
        run(store.write([record("cat")]))


def test_a_file_that_is_no_database_is_left_alone(run: Run, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes of a database" * 100)
    for read_only in (True, False):
        with pytest.raises(StorageFailed, match="file is not a database") as caught, opened(run, path, read_only=read_only):
            pass
        assert "paid for, again" in caught.value.hint
    assert path.read_bytes().startswith(b"these are not")


def test_a_damaged_file_is_said_to_be(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        run(store.write([classified(f"{number}", "h1") for number in range(500)]))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with opened(run, path) as store, pytest.raises(StorageFailed, match="malformed") as caught:
        run(store.tally(SOURCE))
    assert "Restore a copy" in caught.value.hint


def test_a_damaged_record_is_named(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        run(store.write([record("cat")]))
    change(path, "UPDATE records SET body = '{}'")
    with opened(run, path) as store, pytest.raises(StorageFailed, match=f"decode {blob_id(SOURCE, 'cat')}"):
        run(store.look_up([blob_id(SOURCE, "cat")]))


def test_another_programs_database_is_left_alone(run: Run, path: Path) -> None:
    path.parent.mkdir()
    change(path, "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(Misconfigured, match="another program's database"), opened(run, path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_schema_is_refused_and_both_are_named(run: Run, path: Path, *, read_only: bool) -> None:
    with opened(run, path):
        pass
    change(path, "PRAGMA user_version = 99")
    said = rf"written by a newer imagesweep \(schema 99, this one knows up to {len(MIGRATIONS)}\)"
    with pytest.raises(Misconfigured, match=said), opened(run, path, read_only=read_only):
        pass


def test_an_older_schema_is_brought_up_to_date(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(run, path) as store:
        (cat,) = run(store.write([record("cat")]))
    step = ("ALTER TABLE records ADD COLUMN colour TEXT", "UPDATE records SET colour = 'red'")
    monkeypatch.setattr(sqlite_file.connect, "__kwdefaults__", {"ladder": (*MIGRATIONS, step)})
    with pytest.raises(Misconfigured, match="has schema 1, this imagesweep reads schema 2"), opened(run, path, read_only=True):
        pass
    with opened(run, path) as store:
        assert run(store.look_up([blob_id(SOURCE, "cat")])) == {blob_id(SOURCE, "cat"): cat}
        assert run(store._call("ask", lambda: store._connection.execute("SELECT colour FROM records").fetchall())) == [("red",)]
    with opened(run, path, read_only=True) as store:
        assert run(store._call("ask", partial(sqlite_file._pragma, store._connection, "user_version"))) == 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        run(store.write([record("cat")]))
    step = ("ALTER TABLE records ADD COLUMN colour TEXT", "UPDATE nowhere SET colour = 'red'")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        connect(path, read_only=False, ladder=(*MIGRATIONS, step))
    with closing(connect(path, read_only=False)) as connection:
        assert sqlite_file._pragma(connection, "user_version") == len(MIGRATIONS)
        assert "colour" not in [row[1] for row in connection.execute("PRAGMA table_info(records)")]


def test_a_full_disk_writes_nothing_by_halves(run: Run, path: Path) -> None:
    with opened(run, path) as store:
        (cat,) = run(store.write([record("cat")]))
        assert cat is not None
        run(store._call("limit", lambda: store._connection.execute("PRAGMA max_page_count = 40")))
        many = [classified(f"{number}", "h1", embedding=b"x" * 5120) for number in range(200)]
        with pytest.raises(StorageFailed, match="full") as caught:
            run(store.write([replace(cat, rev=1), *many]))
        assert "Free some space" in caught.value.hint
        assert run(store.tally(SOURCE)) == {("", ""): 1}
        assert run(store.look_up([cat.id])) == {cat.id: cat}
        assert None not in run(store.write([replace(cat, rev=1)]))


def test_a_locked_file_is_a_passing_fault(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.0)
    with opened(run, path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked"):
            run(store.write([record("cat")]))
        assert run(store.tally(SOURCE)) == {}
        other.execute("ROLLBACK")
        assert None not in run(store.write([record("cat")]))


@pytest.mark.parametrize("spoil", [lambda path: path.parent.touch(), lambda path: path.mkdir(parents=True)])
def test_a_place_that_cannot_be_written_is_a_wrong_setting(run: Run, path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    with pytest.raises(Misconfigured, match=r"open .*results\.db"), opened(run, path):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_a_wrong_setting(run: Run, path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o500)
    with pytest.raises(Misconfigured, match=r"open .*results\.db"), opened(run, path):
        pass


def test_a_mistake_of_ours_passes_through(run: Run, path: Path) -> None:
    with opened(run, path) as store, pytest.raises(sqlite3.OperationalError, match="no such table"):
        run(store._call("ask", lambda: store._connection.execute("SELECT * FROM nowhere")))


def test_the_file_is_closed_after_an_error(run: Run, path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), opened(run, path) as store:
        raise RuntimeError("boom")
    with pytest.raises(RuntimeError, match="after shutdown"):
        run(store.tally(SOURCE))
    assert [file.name for file in path.parent.iterdir()] == ["results.db"]


def test_the_file_is_closed_after_a_cancellation(run: Run, path: Path) -> None:
    async def cancelled_inside() -> None:
        async with open_sqlite(path) as store:
            await store.write([record("cat")])
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # there is one
            await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        run(cancelled_inside())
    assert [file.name for file in path.parent.iterdir()] == ["results.db"]


def test_two_connections_never_both_win(run: Run, path: Path) -> None:
    with opened(run, path) as ours, opened(run, path) as theirs:

        async def race(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, T]) -> tuple[T | BaseException, T | BaseException]:
            both: tuple[T | BaseException, T | BaseException] = await asyncio.gather(one, other, return_exceptions=True)
            return both

        known: Sequence[Record] = [record(f"{number}") for number in range(50)]
        for rev in range(1, 20):
            mine = ours.write([replace(one, rev=rev) for one in known])
            results = run(race(mine, theirs.write([replace(one, rev=-rev) for one in known])))
            stored = [won for result in results if isinstance(result, Sequence) for won in result if won]
            known = sorted(stored, key=lambda one: int(one.name))
            assert [one.name for one in known] == [f"{number}" for number in range(50)]
            assert run(theirs.look_up([one.id for one in known])) == {one.id: one for one in known}
        puts = run(race(ours.put("k", Scan(fence=1), None), theirs.put("k", Scan(fence=2), None)))
        assert {type(result) for result in puts} == {str, Conflict}


def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    start, failures = threading.Barrier(8), []

    def open_it() -> None:
        start.wait()
        try:
            connect(path, read_only=False).close()
        except Exception as error:  # noqa: BLE001 - told by the assert
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def _opens(path: Path) -> str:
    try:
        connect(path, read_only=False).close()
    except Exception as error:  # noqa: BLE001 - told by the assert
        return str(error)
    return ""


def test_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(6, multiprocessing.get_context("spawn")) as pool:
        answers = [answer for at in range(40) for answer in pool.map(_opens, [tmp_path / f"{at}.db"] * 6)]
    assert set(answers) == {""}


@pytest.mark.parametrize("acknowledged", [1, 7, 23])
def test_a_killed_process_loses_nothing_that_was_acknowledged(run: Run, path: Path, acknowledged: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(acknowledged):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines()
    batches = acknowledged + len(rest)
    with opened(run, path) as store:
        ids = [blob_id(SOURCE, f"{batch}-{number}") for batch in range(batches) for number in range(20)]
        found = run(store.look_up(ids, vectors=True))
        assert len(found) == len(ids)
        assert all(one.analysis and one.analysis.embedding == b"x" * 5120 for one in found.values())
        assert run(store.tally(SOURCE))[Outcome.CLASSIFIED, ""] % 20 == 0
        assert run(store._call("check", lambda: store._connection.execute("PRAGMA integrity_check").fetchone())) == ("ok",)
