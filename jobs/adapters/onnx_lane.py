"""Lanes: how encoded images get to a worker process without squeezing through a pipe of 64 kilobytes.

A batch of photos through the pool's pipe keeps a worker idle for a tenth of its time, and the sweep awake for each piece. A lane is
a file in memory that both sides open: the bytes are written once and read once, and only their sizes go through the pipe. Where the
system has no such files, the bytes themselves do.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

KEPT = 16_000_000
"""Bytes that an idle lane may hold on to."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch on its way: the path and number of the lane, and the sizes of the images in it, one behind the other."""

    path: str
    lane: int
    sizes: tuple[int, ...]


Load = Parcel | Sequence[bytes]


_numbers = count(1)


class Lane:
    """One batch at a time, from this process to whoever it is handed to. Not for two feeders at once."""

    def __init__(self) -> None:
        self._file = os.memfd_create("imagesweep-lane") if hasattr(os, "memfd_create") else None
        self._number = next(_numbers)
        self._size = 0

    def load(self, batch: Sequence[bytes]) -> Load:
        """Put a batch into the lane, over the one before."""
        if self._file is None:
            return batch
        total = sum(len(data) for data in batch)
        if max(self._size, total) > KEPT:
            os.ftruncate(self._file, 0)
        at = 0
        for data in batch:
            at += _write(self._file, data, at)
        self._size = total
        return Parcel(f"/proc/{os.getpid()}/fd/{self._file}", self._number, tuple(len(data) for data in batch))

    def close(self) -> None:
        """Give its memory back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


_opened: dict[str, tuple[int, int]] = {}
"""The lanes that this worker has open: number and file by path. A path comes again when its lane was closed."""


def unload(load: Load) -> list[bytes]:
    """Return the images of a batch, in a worker. Lanes stay open there, as many as the sweep has feeders."""
    if not isinstance(load, Parcel):
        return list(load)
    file = _file_of(load)
    batch, at = [], 0
    for size in load.sizes:
        data = os.pread(file, size, at)
        if len(data) != size:
            raise OSError(f"a lane ended after {at + len(data)} bytes")
        batch.append(data)
        at += size
    return batch


def _file_of(parcel: Parcel) -> int:
    number, file = _opened.get(parcel.path, (0, -1))
    if number != parcel.lane:
        if number:
            os.close(file)
        file = os.open(parcel.path, os.O_RDONLY | os.O_CLOEXEC)
        _opened[parcel.path] = parcel.lane, file
    return file


def _write(file: int, data: bytes, at: int) -> int:
    done = 0
    while done < len(data):
        done += os.pwrite(file, memoryview(data)[done:], at + done)
    return done
