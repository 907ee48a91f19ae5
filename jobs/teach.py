"""Teach: make categories of a few pictures each: their mean direction, and how near to it another one has to be.

How good that is on pictures that were not shown is measured by leaving each of them out once.
"""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from jobs.errors import Misconfigured, Rejected
from jobs.model import Image
from jobs.ports import Embedder
from jobs.retry import Policy, retry
from jobs.taught import Taught, Vector, direction, unit

LEAST: Final = 2
"""Pictures that a category takes: one is left out while the others speak for it."""

MIDDLE: Final = 0.7
"""The least threshold, from the average of the others to that of a category's own: few others look closer than most will be."""

STANDARD = Policy()
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Lesson:
    """A category as it was learned from so many pictures.

    Of these `recalled` would have been taken without having been shown; of `others` that are none, `wrong` are taken.
    """

    taught: Taught
    pictures: int
    recalled: int
    others: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Teaching:
    """What was learned with an embedder, by its fingerprint; what was left out, by name, and why; and the calls that it took."""

    embedder: str
    lessons: tuple[Lesson, ...]
    skipped: tuple[tuple[str, str], ...]
    calls: int


async def teach(
    *, embedder: Embedder, folders: Mapping[str, Sequence[Path]], against: Sequence[Path] = (), policy: Policy = STANDARD
) -> Teaching:
    """Learn a category from the pictures of each folder, against those of all others and some that are of none.

    Pictures that cannot be read or embedded, or are there twice, are left out. Raises Misconfigured for a category with fewer
    than LEAST that are left, and where nothing is left to tell a category from; fails as the embedder does.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    skipped: list[tuple[str, str]] = []
    vectors: dict[str, Vector] = {}
    calls = 0
    for category, paths in (*folders.items(), ("", against)):
        read = await asyncio.gather(*(_embedded(path, embedder, gate, policy) for path in paths))
        found: dict[str, bytes] = {}
        for path, one in zip(paths, read, strict=True):
            calls += one.asked
            if one.vector is None:
                skipped.append((str(path), one.reason))
            elif one.digest in found:
                skipped.append((str(path), "its bytes are those of another picture of the category"))
            else:
                found[one.digest] = one.vector
        vectors[category] = np.array([np.frombuffer(vector, "<f4") for vector in found.values()], dtype=np.float32)
    return Teaching(embedder.asked, tuple(learned(vectors)), tuple(skipped), calls)


def learned(vectors: Mapping[str, Vector]) -> list[Lesson]:
    """Learn every category from its vectors, of length one and shape (n, length); those of no category are under an empty name."""
    for category, own in vectors.items():
        if category and len(own) < LEAST:
            cause = f"{len(own)} of its pictures can be used"
            raise Misconfigured("teach", category, cause, hint=f"A category takes {LEAST} pictures, better five or more.")
    lessons = []
    for category, own in vectors.items():
        others = [some for name, some in vectors.items() if name != category and len(some)]
        if category and not others:
            hint = "Teach two categories at once, or show pictures that are of none by --against."
            raise Misconfigured("teach", category, "there is nothing to tell it from", hint=hint)
        if category:
            lessons.append(_lesson(category, own, np.concatenate(others)))
    return lessons


def _lesson(category: str, own: Vector, others: Vector) -> Lesson:
    mean = direction(own)
    rest = own.sum(axis=0) - own
    left_out = (own * rest).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    strangers = others @ unit(mean)
    threshold = round(_threshold(left_out, strangers), 4)
    taught = Taught(category, threshold, mean)
    return Lesson(taught, len(own), int((left_out >= threshold).sum()), len(others), int((strangers >= threshold).sum()))


def _threshold(own: Vector, others: Vector) -> float:
    """Return the cosine that parts the two best: midway between neighbours, and never nearer to the others than MIDDLE allows."""
    marks = np.unique(np.concatenate([own, others]))
    between = (marks[1:] + marks[:-1]) / 2 if len(marks) > 1 else marks
    gained = [float((own >= mark).mean() - (others >= mark).mean()) for mark in between]
    best = float(between[int(np.argmax(gained))])
    low, high = float(others.mean()), float(own.mean())
    return min(max(best, low + MIDDLE * (high - low), -1.0), 1.0)


@dataclass(frozen=True, slots=True)
class _Read:
    """What came of one picture: a vector, or a reason; `asked` says whether the embedder was."""

    digest: str = ""
    vector: bytes | None = None
    reason: str = ""
    asked: bool = False


async def _embedded(path: Path, embedder: Embedder, gate: asyncio.Semaphore, policy: Policy) -> _Read:
    async with gate:
        try:
            data = await asyncio.to_thread(_bytes, path, embedder.limits.max_bytes)
        except (OSError, ValueError) as error:
            return _Read(reason=getattr(error, "strerror", None) or str(error))
        try:
            vector = await retry(partial(embedder.embed, Image(path.name, data)), policy)
        except Rejected as error:
            return _Read(reason=error.cause, asked=True)
        return _Read(hashlib.sha256(data).hexdigest(), vector, asked=True)


def _bytes(path: Path, most: int) -> bytes:
    """Read a picture. Raises OSError, and ValueError for what is no file, or too large a one."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no file")
    if status.st_size > most:
        raise ValueError(f"{status.st_size:,} bytes, more than the {most:,} that the embedder takes")
    return path.read_bytes()
