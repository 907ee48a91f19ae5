"""The SQLite file itself: how it is opened, brought to today's schema, and how its errors become ours."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import Misconfigured, StorageFailed, SweepError, Transient

BUSY_SECONDS = 30.0
"""How long a call waits while another process writes."""

_APPLICATION = 0x696D7377  # "imsw": tells our files from other programs'
_CACHE_KIB = 8 * 1024
_CHECKPOINT_PAGES = 4_000
_DAMAGED = (
    "Restore a copy of the file, or move it away: the next sweep then starts a new one, "
    "and every image is classified, and paid for, again"
)
_NO_RESULTS = "Run imagesweep sweep first"
_WRITABLE = "The file and its folder must be writable by this user"

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        """CREATE TABLE records (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL,
            name TEXT NOT NULL,
            outcome TEXT NOT NULL,
            failure_class TEXT NOT NULL,
            next_try INTEGER,
            answer_hash TEXT,
            asked TEXT NOT NULL,
            version INTEGER NOT NULL,
            body TEXT NOT NULL
        )""",
        "CREATE INDEX records_by_name ON records (source, name)",
        "CREATE INDEX records_failed ON records (source, name) WHERE outcome IN ('deferred', 'dead')",
        "CREATE INDEX records_counted ON records (source, outcome, failure_class)",
        "CREATE INDEX records_answering ON records (answer_hash, asked) WHERE answer_hash IS NOT NULL",
        """CREATE TABLE vectors (
            number INTEGER PRIMARY KEY REFERENCES records (number),
            analysed TEXT,
            answered TEXT NOT NULL,
            embedding BLOB NOT NULL
        )""",
        # AUTOINCREMENT: a version is never used again, so whoever knew a removed document cannot mistake its successor for it.
        """CREATE TABLE documents (
            version INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (kind, key)
        )""",
    ),
)
"""The ladder: the statements that lead from each schema version to the next. Steps are added, never changed."""


def connect(path: Path, *, read_only: bool, ladder: Sequence[Sequence[str]] = MIGRATIONS) -> sqlite3.Connection:
    """Open the file, creating it and its folder unless `read_only`, and bring it to the top of the ladder.

    The connection commits durably: WAL with synchronous=FULL, one sync of the log for each transaction.
    """
    if read_only and not path.is_file():
        raise Misconfigured("open", str(path), "no results yet", hint=_NO_RESULTS)
    if not read_only:
        _make_folder(path)
    with translated("open", path):
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _check_owner(connection, path)
            if read_only:
                _check_version(connection, path, len(ladder))
            else:
                _prepare(connection, path, ladder)
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
    return connection


def check_writable(path: Path) -> None:
    """Raise Misconfigured where this user may not write the file or its folder, where SQLite keeps its log."""
    for one in (path, path.absolute().parent):
        if not os.access(one, os.W_OK):
            raise Misconfigured("check", str(one), "it may not be written to", hint=_WRITABLE)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file's one write lock from the start; commit at the end, undo everything on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(operation: str, path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, by their code; what has none is a mistake of ours and passes through."""
    try:
        yield
    except sqlite3.Error as error:
        ours = _translate(operation, str(path), error)
        if ours is None:
            raise
        raise ours from error


def _translate(operation: str, key: str, error: sqlite3.Error) -> SweepError | None:
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    cause = str(error)
    match primary:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Transient(operation, key, cause, hint="Another process kept the file locked")
        case sqlite3.SQLITE_FULL:
            return StorageFailed(operation, key, cause, hint="Free some space and run again; what was stored before stays")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageFailed(operation, key, cause, hint=_DAMAGED)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            return StorageFailed(operation, key, f"{cause} ({error.sqlite_errorname})", hint="Check the disk")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return Misconfigured(operation, key, cause, hint=_WRITABLE)
        case _:
            return None


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise StorageFailed("open", str(path), cause, hint="Free some space and run again") from error
        raise Misconfigured("open", str(path), cause, hint="The folder must be writable by this user") from error


def _prepare(connection: sqlite3.Connection, path: Path, ladder: Sequence[Sequence[str]]) -> None:
    _keep_log(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    if _pragma(connection, "user_version") == len(ladder):
        return
    with transaction(connection):
        version = int(_pragma(connection, "user_version"))
        _refuse_newer(path, version, len(ladder))
        for step in ladder[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(ladder)}")


def _keep_log(connection: sqlite3.Connection) -> None:
    """Turn the log on. SQLite does not wait by itself where several processes do that to a new file at once."""
    end = time.monotonic() + BUSY_SECONDS
    while _pragma(connection, "journal_mode") != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and _pragma(connection, "application_id") != _APPLICATION:
        raise Misconfigured("open", str(path), "this is another program's database", hint="Name another file in IMAGESWEEP_STORE")


def _check_version(connection: sqlite3.Connection, path: Path, top: int) -> None:
    version = int(_pragma(connection, "user_version"))
    _refuse_newer(path, version, top)
    if version == 0:
        raise Misconfigured("open", str(path), "no results yet", hint=_NO_RESULTS)
    if version < top:
        cause = f"the file has schema {version}, this imagesweep reads schema {top}"
        raise Misconfigured("open", str(path), cause, hint="The next imagesweep sweep brings it up to date")


def _refuse_newer(path: Path, version: int, top: int) -> None:
    if version > top:
        cause = f"written by a newer imagesweep (schema {version}, this one knows up to {top})"
        raise Misconfigured("open", str(path), cause, hint="Update imagesweep here, or use the version that wrote the file")


def _pragma(connection: sqlite3.Connection, name: str) -> str | int:
    value: str | int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
