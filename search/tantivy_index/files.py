"""The files of an index: how they come to be, who may write them, and what is said when they are broken."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tantivy import Index, IndexWriter

from jobs.errors import Misconfigured, StorageFailed, SweepError
from search.tantivy_index.schema import VERSION, schema

TRIES = 3
"""How often what cannot be read is tried."""

HEAP = 100_000_000
"""Bytes that one batch may take in memory before it spills into segments that have to be merged; small ones take what they need."""

MARK = "imagesweep.json"
_FULL = tuple(f"(os error {code})" for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_REBUILD = "rebuild it: imagesweep index rebuild"

Change = Callable[[IndexWriter], None]
Stamp = tuple[tuple[int, int, int] | None, ...]


class Busy(Exception):
    """Another process is writing, or was until now: try again."""


def opened(path: Path, *, read_only: bool, make: bool = True) -> Index:
    """Open the index, made anew where there is none and one is to be made; searchers of it move on when it is told to reload."""
    with translated("open", path):
        if not present(path):
            if read_only or not make:
                raise Misconfigured("open", str(path), "nothing has been indexed yet", hint="Run `imagesweep sweep`.")
            create(path)
        check(path)
        index = Index.open(str(path))
        index.config_reader(reload_policy="manual")
        reloaded(index, path)
        return index


def reloaded(index: Index, path: Path) -> Stamp:
    """Let searches see the newest commit, and return its stamp; again where another index took the place in the midst of it.

    What cannot be read is tried three times: two changes of places may have left everything where it was.
    """
    failures = 0
    while True:
        seen = stamp(path)
        try:
            index.reload()
        except ValueError:
            failures += stamp(path) == seen
            if failures == TRIES:
                raise
            continue
        if stamp(path) == seen:
            return seen


def write(path: Path, change: Change) -> Callable[[], None]:
    """Make one change, all of it or nothing, durable on return; raise Busy while another process holds the lock.

    Returns what is to be called next in the same thread: it waits for the merges and lets go of the lock. Were they not waited
    for, they would be thrown away with the writer, and the segments would grow without end. The lock is of the operating
    system and dies with the process. The index is opened anew each time, since the list of its files that an older handle
    keeps would overwrite the one of the process that wrote last.
    """
    with translated("publish", path):
        before = stamp(path)
        writer = _writer(path)
        try:
            _unmoved(path, before)
            writer.garbage_collect_files()  # else what a killed process left could bear the name of what this commit is to write
            _apply(change, writer)
            writer.commit()
        except BaseException:
            with suppress(Exception):
                writer.wait_merging_threads()
            raise
        return writer.wait_merging_threads


def stamp(path: Path) -> Stamp:
    """Return what tells one commit from the next without reading it."""
    return tuple(_stat(path / name) for name in ("meta.json", ".managed.json"))


@contextmanager
def still(path: Path) -> Iterator[None]:
    """Keep every writer out of an index, whatever process it is in; raise Busy while one is at it."""
    with translated("lock", path):
        writer = _writer(path)
    try:
        yield
    finally:
        with suppress(Exception):
            writer.wait_merging_threads()


def named(path: Path) -> str | None:
    """Return the name of the index in a folder: empty where none was given to it, or it is damaged; None where there is none."""
    if not present(path):
        return None
    try:
        mark = json.loads((path / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(mark.get("name") or "") if isinstance(mark, dict) else ""


@contextmanager
def translated(operation: str, path: Path) -> Iterator[None]:
    """Turn what Tantivy and the file system raise into errors that say what to do."""
    try:
        yield
    except (SweepError, Busy):
        raise
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise Misconfigured(operation, str(path), str(error), hint="Choose a folder that may be written to.") from error
    except (OSError, ValueError) as error:
        raise _failed(operation, path, str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a failed assertion in Rust becomes; it has no importable name
            raise
        raise _failed(operation, path, str(error)) from error


def _failed(operation: str, path: Path, cause: str) -> StorageFailed:
    if any(code in cause for code in _FULL) or "No space left" in cause:
        return StorageFailed(operation, str(path), cause, hint="Free some space and run it again; what was published stays.")
    hint = "The index can be rebuilt from the store: imagesweep index rebuild"
    return StorageFailed(operation, str(path), f"the index is damaged or cannot be read: {cause}", hint=hint)


def present(path: Path) -> bool:
    """Say whether there is anything at all in a place."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def create(path: Path, name: str = "") -> None:
    """Make an empty index beside its place and move it there whole, so that no process ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name.lstrip('.')}.new-", dir=path.parent))
    try:
        Index(schema(), str(fresh), reuse=False)
        (fresh / MARK).write_text(json.dumps({"schema": VERSION} | ({"name": name} if name else {})), encoding="utf-8")
        fresh.chmod(0o755)
        with suppress(FileNotFoundError):
            path.rmdir()
        fresh.rename(path)
    except OSError:
        if not present(path):
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check(path: Path) -> None:
    """Raise Misconfigured where the folder holds no index of ours, or one of another version."""
    if not path.is_dir():
        raise Misconfigured("open", str(path), "this is a file", hint="An index is a folder: choose another name.")
    try:
        mark = json.loads((path / MARK).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Misconfigured("open", str(path), "there is something else in this folder", hint="Choose another.") from error
    found = mark.get("schema") if isinstance(mark, dict) else None
    if found != VERSION:
        cause = f"the index has schema {found}, this program needs {VERSION}"
        raise Misconfigured("open", str(path), cause, hint=_REBUILD)


def _writer(path: Path) -> IndexWriter:
    try:
        return Index.open(str(path)).writer(heap_size=HEAP, num_threads=1)
    except ValueError as error:
        if "LockBusy" in str(error):
            raise Busy from error
        raise


def _apply(change: Change, writer: IndexWriter) -> None:
    try:
        change(writer)
    except ValueError as error:
        if "writer was killed" in str(error):
            writer.commit()  # cannot succeed without its thread, and says what the thread died of, such as a full disk
        raise


def _unmoved(path: Path, before: Stamp) -> None:
    if stamp(path) != before:
        raise Busy


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
