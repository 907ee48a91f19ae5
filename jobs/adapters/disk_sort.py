"""Sorting more names than fit in memory: sorted runs in one temporary file, merged while they are read back."""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice, pairwise
from typing import IO

_BLOCK = 16 * 1024


class DiskSort:
    """The distinct items, ascending: an iterator over byte strings that hold no NUL. Whoever makes one closes it.

    Reads `items` to their end at once and keeps at most `chunk` of them in memory; up to `chunk` never touch the disk. While
    it is read it holds 16 KB for each run of `chunk` items. Raises OSError when the temporary file cannot be written.
    """

    def __init__(self, items: Iterable[bytes], chunk: int) -> None:
        self._file: IO[bytes] | None = None
        source = iter(items)
        run = sorted(islice(source, chunk))
        following = next(source, None)
        runs = iter(run) if following is None else self._spill(run, chain((following,), source), chunk)
        self._items = (item for item, _ in groupby(runs))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._items)

    def close(self) -> None:
        """Drop the temporary file; the rest of the items is lost."""
        self._items.close()
        if self._file is not None:
            self._file.close()

    def _spill(self, run: list[bytes], source: Iterator[bytes], chunk: int) -> Iterator[bytes]:
        self._file = tempfile.TemporaryFile(prefix="imagesweep-", buffering=0)  # noqa: SIM115 - closed by `close`
        try:
            ends = [0]
            while run:
                ends.append(ends[-1] + self._write(run))
                run = sorted(islice(source, chunk))
        except BaseException:
            self._file.close()
            raise
        handle = self._file.fileno()
        return heapq.merge(*(_read(handle, start, end) for start, end in pairwise(ends)))

    def _write(self, run: list[bytes]) -> int:
        assert self._file is not None
        block = b"\0".join(run) + b"\0"
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(block)


def _read(handle: int, start: int, end: int) -> Iterator[bytes]:
    rest = b""
    while start < end:
        block = os.pread(handle, min(_BLOCK, end - start), start)
        start += len(block)
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
