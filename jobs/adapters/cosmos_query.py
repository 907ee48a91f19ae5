"""Queries on Azure Cosmos DB: what is asked for, and streams that survive a passing fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from azure.cosmos.aio import ContainerProxy

from jobs.adapters.cosmos_items import BEHIND, Item, bucket, micros, place
from jobs.model import Outcome

PAGE = 500
"""Items in a page of an answer, and in a batch of a scan. The SDK holds one page for each physical partition."""

CHOSEN = "SELECT * FROM c WHERE {}"
VERSIONS = "SELECT c.id, c._etag, c.vector FROM c WHERE {}"
_SCAN = "SELECT * FROM c WHERE {} ORDER BY c.{}"
MOST_IDS = 1000
"""Ids asked for in one query."""

_FAILED = frozenset({Outcome.DEFERRED, Outcome.DEAD})


@dataclass(frozen=True, slots=True)
class Select:
    """A query and its parameters, over all partitions, or over those `within` says as options of the SDK."""

    text: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    within: Mapping[str, Any] = field(default_factory=dict)

    def run(self, container: ContainerProxy) -> AsyncIterator[Item]:
        """Return what the query yields; an answer of one value is one item."""
        parameters: list[dict[str, object]] = [{"name": name, "value": value} for name, value in self.parameters.items()]
        items: AsyncIterator[Item] = container.query_items(self.text, parameters=parameters, max_item_count=PAGE, **self.within)
        return items


def one_of(path: str, values: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Return the condition that a path has one of these values, with its parameters."""
    parameters: dict[str, object] = {f"@{path.rpartition('.')[2]}{number}": value for number, value in enumerate(values)}
    return f"c.{path} IN ({', '.join(parameters)})", parameters


def chosen(source: str, outcomes: Sequence[Outcome], due: datetime | None, prefix: str, after: str | None) -> Select:
    """Return the query for a scan: one indexed path says source, prefix and order at once.

    Records that are deferred or dead, few among many, have a path of their own, so that only they are read. What is left of the
    choice is checked on the items that were read.
    """
    path = "trouble" if outcomes and _FAILED.issuperset(outcomes) else "place"
    low = place(source, prefix)
    beyond = None if after is None else place(source, after)
    parameters: dict[str, object] = {"@low": low, "@high": low + BEHIND}
    conditions = [f"c.{path} >= @low", f"c.{path} < @high"]
    if beyond is not None and beyond >= low:
        conditions[0], parameters["@low"] = f"c.{path} > @low", beyond
    if outcomes and not (path == "trouble" and _FAILED.issubset(outcomes)):
        condition, values = one_of("record.outcome", [str(outcome) for outcome in outcomes])
        conditions.append(condition)
        parameters |= values
    if due is not None:
        conditions.append("c.due <= @due")
        parameters["@due"] = micros(due)
    return Select(_SCAN.format(" AND ".join(conditions), path), parameters)


class Ranges:
    """The physical partitions of a container, by whose ranges it is queried, so that none is asked for what it cannot have.

    They are learnt once: a range that is split later covers both halves, and the SDK asks both.
    """

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container
        self._ranges: list[dict[str, Any]] = []
        self._of: dict[str, int] = {}

    async def by_id(self, keys: Iterable[str], what: str = CHOSEN) -> list[Select]:
        """Return queries that together find the items of these ids, at most MOST_IDS in each; `what` of them, all by default."""
        parted: dict[int, list[str]] = {}
        for key in keys:
            parted.setdefault(await self._range_of(bucket(key)), []).append(key)
        queries = []
        for number, found in parted.items():
            for start in range(0, len(found), MOST_IDS):
                condition, parameters = one_of("id", found[start : start + MOST_IDS])
                queries.append(Select(what.format(condition), parameters, {"feed_range": self._ranges[number]}))
        return queries

    async def _range_of(self, partition: str) -> int:
        if partition not in self._of:
            if not self._ranges:
                self._ranges = [found async for found in self._container.read_feed_ranges()]
            ours = await self._container.feed_range_from_partition_key(partition)
            inside = [await self._container.is_feed_range_subset(whole, ours) for whole in self._ranges]
            self._of[partition] = inside.index(True)
        return self._of[partition]


class Stream:
    """An ordered stream of items that is opened again behind the last one when it broke.

    `begin` returns the stream from behind an item, None for the start.
    """

    def __init__(self, begin: Callable[[Item | None], AsyncIterator[Item]]) -> None:
        self._begin = begin
        self._items: AsyncIterator[Item] | None = None
        self._last: Item | None = None

    async def take(self) -> list[Item]:
        """Return the next items, PAGE of them unless they end; after an error the same ones come when it is called again."""
        items = self._items or self._begin(self._last)
        self._items = None
        taken: list[Item] = []
        with suppress(StopAsyncIteration):
            while len(taken) < PAGE:
                taken.append(await anext(items))
        self._items = items
        self._last = taken[-1] if taken else self._last
        return taken
