"""The vectors of an index: one file of float32 rows beside it, of which each document names its own by number.

Rows are only ever added, under the lock of the index's writer and before its commit. A row that no document names any more is
dead: it costs its place until the index is rebuilt, and never comes up. Likeness is brute force over the mapped file: exact, and in
the memory of one block.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAME = "vectors"
BLOCK = 8192
"""Rows that are compared at once: 42 MB of 1,280 numbers each."""

_HEAD = struct.Struct("<8sII")
_MAGIC = b"imsweepv"

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


def append(folder: Path, embeddings: Sequence[bytes | None]) -> Sequence[int | None]:
    """Add vectors durably; return the number of each row, None for no vector or one of another length than the first."""
    there = [one for one in embeddings if one]
    if not there:
        return [None] * len(embeddings)
    with (folder / NAME).open("ab+") as file:
        width = _begun(file.fileno(), len(there[0]))
        row = (os.fstat(file.fileno()).st_size - _HEAD.size) // width
        os.ftruncate(file.fileno(), _HEAD.size + row * width)  # what a killed process wrote of a row goes
        numbers: list[int | None] = []
        for one in embeddings:
            numbers.append(row if one and len(one) == width else None)
            if one and len(one) == width:
                file.write(one)
                row += 1
        file.flush()
        os.fsync(file.fileno())
    return numbers


def opened(folder: Path) -> NDArray[np.float32] | None:
    """Return the rows, mapped and not read, of shape (rows, numbers); None where there are none."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            magic, width, _ = _HEAD.unpack(file.read(_HEAD.size))
            rows = (os.fstat(file.fileno()).st_size - _HEAD.size) // width
    except (FileNotFoundError, struct.error):
        return None
    if magic != _MAGIC:
        raise ValueError(f"{path} holds no vectors")
    return np.memmap(path, "<f4", "r", _HEAD.size, (rows, width // 4)) if rows else None


def nearest(vectors: NDArray[np.float32], wanted: bytes, most: int, rows: Rows | None = None) -> tuple[Rows, Scores]:
    """Return up to `most` rows, the likest first, with their cosines; of these `rows` (ascending), else of all."""
    query = np.frombuffer(wanted, "<f4")
    if len(query) != vectors.shape[1] or not most:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    best, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    for numbers, block in _blocks(vectors, rows):
        best = np.concatenate([best, numbers])
        scores = np.concatenate([scores, block @ query])
        if len(best) > most:
            kept = np.argpartition(-scores, most - 1)[:most]
            best, scores = best[kept], scores[kept]
    order = np.lexsort((best, -scores))
    return best[order], scores[order]


def _blocks(vectors: NDArray[np.float32], rows: Rows | None) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
    number = len(vectors) if rows is None else len(rows)
    for start in range(0, number, BLOCK):
        if rows is None:
            end = min(start + BLOCK, number)
            yield np.arange(start, end, dtype=np.int64), vectors[start:end]
        else:
            chosen = rows[start : start + BLOCK]
            yield chosen, vectors[chosen]


def _begun(descriptor: int, width: int) -> int:
    """Write the head of a new file; return the bytes of a row."""
    if os.fstat(descriptor).st_size < _HEAD.size:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _HEAD.pack(_MAGIC, width, 0))
        return width
    found: int = _HEAD.unpack(os.pread(descriptor, _HEAD.size, 0))[1]
    return found
