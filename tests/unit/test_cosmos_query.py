"""Queries on Cosmos DB: streams that broke, and physical partitions that are asked for their own only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from jobs.adapters.cosmos_items import Item, bucket
from jobs.adapters.cosmos_query import MOST_IDS, PAGE, Ranges, Stream, chosen
from jobs.model import Outcome, blob_id
from tests.conftest import Run
from tests.examples import NOON, SOURCE
from tests.servers.cosmos import KEY, fresh


class Breaking:
    """A query over numbers that breaks once, in front of `at`."""

    def __init__(self, length: int, at: int) -> None:
        self.length = length
        self.at: int | None = at
        self.begun: list[int] = []

    async def __call__(self, last: Item | None) -> AsyncIterator[Item]:
        start = last["n"] + 1 if last else 0
        self.begun.append(start)
        for number in range(start, self.length):
            if number == self.at:
                self.at = None
                raise OSError
            yield {"n": number}


@pytest.mark.parametrize("at", [0, 1, PAGE - 1, PAGE, PAGE + 7, 2 * PAGE])
def test_a_stream_that_broke_anywhere_shows_every_item_once(run: Run, at: int) -> None:
    breaking = Breaking(2 * PAGE + 10, at)
    stream = Stream(breaking)  # type: ignore[arg-type]  # an asynchronous generator is an iterator when called

    async def all_of_it() -> list[int]:
        found: list[int] = []
        while True:
            try:
                items = await stream.take()
            except OSError:
                continue
            if not items:
                return found
            found += [item["n"] for item in items]

    assert run(all_of_it()) == list(range(2 * PAGE + 10))
    assert breaking.begun == [0, at // PAGE * PAGE]


class Halves:
    """A container whose one physical partition looks as if it were two; the rest is the SDK's own."""

    def __init__(self, container: Any) -> None:
        self.feed_range_from_partition_key = container.feed_range_from_partition_key
        self.is_feed_range_subset = container.is_feed_range_subset

    async def read_feed_ranges(self) -> AsyncIterator[dict[str, Any]]:
        for low, high in (("", "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"), ("1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "FF")):
            yield {"Range": {"min": low, "max": high, "isMinInclusive": True, "isMaxInclusive": False}}


@pytest.mark.servers
def test_each_physical_partition_is_asked_for_its_own_ids(run: Run, cosmos: str) -> None:
    ids = [blob_id(SOURCE, str(number)) for number in range(3000)]

    async def body() -> None:
        async with CosmosClient(cosmos, KEY, enable_endpoint_discovery=False) as client:
            database = await client.create_database(fresh(cosmos).rpartition("/")[2])
            container: Any = Halves(await database.create_container("records", PartitionKey("/bucket")))
            queries = await Ranges(container).by_id(ids)
            asked = [list(map(str, query.parameters.values())) for query in queries]
            assert sorted(key for keys in asked for key in keys) == sorted(ids)
            assert max(map(len, asked)) <= MOST_IDS
            assert len({str(query.within) for query in queries}) == 2
            for query, keys in zip(queries, asked, strict=True):
                for partition in {bucket(key) for key in keys}:
                    ours = await container.feed_range_from_partition_key(partition)
                    assert await container.is_feed_range_subset(query.within["feed_range"], ours)

    run(body())


def test_only_what_failed_is_read_where_only_that_is_asked_for() -> None:
    assert "c.trouble >= @low" in chosen(SOURCE, [Outcome.DEFERRED], NOON, "", None).text
    both = chosen(SOURCE, [Outcome.DEFERRED, Outcome.DEAD], None, "", "a")
    assert both.text == "SELECT * FROM c WHERE c.trouble > @low AND c.trouble < @high ORDER BY c.trouble"
    mixed = chosen(SOURCE, [Outcome.CLASSIFIED, Outcome.DEAD], None, "", None)
    assert "c.place >= @low AND c.place < @high AND c.record.outcome IN (@outcome0, @outcome1)" in mixed.text
