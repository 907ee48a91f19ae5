"""Sample: a part of an archive by which shares of the whole are told, with how sure they are.

What is alike has the same size. So sizes are drawn, and all images of a drawn size are in the sample: every duplicate of one of
them is in it as well, which no sample of single images could promise. Shares are told from these clusters, with an interval that
takes into account that what is in one cluster may be alike.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Z: Final = 1.96
"""Standard deviations of an interval that holds in 95 of 100 samples."""


class BySize(Generic[T]):
    """Draws sizes until about `most` items are kept, in one pass and with no more in memory; the same for the same `seed`.

    Where a single size has more than `most` items, only so many of them are kept, at random, and duplicates are underrated.
    """

    def __init__(self, most: int, seed: int) -> None:
        self.offered = 0
        self._most = most
        self._seed = seed
        self._random = random.Random(seed)
        self._kept: dict[int, list[T]] = {}
        self._number = 0
        self._order: list[tuple[int, int]] = []
        self._limit = 1 << 64
        self._met = 0

    def offer(self, size: int, item: T) -> None:
        """Take an item into consideration."""
        self.offered += 1
        priority = self._priority(size)
        if priority >= self._limit:
            return
        if size not in self._kept:
            self._kept[size] = []
            heapq.heappush(self._order, (-priority, size))
        self._kept[size].append(item)
        self._number += 1
        while self._number > self._most and len(self._kept) > 1:
            highest, dropped = heapq.heappop(self._order)
            self._limit = -highest
            self._number -= len(self._kept.pop(dropped))
        if self._number > self._most:
            self._thin(size)

    def clusters(self) -> list[list[T]]:
        """Return the items that were drawn, by size, in the order in which they were offered."""
        return [self._kept[size] for _, size in sorted(self._order, reverse=True)]

    def _thin(self, size: int) -> None:
        """Keep each of the items of a size that is too frequent with the same chance."""
        items = self._kept[size]
        self._met = max(self._met, self._most) + 1
        place = self._random.randrange(self._met)
        newest = items.pop()
        if place < self._most:
            items.pop(place)
            items.append(newest)
        self._number -= 1

    def _priority(self, size: int) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self._seed}:{size}".encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the whole, with the interval that it lies in, in 95 of 100 samples."""

    share: float
    low: float
    high: float


def shares(clusters: Sequence[Mapping[str, int]], names: Sequence[str], *, total: int) -> dict[str, Share]:
    """Return the share of each kind among `total` items, from clusters that say how many of their items are of which kind."""
    number = sum(sum(cluster.values()) for cluster in clusters)
    return {name: _share([(cluster.get(name, 0), sum(cluster.values())) for cluster in clusters], number, total) for name in names}


def _share(counts: Sequence[tuple[int, int]], number: int, total: int) -> Share:
    """Return a share by a ratio estimate, its interval by Wilson's formula over as many items as the sample is worth.

    A sample of clusters is worth fewer items than it has where those of one cluster are alike.
    """
    if not number:
        return Share(0.0, 0.0, 1.0 if total else 0.0)
    share = sum(found for found, _ in counts) / number
    if number >= total:
        return Share(share, share, share)
    left = 1 - number / total
    single = share * (1 - share) / number
    worth = float(number)
    if single and len(counts) > 1:
        spread = math.fsum((found - share * size) ** 2 for found, size in counts) * len(counts) / (len(counts) - 1) / number**2
        worth = min(number, number * single / spread) if spread else worth
    low, high = wilson(share, worth / left)
    return Share(share, low, high)


def wilson(share: float, number: float) -> tuple[float, float]:
    """Return the interval of a share that was seen among so many (E. B. Wilson, 1927)."""
    middle = share + Z**2 / (2 * number)
    reach = Z * math.sqrt(share * (1 - share) / number + (Z / (2 * number)) ** 2)
    scale = 1 + Z**2 / number
    return max((middle - reach) / scale, 0.0), min((middle + reach) / scale, 1.0)


def parted(total: int, found: Mapping[str, Share]) -> dict[str, int]:
    """Part a whole number by shares that make up the whole; the parts add up to it."""
    parts = {name: math.floor(total * one.share) for name, one in found.items()}
    rests = sorted(found, key=lambda name: (parts[name] - total * found[name].share, name))
    for name in rests[: total - sum(parts.values())]:
        parts[name] += 1
    return parts
