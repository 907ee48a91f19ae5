"""Results in one SQLite file: ledger, counts, state and clock.

"No call is repeated after its answer was durably stored" holds through a crash of the process and through a loss of power:
the file is in WAL mode with synchronous=FULL, so a write returns after its transaction's log was synced to the disk. Writes
come in batches of hundreds, so that one sync costs next to nothing a record. Several processes may use the file at once;
each has one connection, on a thread of its own, and waits up to half a minute for another's transaction.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from jobs.adapters.sqlite_file import MIGRATIONS, check_writable, connect, transaction, translated
from jobs.codec import decode, encode
from jobs.errors import Conflict
from jobs.model import Outcome, Record
from jobs.ports import D, Document

BATCH = 500
"""Records in one batch of a scan."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAILED = frozenset({Outcome.DEFERRED, Outcome.DEAD})
_INSERT = """INSERT INTO records (source, name, outcome, failure_class, next_try, answer_hash, asked, version, body, id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING number"""
_UPDATE = """UPDATE records SET source = ?, name = ?, outcome = ?, failure_class = ?, next_try = ?, answer_hash = ?, asked = ?,
    version = ?, body = ? WHERE id = ? AND version = ? RETURNING number"""
_MOVED = "json_each(?) CROSS JOIN records ON records.id = json_each.key AND CAST(version AS TEXT) IS NOT value"
_LOOK_UP = f"SELECT records.id, body, NULL FROM {_MOVED}"  # noqa: S608 constants
_LOOK_UP_VECTORS = f"SELECT records.id, body, embedding FROM {_MOVED} LEFT JOIN vectors USING (number)"  # noqa: S608 constants
_ANSWERS = """SELECT answer_hash, body, embedding
    FROM (SELECT (SELECT min(number) FROM records WHERE answer_hash = value AND asked = ?) AS found FROM json_each(?))
    CROSS JOIN records ON records.number = found LEFT JOIN vectors USING (number)"""
# The index is named because the planner, which has no statistics, would rather sort every batch anew.
_SCAN = """SELECT name, body, NULL FROM records INDEXED BY records_by_name
    WHERE source = :source AND name >= :low AND name < CAST(:high AS TEXT)
    AND (:outcomes IS NULL OR outcome IN (SELECT value FROM json_each(:outcomes))) AND (:due IS NULL OR next_try <= :due)
    ORDER BY name LIMIT :batch"""
_SCAN_FAILED = """SELECT name, body, NULL FROM records INDEXED BY records_failed
    WHERE source = :source AND name >= :low AND name < CAST(:high AS TEXT) AND outcome IN ('deferred', 'dead')
    AND outcome IN (SELECT value FROM json_each(:outcomes)) AND (:due IS NULL OR next_try <= :due)
    ORDER BY name LIMIT :batch"""
_TALLY = "SELECT outcome, failure_class, count(*) FROM records WHERE source = ? GROUP BY outcome, failure_class"
_SOURCES = """WITH RECURSIVE found(source) AS (SELECT min(source) FROM records UNION ALL
    SELECT (SELECT min(source) FROM records WHERE source > found.source) FROM found WHERE found.source IS NOT NULL)
    SELECT source FROM found WHERE source IS NOT NULL"""
_GET = "SELECT body, version FROM documents WHERE kind = ? AND key = ?"
_LIST = """SELECT key, body, version FROM documents
    WHERE kind = ? AND key >= ? AND key < CAST(? AS TEXT) ORDER BY key DESC LIMIT ?"""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_sqlite(
    path: Path, *, read_only: bool = False, clock: Callable[[], datetime] = _utc_now
) -> AsyncIterator[SqliteStore]:
    """Open the store in the file at `path`, which is made and brought to today's schema unless `read_only`.

    Raises Misconfigured when there is no file to read, when it may not be written, is another program's or a newer
    imagesweep's; StorageFailed when it is damaged or the disk is full; Transient when it stays locked.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
    try:
        opening = thread.submit(connect, path, read_only=read_only)
        try:
            connection = await asyncio.wrap_future(opening)
            yield SqliteStore(path, connection, thread, clock)
        finally:
            # Waits behind whatever is still running there; happens even if this task is cancelled meanwhile.
            await asyncio.shield(asyncio.wrap_future(thread.submit(_close, opening)))
    finally:
        thread.shutdown(wait=False)


def _close(opening: Future[sqlite3.Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class SqliteStore:
    """A Ledger, Tally, State and Clock over one connection that lives on one thread."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor, clock: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._clock = clock

    async def look_up(
        self, ids: Sequence[str], *, vectors: bool = False, seen: Mapping[str, str | None] | None = None
    ) -> Mapping[str, Record]:
        """Return the records that exist and are not at the version that was seen, by id, in one query."""
        wanted = {key: seen.get(key) if seen else None for key in ids}
        rows = partial(self._records, _LOOK_UP_VECTORS if vectors else _LOOK_UP, (json.dumps(wanted),))
        return dict(await self._call("look up", rows))

    async def answers(self, hashes: Sequence[str], asked: str) -> Mapping[str, Record]:
        """Return for each content hash the oldest record that can answer for it."""
        return dict(await self._call("answers", partial(self._records, _ANSWERS, (asked, json.dumps(list(hashes))))))

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        """Write each record if it is still at its version, all in one transaction; None for each that lost."""
        return await self._call("write", partial(self._write, records))

    async def scan(
        self,
        source: str,
        *,
        outcomes: Sequence[Outcome] = (),
        due: datetime | None = None,
        prefix: str = "",
        after: str | None = None,
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Stream records in the order of their names, each batch by a query of its own that goes on after the last name."""
        query = _SCAN_FAILED if outcomes and _FAILED.issuperset(outcomes) else _SCAN
        chosen = {
            "source": source,
            "high": _behind(prefix),
            "outcomes": json.dumps(list(outcomes)) if outcomes else None,
            "due": _micros(due),
            "batch": BATCH,
        }
        while True:
            low = prefix if after is None else max(prefix, after + "\0")
            batch = [record for _, record in await self._call("scan", partial(self._records, query, chosen | {"low": low}))]
            if batch:
                yield batch
            if len(batch) < BATCH:
                return
            after = batch[-1].name

    async def tally(self, source: str) -> Mapping[tuple[str, str], int]:
        """Count by outcome and failure class, from an index alone."""
        rows = await self._call("tally", lambda: self._connection.execute(_TALLY, (source,)).fetchall())
        return {(outcome, failure_class): count for outcome, failure_class, count in rows}

    async def sources(self) -> Sequence[str]:
        """Return the keys of all sources, by one step through the index for each."""
        rows = await self._call("sources", lambda: self._connection.execute(_SOURCES).fetchall())
        return [source for (source,) in rows]

    async def get(self, kind: type[D], key: str) -> tuple[D, str] | None:
        """Return the document and its version, None when there is none."""
        row = await self._call("get", lambda: self._connection.execute(_GET, (kind.__name__, key)).fetchone())
        return (decode(kind, row[0], f"{kind.__name__} {key}"), str(row[1])) if row else None

    async def put(self, key: str, document: Document, version: str | None) -> str:
        """Write the document if it is still at `version`; return the new version, which no document had before."""
        return await self._call("put", partial(self._put, key, document, version))

    async def remove(self, kind: type[Document], key: str, version: str | None = None) -> None:
        """Remove the document, if it is at `version` where one is given."""
        await self._call("remove", partial(self._remove, kind.__name__, key, version))

    async def list(self, kind: type[D], prefix: str, *, last: int | None = None) -> Sequence[tuple[str, D, str]]:
        """Return the documents whose keys begin with `prefix`, ascending; only the `last` so many if given."""
        parameters = (kind.__name__, prefix, _behind(prefix), -1 if last is None else last)
        rows = await self._call("list", lambda: self._connection.execute(_LIST, parameters).fetchall())
        return [(key, decode(kind, body, f"{kind.__name__} {key}"), str(version)) for key, body, version in reversed(rows)]

    async def now(self) -> datetime:
        """Return the time of this machine, which every process that can open the file shares."""
        return self._clock()

    async def check(self) -> str:
        """Count the records; raises Misconfigured where the file may not be written to."""
        (number,) = await self._call("check", lambda: self._connection.execute("SELECT count(*) FROM records").fetchone())
        check_writable(self._path)
        return f"schema {len(MIGRATIONS)}, {number:,} records"

    async def _call(self, operation: str, action: Callable[[], T]) -> T:
        def on_thread() -> T:
            with translated(operation, self._path):
                return action()

        return await asyncio.wrap_future(self._thread.submit(on_thread))

    def _records(self, query: str, parameters: Sequence[object] | Mapping[str, object]) -> Sequence[tuple[str, Record]]:
        rows = self._connection.execute(query, parameters).fetchall()
        return [(key, _with_embedding(decode(Record, body, key), embedding)) for key, body, embedding in rows]

    def _write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        with transaction(self._connection):
            return [self._write_one(record) for record in records]

    def _write_one(self, record: Record) -> Record | None:
        if record.version is not None and not record.version.isdecimal():
            return None
        stored = replace(record, version=str(int(record.version or 0) + 1))
        if record.version is None:
            written = self._connection.execute(_INSERT, _row(stored)).fetchone()
        else:
            written = self._connection.execute(_UPDATE, (*_row(stored), int(record.version))).fetchone()
        return None if written is None else _with_embedding(stored, self._write_vector(written[0], stored))

    def _write_vector(self, number: int, record: Record) -> bytes | None:
        """Return the embedding as it is stored now: a former one stays only while it is of the same bytes and answer."""
        analysis = record.analysis
        if analysis is None:
            self._connection.execute("DELETE FROM vectors WHERE number = ?", (number,))
            return None
        if analysis.embedding is not None:
            row = (number, record.analysed, analysis.answered, analysis.embedding)
            self._connection.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", row)
            return analysis.embedding
        stale = "DELETE FROM vectors WHERE number = ? AND (analysed IS NOT ? OR answered <> ?)"
        self._connection.execute(stale, (number, record.analysed, analysis.answered))
        kept: tuple[bytes] | None = self._connection.execute("SELECT embedding FROM vectors WHERE number = ?", (number,)).fetchone()
        return kept[0] if kept else None

    def _put(self, key: str, document: Document, version: str | None) -> str:
        kind = type(document).__name__
        body = encode(document, f"{kind} {key}")
        with transaction(self._connection):
            row = self._connection.execute(_GET, (kind, key)).fetchone()
            if (str(row[1]) if row else None) != version:
                raise Conflict("put", f"{kind} {key}", "it was changed meanwhile")
            self._connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
            inserted = self._connection.execute("INSERT INTO documents (kind, key, body) VALUES (?, ?, ?)", (kind, key, body))
        return str(inserted.lastrowid)

    def _remove(self, kind: str, key: str, version: str | None) -> None:
        with transaction(self._connection):
            row = self._connection.execute(_GET, (kind, key)).fetchone()
            if row and version is not None and str(row[1]) != version:
                raise Conflict("remove", f"{kind} {key}", "it was changed meanwhile")
            self._connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))


def _row(record: Record) -> tuple[object, ...]:
    """Return the columns that are queried and the body, in the order of the statements; the version is in both."""
    failure = record.failure
    answers = record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED) and record.analysis and record.analysed == record.etag
    return (
        record.source,
        record.name,
        record.outcome or "",
        failure.failure_class if failure else "",
        _micros(failure.next_try) if failure else None,
        record.content_hash if answers else None,
        record.asked,
        int(record.version or 0),
        encode(record, record.id),
        record.id,
    )


def _with_embedding(record: Record, embedding: bytes | None) -> Record:
    if record.analysis is None or record.analysis.embedding is embedding:
        return record
    return replace(record, analysis=replace(record.analysis, embedding=embedding))


def _micros(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def _behind(prefix: str) -> bytes:
    """Return what comes behind every text that begins with `prefix`: no byte of UTF-8 is as high as 0xFF."""
    return prefix.encode() + b"\xff"
