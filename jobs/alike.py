"""Alike: which pictures are near-duplicates of which, by their sketches. Pure.

Every picture is compared with the best one of its group and with no other, so that a row of pictures, each a little unlike the one
before, never becomes one group. The best has the most pixels, then the most bytes, then the smallest id: it is the group's first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jobs.model import Record
from jobs.sketch import BITS, NOTHING

COARSE: Final = 11
"""Bits that may differ among the 64 of the lowest frequencies."""

FINE: Final = 64
"""Bits that may differ in all."""

SHAPE: Final = 0.1
"""How far the logarithms of two ratios of width to height may be apart."""

Firsts = NDArray[np.int64]
"""For each picture, which one is the first of its group: itself where it is alone or the first."""

_BYTES = BITS // 8
_BANDS = 4
_MASKS: Final = np.array(sorted({1 << one | 1 << other for one in range(16) for other in range(16)} | {0}), dtype=np.int32)
"""What a band of a near one may differ by: of at most eleven wrong bits in four bands, one band has at most two."""

_OFFSETS: Final = np.arange(_BANDS, dtype=np.int32) << 16
_HEX = re.compile(f"[0-9a-f]{{{2 * _BYTES}}}")


_EVERY: Final = 1024
"""Pictures between two looks at whether to stop."""


class Stopped(Exception):
    """It was to be stopped before it came to the end."""


@dataclass(frozen=True, slots=True)
class Change:
    """The group that the picture with this id and this sketch is to have, empty for none."""

    id: str
    sketch: str
    group: str


def sketched(record: Record) -> str:
    """Return the sketch of the picture that a record shows, empty where there is none, or where it shows nothing."""
    found = record.analysis.facts.sketch if record.analysis is not None else ""
    return found if found != NOTHING and _HEX.fullmatch(found) else ""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is known of n pictures: ids and groups, 32 bytes each; sketches, four words each; ratios' logarithms, pixels, bytes.

    A group of nothing but zeros is none.
    """

    ids: NDArray[np.uint8]
    groups: NDArray[np.uint8]
    sketches: NDArray[np.uint64]
    ratios: NDArray[np.float32]
    pixels: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Pictures:
        """Take what grouping needs from records that have an analysis."""
        facts = [record.analysis.facts for record in records if record.analysis is not None]
        return cls(
            ids=_digits([record.id for record in records]),
            groups=_digits([record.group for record in records]),
            sketches=_digits([one.sketch for one in facts]).view(np.uint64),
            ratios=np.array([math.log(max(one.width, 1) / max(one.height, 1)) for one in facts], dtype=np.float32),
            pixels=np.array([one.width * one.height for one in facts], dtype=np.int64),
            sizes=np.array([record.size for record in records], dtype=np.int64),
        )

    @classmethod
    def joined(cls, some: Sequence[Pictures]) -> Pictures:
        """Return all of them as one."""
        fields = zip(*((one.ids, one.groups, one.sketches, one.ratios, one.pixels, one.sizes) for one in some), strict=True)
        return cls(*(np.concatenate(field) for field in fields))


def grouped(pictures: Pictures, *, stopped: Callable[[], bool] = lambda: False) -> Firsts:
    """Return the firsts of all groups that there are; raises Stopped when it is to stop.

    Time grows with the number of pictures while most are unlike each other; bench/near.py measures it, and the memory.
    """
    if not len(pictures):
        return np.zeros(0, dtype=np.int64)
    order = np.lexsort((*pictures.ids.T[::-1], -pictures.sizes, -pictures.pixels))
    sketches, ratios = pictures.sketches[order], pictures.ratios[order]
    lowest = np.ascontiguousarray(sketches[:, 0])
    bands = _Bands(lowest.view(np.uint16).reshape(-1, _BANDS))
    firsts = np.full(len(order), -1, dtype=np.int64)
    for at in range(len(order)):
        if at % _EVERY == 0 and stopped():
            raise Stopped
        if firsts[at] >= 0:
            continue
        firsts[at] = at
        near = bands.near(at)
        near = near[np.bitwise_count(lowest[near] ^ lowest[at]) <= COARSE]
        near = near[(near > at) & (firsts[near] < 0)]
        differing = np.bitwise_count(sketches[near] ^ sketches[at]).sum(axis=1)
        close = (differing <= FINE) & (np.abs(ratios[near] - ratios[at]) <= SHAPE)
        firsts[near[close]] = at
    found = np.empty_like(firsts)
    found[order] = order[firsts]
    return found


def changes(pictures: Pictures, firsts: Firsts) -> Iterator[Change]:
    """Yield what is to be changed: pictures whose group is another than what their records say."""
    numbers = np.bincount(firsts, minlength=len(firsts))
    groups = np.where((numbers[firsts] > 1)[:, None], pictures.ids[firsts], np.uint8(0))
    for at in np.flatnonzero((groups != pictures.groups).any(axis=1)):
        group = groups[at].tobytes().hex() if groups[at].any() else ""
        yield Change(pictures.ids[at].tobytes().hex(), pictures.sketches[at].tobytes().hex(), group)


class _Bands:
    """Rows by what each of their four bands of sixteen bits says: `places` are rows, one band's after the other's."""

    def __init__(self, rows: NDArray[np.uint16]) -> None:
        values = (rows + _OFFSETS).T.ravel()
        self._values = rows + _OFFSETS
        self._places = (np.argsort(values, kind="stable") % max(len(rows), 1)).astype(np.int32)
        self._starts = np.concatenate(([0], np.cumsum(np.bincount(values, minlength=_BANDS << 16)))).astype(np.int32)

    def near(self, at: int) -> NDArray[np.int32]:
        """Return the rows that may be near one, some of them twice: all that are no more than COARSE bits away, and others."""
        values = np.bitwise_xor.outer(self._values[at], _MASKS).ravel()
        begin = self._starts[values]
        counts = self._starts[values + 1] - begin
        ends = np.cumsum(counts, dtype=np.int32)
        every: NDArray[np.int32] = np.repeat(begin - ends + counts, counts) + np.arange(ends[-1], dtype=np.int32)
        found: NDArray[np.int32] = self._places[every]
        return found


def _digits(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return 64 hex digits each as 32 bytes; what is anything else as zeros."""
    whole = (text if _HEX.fullmatch(text) else NOTHING for text in texts)
    return np.frombuffer(bytes.fromhex("".join(whole)), dtype=np.uint8).reshape(-1, _BYTES)
