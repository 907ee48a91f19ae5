"""The guarantee while a service refuses a part of what it is asked, for a time or for good, or does not serve at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from jobs.model import blob_id
from tests.conftest import Run
from tests.faults.laws import faults
from tests.faults.world import BOUND, SERVICES, Trouble, World, opened, said
from tests.servers.proxy import Answer, Edit, Fault, Reset, Seen

pytestmark = [pytest.mark.servers, pytest.mark.slow]

BUSY = [(503, "The service is busy")]
PHOTO = "album-1/photo-07.jpg"


def ids(world: World, names: Iterable[str]) -> list[str]:
    return [blob_id(world.ports.source.key, name) for name in names]


def partly(failed: int) -> Edit:
    """Say of every other document, which was taken as all were, that it failed so."""

    def change(_: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        told: dict[str, Any] = json.loads(body)
        for one in told["value"][::2]:
            one |= {"status": False, "statusCode": failed, "errorMessage": "try again"}
        return 207, headers, json.dumps(told).encode()

    return Edit(change)


def operations(seen: Seen) -> list[Any]:
    """Return the operations of a transactional batch, none for another request."""
    found: list[Any] = json.loads(seen.body) if "x-ms-cosmos-is-batch-request" in seen.headers else []
    return found


def of_one_record(seen: Seen) -> bool:
    return "/colls/records/" in seen.path and len(operations(seen)) == 1


def refused_batch(status: int) -> Answer:
    return Answer(207, {"Content-Type": "application/json"}, json.dumps([{"statusCode": status, "requestCharge": 1}]).encode())


def is_read(seen: Seen) -> bool:
    return seen.method == "GET" and "if-match" in seen.headers


def is_progress(seen: Seen) -> bool:
    """Say whether a request moves the checkpoint or the watermark."""
    kinds = [operation.get("resourceBody", {}).get("kind") for operation in operations(seen)]
    return kinds == ["Scan"]


def many(seen: Seen) -> bool:
    return seen.path.partition("?")[0].endswith("search.index") and len(json.loads(seen.body)["value"]) > 2


PARTLY: dict[str, Trouble] = {
    "blob-412-of-reads": Trouble("blob", said(412, "", **{"x-ms-error-code": "ConditionNotMet"}), when=is_read, most=20),
    "vision-408": Trouble("vision", said(408, "The request timed out")),
    "cosmos-409-in-a-batch": Trouble("cosmos", refused_batch(409), when=of_one_record),
    "cosmos-412-in-a-batch": Trouble("cosmos", refused_batch(412), when=of_one_record),
    "cosmos-429-in-a-batch": Trouble("cosmos", refused_batch(429), when=of_one_record),
    "cosmos-449-in-a-batch": Trouble("cosmos", refused_batch(449), when=of_one_record),
    "search-207-409": Trouble("search", partly(409), when=lambda seen: "search.index" in seen.path, most=20),
    "search-207-422": Trouble("search", partly(422), when=lambda seen: "search.index" in seen.path, most=20),
    "search-207-503": Trouble("search", partly(503), when=lambda seen: "search.index" in seen.path, most=20),
    "search-413": Trouble("search", said(413, "The request is too large"), when=many, share=1.0),
}


@pytest.mark.parametrize("name", PARTLY)
def test_what_is_refused_in_part_is_settled_all_the_same(run: Run, azurite_endpoint: str, cosmos: str, name: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            world.cause(PARTLY[name], seed=1)
            for _ in range(2):
                await world.sweep()
            assert world.met
            await world.settle()
            assert await faults(world) == []

    run(scenario())


def test_a_sweep_whose_place_was_written_by_another_stops_and_the_next_goes_on(
    run: Run, azurite_endpoint: str, cosmos: str
) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            world.cause(
                Trouble("cosmos", refused_batch(412), when=partial(_after, world, "cosmos", 60, is_progress), most=3), seed=1
            )
            report = await world.sweep()
            assert report is not None
            assert report.status == "stopped"
            assert world.met
            assert "another process took the source over" in report.message
            await world.settle()
            assert await faults(world, repeats=BOUND) == []

    run(scenario())


def test_documents_that_stay_busy_are_published_by_the_next_sweep(run: Run, azurite_endpoint: str, cosmos: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            world.search.documents |= {key: 99 * BUSY.copy() for key in ids(world, list(world.images)[::2])}
            report = await world.sweep()
            assert report is not None
            assert report.status == "stopped"
            world.search.documents.clear()
            await world.settle()
            assert await faults(world) == []

    run(scenario())


def test_a_document_that_is_never_taken_is_marked_and_stops_nothing(run: Run, azurite_endpoint: str, cosmos: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            [key] = ids(world, [PHOTO])
            world.search.documents[key] = [(400, "Invalid document")] * 99
            report = await world.sweep()
            assert report is not None
            assert (report.status, report.unpublished) == ("complete", 1)
            await world.settle()
            assert await faults(world, hidden=[PHOTO]) == []

    run(scenario())


def test_an_index_that_is_full_stops_the_run_and_loses_nothing(run: Run, azurite_endpoint: str, cosmos: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            world.search.quota = 5
            report = await world.sweep()
            assert report is not None
            assert report.status == "failed"
            assert "no more documents" in report.message
            world.search.quota = None
            await world.settle()
            assert await faults(world) == []

    run(scenario())


def test_an_image_that_the_service_finds_too_large_is_a_dead_letter(run: Run, azurite_endpoint: str, cosmos: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            digest = hashlib.sha256(world.images[PHOTO]).digest()
            large = Trouble("vision", said(413, "Too large"), when=lambda seen: hashlib.sha256(seen.body).digest() == digest)
            world.cause(large, seed=1)
            await world.sweep()
            assert len(world.met) == 1
            await world.settle()
            assert await faults(world, dead=[PHOTO]) == []

    run(scenario())


OUTAGES: dict[str, Fault] = {"503": said(503, "Unavailable"), "reset": Reset()}


@pytest.mark.parametrize("name", OUTAGES)
@pytest.mark.parametrize("service", SERVICES)
def test_an_outage_stops_the_run_and_kills_nothing(run: Run, azurite_endpoint: str, cosmos: str, service: str, name: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint, cosmos) as world:
            begun = {"blob": 12, "vision": 8, "cosmos": 60, "search": 2}[service]
            away = partial(_after, world, service, begun, lambda _: True)
            world.cause(Trouble(service, OUTAGES[name], when=away, most=10_000, share=1.0), seed=1)
            first = await world.sweep()
            assert world.met
            assert first is None or service == "blob" or first.status == "stopped", first
            await world.sweep()
            await world.settle()
            assert await faults(world, repeats=2 * BOUND if service == "cosmos" else 0) == []

    run(scenario())


def _after(world: World, service: str, number: int, also: Callable[[Seen], bool], seen: Seen) -> bool:
    """Say whether so many requests went before this one, since the services were opened."""
    return len(world.ways[service].seen) - world.opened[service] > number and also(seen)
