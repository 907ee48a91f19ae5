"""The Cosmos store through a proxy that breaks requests: what is lost, sent twice, throttled or missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from jobs.adapters.cosmos import CosmosStore, open_cosmos
from jobs.adapters.cosmos_containers import create_cosmos, index_policy
from jobs.errors import Conflict, Misconfigured, StorageFailed, Transient
from jobs.model import Lease, Outcome, Scan
from jobs.ports import Metered
from jobs.retry import Policy
from tests.conftest import Run
from tests.examples import NOON, SOURCE, analysis, classified, record
from tests.servers.cosmos import KEY, fresh
from tests.servers.proxy import Answer, Proxy, Reset, Seen, proxy

pytestmark = pytest.mark.servers

QUICK = Policy(attempts=3, seconds=30.0, base=0.0, cap=0.0)
KEYED = AzureKeyCredential(KEY)
THROTTLED = Answer(429, {"x-ms-retry-after-ms": "1"}, b'{"message": "Request rate is large"}')
BROKEN = Answer(503, {}, b'{"message": "Service Unavailable"}')


@dataclass(frozen=True)
class World:
    """A store behind a proxy, and another that is not, over the same database."""

    store: CosmosStore
    other: CosmosStore
    proxy: Proxy

    def batches(self) -> int:
        return sum(map(is_batch, self.proxy.seen))


def is_batch(seen: Seen) -> bool:
    return "x-ms-cosmos-is-batch-request" in seen.headers


def partition_of(seen: Seen) -> str:
    (partition,) = json.loads(seen.headers["x-ms-documentdb-partitionkey"])
    return str(partition)


def is_query(seen: Seen) -> bool:
    return "x-ms-documentdb-isquery" in seen.headers or "query" in seen.headers.get("content-type", "")


def is_document(seen: Seen) -> bool:
    return "/docs" in seen.path and not is_query(seen)


@asynccontextmanager
async def world(address: str) -> AsyncIterator[World]:
    location = fresh(address)
    await create_cosmos(location, KEYED)
    async with (
        proxy(address) as passing,
        open_cosmos(location.replace(address, passing.url), KEYED, policy=QUICK) as store,
        open_cosmos(location, KEYED) as other,
    ):
        passing.seen.clear()
        yield World(store, other, passing)


@pytest.fixture
def within(run: Run, cosmos: str) -> Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]:
    """Run a test's body in a world of its own."""

    def of(body: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        async def inside() -> None:
            async with world(cosmos) as one:
                await body(one)

        run(inside())

    return of


Within = Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]


@pytest.mark.parametrize("fault", [Reset(lost=True), Reset(), BROKEN, THROTTLED])
def test_a_write_survives_one_fault_whether_it_happened_or_not(within: Within, fault: Reset | Answer) -> None:
    async def body(one: World) -> None:
        one.proxy.fail(fault, when=is_batch)
        (cat,) = await one.store.write([classified("cat", "h1", embedding=b"\1\2")])
        assert cat is not None
        assert await one.other.look_up([cat.id], vectors=True) == {cat.id: cat}
        assert one.batches() == 2
        one.proxy.fail(fault, when=is_batch)
        (later,) = await one.store.write([replace(cat, rev=2)])
        assert await one.other.look_up([cat.id], vectors=True) == {cat.id: later}

    within(body)


@pytest.mark.parametrize("fault", [Reset(lost=True), BROKEN, THROTTLED])
def test_the_sdk_sends_no_write_again_by_itself(within: Within, fault: Reset | Answer) -> None:
    async def body(one: World) -> None:
        one.proxy.fail(fault, when=is_batch, times=None)
        with pytest.raises(Transient) as caught:
            await one.store.write([record("cat")])
        assert caught.value.unknown == (fault is not THROTTLED)
        assert one.batches() == QUICK.attempts

    within(body)


def test_throttling_slows_and_loses_nothing(within: Within) -> None:
    async def body(one: World) -> None:
        one.proxy.fail(THROTTLED, when=lambda seen: is_batch(seen) and partition_of(seen) < "80", times=None)
        wanted = [record(f"{number:03}") for number in range(60)]
        with pytest.raises(Transient) as caught:
            await one.store.write(wanted)
        assert (caught.value.throttled, caught.value.retry_after, caught.value.unknown) == (True, 0.001, False)
        one.proxy.calm()
        stored = await one.other.look_up([want.id for want in wanted])
        again = await one.store.write([want for want in wanted if want.id not in stored])
        assert None not in again
        assert sorted(stored) == sorted(want.id for want in wanted if want.id >= "80")

    within(body)


def test_one_fault_does_not_send_again_what_was_stored_beside_it(within: Within) -> None:
    async def body(one: World) -> None:
        one.proxy.fail(THROTTLED, when=is_batch, times=2)
        stored = await one.store.write([record(f"{number:03}") for number in range(40)])
        partitions = len({one.id[:2] for one in stored if one})
        assert None not in stored
        assert one.batches() == partitions + 2

    within(body)


def test_a_scan_that_breaks_goes_on_behind_the_last_name(within: Within) -> None:
    async def body(one: World) -> None:
        names = [f"{number:05}" for number in range(1100)]
        await one.store.write([record(name) for name in names])
        found: list[str] = []
        async for batch in one.store.scan(SOURCE):
            found += [one.name for one in batch]
            one.proxy.fail(Reset(lost=True), when=is_query)
            one.proxy.fail(THROTTLED, when=is_query)
        assert found == names

    within(body)


@pytest.mark.parametrize("fault", [Reset(lost=True), BROKEN])
def test_a_document_that_was_put_and_whose_answer_was_lost_is_ours(within: Within, fault: Reset | Answer) -> None:
    async def body(one: World) -> None:
        for number, version in enumerate([None, True, True]):
            before = await one.store.get(Scan, "key")
            one.proxy.fail(fault, when=lambda seen: is_document(seen) and seen.method in ("POST", "PUT"))
            now = await one.store.put("key", Scan(fence=number), before[1] if before and version else None)
            assert await one.other.get(Scan, "key") == (Scan(fence=number), now)

    within(body)


def test_a_document_that_another_put_meanwhile_is_not_ours(within: Within) -> None:
    async def body(one: World) -> None:
        version = await one.other.put("key", Lease("we", 1, NOON), None)
        await one.other.put("key", Lease("they", 2, NOON), version)
        one.proxy.fail(BROKEN, when=is_document)
        with pytest.raises(Conflict, match="put Lease key"):
            await one.store.put("key", Lease("we", 1, NOON), version)
        one.proxy.fail(BROKEN, when=is_document)
        with pytest.raises(Conflict, match="put Lease key"):
            await one.store.put("key", Lease("we", 1, NOON), None)

    within(body)


def test_removing_twice_because_the_answer_was_lost_is_removing(within: Within) -> None:
    async def body(one: World) -> None:
        version = await one.store.put("key", Scan(), None)
        one.proxy.fail(Reset(lost=True), when=lambda seen: seen.method == "DELETE")
        await one.store.remove(Scan, "key", version)
        assert await one.other.get(Scan, "key") is None

    within(body)


def test_what_is_found_again_after_many_copies_is_every_hash(within: Within) -> None:
    async def body(one: World) -> None:
        await one.store.write([classified(f"copy {number:04}", "h1") for number in range(700)])
        others = [f"other {number}" for number in range(30)]
        await one.store.write([classified(name, f"hash of {name}", embedding=b"\1") for name in others])
        hashes = ["h1", *(f"hash of {name}" for name in others)]
        found = await one.store.answers([*hashes, "h3"], "asked 1")
        assert sorted(found) == sorted(hashes)
        assert found["hash of other 7"].analysis == analysis(b"\1")

    within(body)


def test_an_item_that_is_too_large_is_named(within: Within) -> None:
    async def body(one: World) -> None:
        (cat,) = await one.store.write([classified("cat", "h1")])
        assert cat is not None
        too_large = Answer(413, {}, b'{"message": "Request size is too large"}')
        one.proxy.fail(too_large, when=lambda seen: is_batch(seen) and b"dog.jpg" in seen.body)
        with pytest.raises(StorageFailed, match=r"write dog\.jpg.*2 MB"):
            await one.store.write([classified("cow", "h2"), classified("dog.jpg", "h3")])
        assert len(await one.other.look_up([record("cow").id, record("dog.jpg").id])) == 1

    within(body)


def test_every_request_is_metered_refused_ones_too(within: Within) -> None:
    async def body(one: World) -> None:
        assert isinstance(one.store, Metered)
        before = one.store.spent()
        one.proxy.fail(Answer(429, {"x-ms-retry-after-ms": "1", "x-ms-request-charge": "0.38"}, b"{}"), when=is_batch)
        await one.store.write([record("cat")])
        assert one.store.spent() - before == pytest.approx(1.38)

    within(body)


def test_losing_to_another_writer_costs_nobody_else(within: Within) -> None:
    async def body(one: World) -> None:
        wanted = [replace(record(f"{number:03}"), id=f"00{number:03}") for number in range(90)]
        stored = [found for found in await one.store.write(wanted) if found]
        await one.other.write([replace(found, rev=7) for found in stored[::3]])
        one.proxy.seen.clear()
        results = await one.store.write([replace(found, outcome=Outcome.DEAD) for found in stored])
        assert [number for number, found in enumerate(results) if found is None] == list(range(0, 90, 3))
        assert one.batches() == 2

    within(body)


def test_nothing_is_created_by_opening(run: Run, cosmos: str) -> None:
    async def opened() -> None:
        async with open_cosmos(fresh(cosmos), KEYED, policy=QUICK):
            pass

    for _ in range(2):
        with pytest.raises(Misconfigured, match="index create"):
            run(opened())


def test_creating_makes_what_is_missing_and_only_that(run: Run, cosmos: str) -> None:
    location = fresh(cosmos)
    database = location.rpartition("/")[2]

    async def body() -> None:
        assert await create_cosmos(location, KEYED, max_ru=4000) == [database, "records", "state"]
        assert await create_cosmos(location, KEYED) == []
        async with CosmosClient(cosmos, KEY, enable_endpoint_discovery=False) as client:
            containers = client.get_database_client(database)
            assert (await containers.get_container_client("records").read())["indexingPolicy"] == index_policy("records")
            await containers.delete_container("records")
        assert await create_cosmos(location, KEYED) == ["records"]

    run(body())


def test_two_that_create_at_once_both_succeed(run: Run, cosmos: str) -> None:
    location = fresh(cosmos)

    async def body() -> None:
        made = await asyncio.gather(*(create_cosmos(location, KEYED) for _ in range(4)))
        assert sorted(name for names in made for name in names) == sorted([location.rpartition("/")[2], "records", "state"])

    run(body())


def test_a_store_that_is_not_ours_is_refused(run: Run, cosmos: str) -> None:
    location = fresh(cosmos)

    async def body() -> None:
        async with CosmosClient(cosmos, KEY, enable_endpoint_discovery=False) as client:
            database = await client.create_database(location.rpartition("/")[2])
            await database.create_container("records", PartitionKey("/tenant"))
        with pytest.raises(Misconfigured, match=r"partitioned by /tenant and not by /bucket"):
            await create_cosmos(location, KEYED)

    run(body())


def test_a_newer_store_is_refused(run: Run, cosmos: str) -> None:
    location = fresh(cosmos)

    async def body() -> None:
        await create_cosmos(location, KEYED)
        async with CosmosClient(cosmos, KEY, enable_endpoint_discovery=False) as client:
            state = client.get_database_client(location.rpartition("/")[2]).get_container_client("state")
            await state.upsert_item({"id": "schema", "part": "schema", "schema": 2})
        for use in (open_cosmos(location, KEYED).__aenter__, lambda: create_cosmos(location, KEYED)):
            with pytest.raises(Misconfigured, match=r"newer imagesweep \(schema 2"):
                await use()

    run(body())


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(401, Misconfigured, "IMAGESWEEP_COSMOS_KEY"), (403, Misconfigured, "Built-in Data Contributor"), (503, Transient, "503")],
)
def test_an_account_that_refuses_says_why(run: Run, cosmos: str, status: int, error: type[Exception], words: str) -> None:
    async def body() -> None:
        async with proxy(cosmos) as passing:
            location = fresh(cosmos).replace(cosmos, passing.url)
            passing.fail(Answer(status, {}, b'{"message": "no"}'), times=None)
            async with open_cosmos(location, KEYED, policy=QUICK):
                pass

    with pytest.raises(error, match=words):
        run(body())
