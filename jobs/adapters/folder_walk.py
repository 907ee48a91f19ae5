"""The walk over a folder tree, in the order of the whole names' UTF-8 bytes.

A sub-folder sorts as if its name ended in a slash, so a key with a closing slash stands for a folder here.
"""
# Names are bytes here, which Path cannot hold.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.adapters.disk_sort import DiskSort
from jobs.adapters.names import to_bytes, to_name
from jobs.choose import Chooser
from jobs.errors import Misconfigured, StorageFailed, Transient
from jobs.model import Blob, Odd

Identity = tuple[int, int]

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_NOWHERE = ABSENT | {errno.ELOOP}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LATEST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_KINDS = {
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFDIR: "folder link",
}


def from_ns(ns: int) -> datetime:
    """Return a time of nanoseconds since 1970, rounded down to microseconds; what no calendar holds becomes its end.

    File times and `FolderSource.now` are rounded alike, so a file stamped at or after a moment never reads as before it.
    """
    return _EPOCH + timedelta(microseconds=min(max(ns // 1000, _EARLIEST), _LATEST))


def blob_of(source: str, name: str, file: os.stat_result, link: os.stat_result | None = None) -> Blob:
    """Return the version that a file's state stands for; `link` is the state of the link that led to it, if one did.

    The etag is size, inode, modification and change time. `modified` is the later time, for a copied or restored file keeps
    the modification time of its original, and only its change time says that it is new here. A link counts with its own
    times: pointing it elsewhere is a change.
    """
    mtime, ctime = file.st_mtime_ns, file.st_ctime_ns
    if link is not None:
        mtime, ctime = max(mtime, link.st_mtime_ns), max(ctime, link.st_ctime_ns)
    etag = f"{file.st_size:x}-{file.st_ino:x}-{mtime:x}-{ctime:x}"
    return Blob(source, name, etag, from_ns(max(mtime, ctime)), file.st_size)


def legal(name: str) -> bool:
    """Say whether a listing could ever hold this name: relative, without empty, `.` and `..` parts, and one that bytes map to."""
    if "\0" in name or {"", ".", ".."} & set(name.split("/")):
        return False
    try:
        to_bytes(name)
    except ValueError:
        return False
    return True


def identity(root: bytes) -> Identity:
    """Return device and inode of the source's folder. Raises OSError when it is not there, no folder, or may not be entered."""
    state = os.stat(os.path.join(root, b"."))
    return state.st_dev, state.st_ino


@dataclass(frozen=True, slots=True)
class Bounds:
    """The part of the listing that is asked for: names after `after` that begin with `prefix`."""

    after: bytes = b""
    prefix: bytes = b""

    def wants(self, key: bytes) -> bool:
        """Say whether the part holds this name, or for a folder's key, may hold a name in it."""
        if key.endswith(b"/"):
            ahead = key > self.after or self.after.startswith(key)
            return ahead and (key.startswith(self.prefix) or self.prefix.startswith(key))
        return key > self.after and key.startswith(self.prefix)

    def only(self, base: bytes) -> bytes | None:
        """Return the key of the one folder in the folder `base` that the prefix leads through, None when it ends there."""
        if not self.prefix.startswith(base):
            return None
        head, slash, _ = self.prefix[len(base) :].partition(b"/")
        return head + slash if slash else None


@dataclass(slots=True)
class _Folder:
    """A folder that the walk is in: `base` is its key from the root, `path` where it is, `keys` what is left of it."""

    base: bytes
    path: bytes
    identity: Identity
    keys: DiskSort


class Walk:
    """One pass over the tree; `entries` may be asked for once. Setting `stopped` ends it soon, from any thread.

    Holds for each level of folders at most `spill` names in memory.
    """

    def __init__(self, source: str, root: bytes, *, choose: Chooser, bounds: Bounds, follow_folders: bool, spill: int) -> None:
        self.stopped = False
        self._source = source
        self._root = root
        self._choose = choose
        self._bounds = bounds
        self._follow = follow_folders
        self._spill = spill
        self._folders: list[_Folder] = []

    def entries(self) -> Iterator[Blob | Odd]:
        """Yield what is there, ascending; only an unreadable folder that holds `after` comes again, although before it.

        Raises Misconfigured when the root is not there, may not be read, or is another folder in the end than it was in the
        beginning (unmounted: what it held is not gone), Transient when it could not be read for another reason.
        """
        began = self._open_root()
        while self._folders:
            key = next(self._folders[-1].keys, None)
            if key is None or self.stopped:
                self._folders.pop().keys.close()
                continue
            found = self._enter(key) if key.endswith(b"/") else self._file(key)
            if found is not None:
                yield found
        if not self.stopped and self._root_identity() != began:
            raise Misconfigured("list", self._source, "the folder was replaced while it was listed", hint="Is it mounted?")

    def close(self) -> None:
        """Drop what the walk still holds."""
        for folder in self._folders:
            folder.keys.close()
        self._folders.clear()

    def _root_identity(self) -> Identity:
        try:
            return identity(self._root)
        except OSError as error:
            raise root_fault("list", self._source, error) from error

    def _open_root(self) -> Identity:
        began = self._root_identity()
        failure = self._push(b"", self._root, began)
        if failure is not None:
            raise root_fault("list", self._source, failure) from failure
        return began

    def _push(self, base: bytes, path: bytes, ident: Identity) -> OSError | None:
        """Go into a folder with what could be read of it; return why the rest could not."""
        failures: list[OSError] = []
        try:
            keys = DiskSort(self._keys(base, path, failures), self._spill)
        except OSError as error:
            hint = "Free space in the folder for temporary files, or point TMPDIR elsewhere."
            raise StorageFailed("sort the names of", os.fsdecode(path), error.strerror or str(error), hint=hint) from error
        self._folders.append(_Folder(base, path, ident, keys))
        return failures[0] if failures else None

    def _keys(self, base: bytes, path: bytes, failures: list[OSError]) -> Iterator[bytes]:
        only = self._bounds.only(base)
        if only is not None:
            if legal(only[:-1].decode()) and self._bounds.wants(base + only):
                yield only
            return
        try:
            with os.scandir(path) as entries:
                yield from self._wanted(base, entries)
        except OSError as error:
            failures.append(error)

    def _wanted(self, base: bytes, entries: Iterable[os.DirEntry[bytes]]) -> Iterator[bytes]:
        wants = self._bounds.wants
        for entry in entries:
            if self.stopped:
                return
            raw = entry.name
            key = raw if raw.isascii() else to_name(raw).encode()
            if self._is_folder(entry):
                key += b"/"
            if wants(base + key):
                yield key

    def _is_folder(self, entry: os.DirEntry[bytes]) -> bool:
        try:
            return entry.is_dir(follow_symlinks=self._follow)
        except OSError:  # a link in a circle, or without permission: its own stat will tell
            return False

    def _enter(self, key: bytes) -> Odd | None:
        """Go into a sub-folder; return what is odd of it."""
        above = self._folders[-1]
        base = above.base + key
        name = base.decode()
        if not self._choose.descend(name[:-1]):
            return None
        path = os.path.join(above.path, to_bytes(key[:-1].decode()))
        try:
            state = os.stat(path, follow_symlinks=self._follow)
            if not stat.S_ISDIR(state.st_mode):
                return None
            ident = (state.st_dev, state.st_ino)
            if any(folder.identity == ident for folder in self._folders):
                return self._odd_folder(base, "folder loop", unread=False)
            failure = self._push(base, path, ident)
        except OSError as error:
            failure = error
        if failure is None or failure.errno in ABSENT:
            return None
        return self._odd_folder(base, f"folder not readable: {failure.strerror}", unread=True)

    def _odd_folder(self, base: bytes, reason: str, *, unread: bool) -> Odd | None:
        """Report a folder once: a listing that goes on after it has reported it before."""
        return None if base == self._bounds.after else Odd(base.decode(), reason, unread)

    def _file(self, key: bytes) -> Blob | Odd | None:
        folder = self._folders[-1]
        name = (folder.base + key).decode()
        if not self._choose.chosen(name):
            return Odd(name, "chosen out by a glob")
        path = os.path.join(folder.path, key if key.isascii() else to_bytes(key.decode()))
        try:
            own = os.lstat(path)
            if stat.S_ISREG(own.st_mode):
                return blob_of(self._source, name, own)
            return self._linked(name, path, own) if stat.S_ISLNK(own.st_mode) else _special(name, own)
        except OSError as error:
            return None if error.errno in ABSENT else Odd(name, f"file not readable: {error.strerror}", unread=True)

    def _linked(self, name: str, path: bytes, own: os.stat_result) -> Blob | Odd:
        try:
            target = os.stat(path)
        except OSError as error:
            if error.errno not in _NOWHERE:
                raise
            return Odd(name, "link to nothing")
        if stat.S_ISREG(target.st_mode):
            return blob_of(self._source, name, target, own)
        return Odd(name, _KINDS.get(stat.S_IFMT(target.st_mode), "special file"))


def _special(name: str, own: os.stat_result) -> Odd | None:
    """Report what is neither file nor link; a folder here took a file's place during the listing."""
    kind = stat.S_IFMT(own.st_mode)
    return None if kind == stat.S_IFDIR else Odd(name, _KINDS.get(kind, "special file"))


def root_fault(operation: str, source: str, error: OSError) -> Misconfigured | Transient:
    """Return what it means that the source's own folder failed."""
    cause = error.strerror or str(error)
    if error.errno in ABSENT:
        return Misconfigured(operation, source, cause, hint="Is it mounted? The setting must name an existing folder.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Misconfigured(operation, source, cause, hint="Give this user the right to read and enter the folder.")
    return Transient(operation, source, cause)
