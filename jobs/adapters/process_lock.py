"""A lock of the operating system, which dies with the process that holds it: after a crash the next one starts at once."""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path

from jobs.errors import Misconfigured

if sys.platform == "win32":

    def _try_lock(descriptor: int) -> None:
        raise OSError(f"no such lock on {sys.platform} for descriptor {descriptor}")

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class ProcessLock:
    """An exclusive lock on a small file, which is left in place and names the holder's process id for messages.

    The file must be on a local disk. A forked child does not keep the lock alive.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock without waiting; say whether it is ours now. Raises Misconfigured where there can be no such lock."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._impossible(error) from error
        try:
            _try_lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            raise self._impossible(error) from error
        self._descriptor = descriptor
        _held.add(self)
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self._let_go()

    def holder(self) -> int | None:
        """Return the process id that the file names, None when it names none."""
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        _held.discard(self)

    def _impossible(self, error: OSError) -> Misconfigured:
        hint = "Keep results on a local disk, in a folder that this user may write to"
        return Misconfigured("lock", str(self._path), error.strerror or str(error), hint=hint)


_held: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    """Close what a fork inherited: the lock belongs to the open file, which a surviving child would keep open."""
    for lock in list(_held):
        lock._let_go()  # noqa: SLF001 - this module is the class's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
