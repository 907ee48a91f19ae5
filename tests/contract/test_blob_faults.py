"""What goes wrong between us and Blob Storage, made to go wrong by a proxy before the emulator."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.storage.blob.aio import ContainerClient

from jobs.adapters.azure_blob import AzureBlobSource, open_azure_blob
from jobs.choose import chooser
from jobs.errors import Changed, Misconfigured, Rejected, SweepError, Transient
from jobs.model import Blob
from tests.conftest import Run
from tests.contract.source_worlds import azure_blob_world
from tests.servers.azurite import ACCOUNT, KEY
from tests.servers.proxy import Answer, Cut, Edit, Fault, Proxy, Reset, Stall, proxy

pytestmark = pytest.mark.servers
DATA = bytes(range(256)) * 1000


@asynccontextmanager
async def opened(endpoint: str, *, key: str = KEY, seconds: float = 30) -> AsyncIterator[tuple[Proxy, AzureBlobSource]]:
    """A container with one blob, seen through a proxy."""
    upstream = endpoint.rpartition("/")[0]
    async with proxy(upstream) as passing:
        client = {"account_name": ACCOUNT, "account_key": KEY}
        container = f"faults{time.monotonic_ns()}"
        async with (
            ContainerClient(endpoint, container, credential=client) as direct,
            open_azure_blob(f"{passing.url}/{ACCOUNT}/{container}", AzureKeyCredential(key), seconds=seconds) as source,
        ):
            await direct.create_container()
            await direct.upload_blob("a.jpg", DATA)
            yield passing, source


async def listed(source: AzureBlobSource) -> list[Blob]:
    return [blob async for page in source.pages() for blob in page.blobs]


async def _list(source: AzureBlobSource, _: Blob) -> object:
    return await listed(source)


async def _read(source: AzureBlobSource, blob: Blob) -> object:
    return await source.read(blob)


async def _head(source: AzureBlobSource, blob: Blob) -> object:
    return await source.head(blob.name)


async def _now(source: AzureBlobSource, _: Blob) -> object:
    return await source.now()


OPERATIONS: dict[str, Callable[[AzureBlobSource, Blob], Awaitable[object]]] = {
    "list": _list,
    "read": _read,
    "head": _head,
    "now": _now,
}


def raised(run: Run, endpoint: str, fault: Fault, operation: str, *, times: int | None = None, seconds: float = 30) -> SweepError:
    """Return what an operation raises under a fault; afterwards it must work again."""

    async def scenario() -> SweepError:
        async with opened(endpoint, seconds=seconds) as (passing, source):
            [blob] = await listed(source)
            passing.fail(fault, times=times)
            with pytest.raises(SweepError) as caught:
                await OPERATIONS[operation](source, blob)
            passing.calm()
            assert await source.read(blob) == DATA
            return caught.value

    return run(scenario())


def coded(status: int, code: str, **headers: str) -> Answer:
    return Answer(status, {"x-ms-error-code": code, **headers}, b"<Error/>")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (coded(503, "ServerBusy", **{"Retry-After": "7"}), 7.0),
        (coded(503, "ServerBusy"), None),
        (coded(429, "TooManyRequests", **{"Retry-After": "0.5"}), 0.5),
        (coded(429, "TooManyRequests", **{"Retry-After": "soon"}), None),
    ],
)
def test_being_throttled_says_how_long_to_wait(
    run: Run, azurite_endpoint: str, operation: str, fault: Answer, wait: float | None
) -> None:
    error = raised(run, azurite_endpoint, fault, operation)
    assert isinstance(error, Transient)
    assert error.throttled
    assert error.retry_after == wait


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "fault", [coded(500, "InternalError"), Answer(502, {}, b"<html/>"), Answer(504), Reset(), Reset(lost=True)]
)
def test_passing_faults_are_transient(run: Run, azurite_endpoint: str, operation: str, fault: Fault) -> None:
    error = raised(run, azurite_endpoint, fault, operation)
    assert isinstance(error, Transient)
    assert not error.throttled


@pytest.mark.parametrize("operation", ["list", "read"])
@pytest.mark.parametrize("fault", [Cut(0), Cut(100), Stall(), Stall(100)])
def test_bodies_that_break_off_or_stall_are_transient(run: Run, azurite_endpoint: str, operation: str, fault: Fault) -> None:
    assert isinstance(raised(run, azurite_endpoint, fault, operation, seconds=0.5), Transient)


def test_each_request_is_sent_once(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint) as (passing, source):
            [blob] = await listed(source)
            before = len(passing.seen)
            passing.fail(coded(503, "ServerBusy"), times=None)
            for operation in OPERATIONS.values():
                with pytest.raises(Transient):
                    await operation(source, blob)
            assert len(passing.seen) - before == len(OPERATIONS)

    run(scenario())


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (coded(403, "AuthenticationFailed"), "IMAGESWEEP_BLOB_KEY"),
        (coded(403, "AuthorizationFailure"), "firewall"),
        (coded(403, "KeyBasedAuthenticationNotPermitted"), "takes no keys"),
        (coded(401, "NoAuthenticationInformation"), "az login"),
        (coded(409, "PublicAccessNotPermitted"), "az login"),
        (coded(409, "ContainerBeingDeleted"), "being deleted"),
        (Answer(403), "Storage Blob Data Reader"),
        (Answer(404, {}, b"<html/>"), "does not answer as Blob Storage"),
        (Answer(307, {"Location": "http://127.0.0.1:1/elsewhere"}), "redirects"),
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_wrong_for_every_blob_stops_the_run(
    run: Run, azurite_endpoint: str, fault: Answer, hint: str, operation: str
) -> None:
    error = raised(run, azurite_endpoint, fault, operation)
    assert isinstance(error, Misconfigured)
    assert hint in error.hint


def test_a_missing_role_stops_the_run_but_one_forbidden_blob_does_not(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint) as (passing, source):
            forbidden = coded(403, "AuthorizationPermissionMismatch")
            passing.fail(forbidden)
            with pytest.raises(Misconfigured, match="Storage Blob Data Reader"):
                await source.now()
            [blob] = await listed(source)
            passing.fail(forbidden)
            with pytest.raises(Transient) as caught:
                await source.read(blob)
            assert caught.value.failure_class == "forbidden"
            passing.fail(forbidden)
            with pytest.raises(Misconfigured):
                await listed(source)

    run(scenario())


@pytest.mark.parametrize("code", ["BlobArchived", "BlobBeingRehydrated"])
def test_an_archived_blob_waits_and_is_not_tried_again_in_place(run: Run, azurite_endpoint: str, code: str) -> None:
    error = raised(run, azurite_endpoint, coded(409, code), "read")
    assert isinstance(error, Transient)
    assert error.failure_class == "archived"
    assert error.retry_after is not None
    assert error.retry_after > 3600


def test_a_name_that_the_service_refuses_is_the_blobs_own_fault(run: Run, azurite_endpoint: str) -> None:
    error = raised(run, azurite_endpoint, coded(400, "InvalidUri"), "read")
    assert isinstance(error, Rejected)
    assert error.failure_class == "name"


def test_bytes_of_another_version_are_not_taken(run: Run, azurite_endpoint: str) -> None:
    def older(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return status, {**headers, "ETag": '"0xOLD"'}, body

    error = raised(run, azurite_endpoint, Edit(older), "read")
    assert isinstance(error, Changed)


@pytest.mark.parametrize("length", [10, 1_000_000])
def test_bytes_too_few_or_too_many_are_not_taken(run: Run, azurite_endpoint: str, length: int) -> None:
    error = raised(run, azurite_endpoint, Edit(lambda status, headers, _: (status, headers, b"x" * length)), "read")
    assert isinstance(error, Transient)


def test_a_wrong_key_and_one_that_is_none_are_told_apart_from_nothing_there(run: Run, azurite_endpoint: str) -> None:
    async def scenario(key: str) -> SweepError:
        async with opened(azurite_endpoint, key=key) as (_, source):
            with pytest.raises(Misconfigured) as caught:
                await listed(source)
            assert key not in str(caught.value)
            return caught.value

    assert "IMAGESWEEP_BLOB_KEY" in run(scenario(base64.b64encode(b"not the key").decode())).hint
    assert "base64" in run(scenario("abcde")).cause


def test_a_missing_container_is_the_settings_fault(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        async with open_azure_blob(f"{azurite_endpoint}/nothing-here", AzureKeyCredential(KEY)) as source:
            for operation in (source.now(), listed(source), source.head("a.jpg")):
                with pytest.raises(Misconfigured, match=r"ContainerNotFound|404"):
                    await operation

    run(scenario())


def test_an_account_that_does_not_exist_and_one_that_does_not_answer(run: Run) -> None:
    async def scenario() -> None:
        async with open_azure_blob("https://imagesweep-no-such-account.invalid/photos", AzureKeyCredential(KEY)) as source:
            with pytest.raises(SweepError) as caught:
                await source.now()
            assert isinstance(caught.value, Misconfigured)
            assert "account" in caught.value.hint
        async with open_azure_blob(f"http://127.0.0.1:1/{ACCOUNT}/photos", AzureKeyCredential(KEY)) as source:
            with pytest.raises(Transient, match="no connection"):
                await source.now()

    run(scenario())


def test_an_endpoint_that_speaks_no_tls_is_the_settings_fault(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        address = azurite_endpoint.replace("http:", "https:")
        async with open_azure_blob(f"{address}/photos", AzureKeyCredential(KEY)) as source:
            with pytest.raises(Misconfigured, match="TLS"):
                await source.now()

    run(scenario())


def test_what_is_chosen_out_is_odd_and_excluded_folders_are_not_listed(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        async with azure_blob_world(azurite_endpoint) as world:
            for name in ("a.jpg", "a.txt", "thumbs/x/1.jpg", "thumbs/y.jpg", "z.jpg"):
                await world.put(name, b"x")
            address = world.source().key.removeprefix("azure-blob:")
            choice = chooser(["*.jpg"], ["thumbs/**"])
            async with open_azure_blob(address, AzureKeyCredential(KEY), choose=choice, page=1, per_request=2) as source:
                pages = [page async for page in source.pages()]
            assert [blob.name for page in pages for blob in page.blobs] == ["a.jpg", "z.jpg"]
            assert [odd.name for page in pages for odd in page.odd] == ["a.txt"]
            assert pages[-1].last == "z.jpg"

    run(scenario())


def test_a_prefix_bounds_the_listing_and_the_names_stay_whole(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        async with azure_blob_world(azurite_endpoint) as world:
            for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
                await world.put(name, b"x")
            whole = world.source()
            async with open_azure_blob(f"{whole.key.removeprefix('azure-blob:')}/a/", AzureKeyCredential(KEY)) as part:
                assert part.key == whole.key
                assert [blob.name for blob in await listed(part)] == ["a/1.jpg", "a/2.jpg"]
                assert await listed(part) == [blob async for page in whole.pages(prefix="a/") for blob in page.blobs]
                assert [blob.name async for page in part.pages(prefix="a/2") for blob in page.blobs] == ["a/2.jpg"]
                assert [page async for page in part.pages(prefix="b/")] == []
                assert await part.head("b/1.jpg") is None

    run(scenario())


def test_metadata_and_tags_come_with_the_listing_and_with_the_head(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        client = {"account_name": ACCOUNT, "account_key": KEY}
        async with azure_blob_world(azurite_endpoint) as world:
            address = world.source().key.removeprefix("azure-blob:")
            async with ContainerClient.from_container_url(address, credential=client) as direct:
                await direct.upload_blob("a.jpg", b"x", metadata={"Sku": "4711"}, tags={"season": "spring + summer"})
                await direct.upload_blob("b.jpg", b"x")
            key = AzureKeyCredential(KEY)
            async with open_azure_blob(address, key, metadata=True, index_tags=True) as source:
                first, second = await listed(source)
                assert dict(first.properties) == {"Sku": "4711", "season": "spring + summer"}
                assert second.properties == ()
                assert [await source.head("a.jpg"), await source.head("b.jpg")] == [first, second]
            async with open_azure_blob(address, key) as source:
                assert (await listed(source))[0].properties == ()

    run(scenario())


def test_a_link_reads_one_blob_for_a_while_and_nothing_else(run: Run, azurite_endpoint: str) -> None:
    async def scenario() -> None:
        async with opened(azurite_endpoint) as (_, source), aiohttp.ClientSession() as anyone:
            [blob] = await listed(source)
            link = await source.read_url(blob, 5)
            parameters = parse_qs(urlsplit(link).query)
            assert (parameters["sp"], parameters["sr"]) == (["r"], ["b"])
            async with anyone.get(link) as answer:
                assert (answer.status, await answer.read()) == (200, DATA)
            async with anyone.delete(link) as answer:
                assert answer.status == 403
            async with anyone.get(link.replace("a.jpg", "b.jpg")) as answer:
                assert answer.status == 403
            expired = await source.read_url(blob, -1)
            async with anyone.get(expired) as answer:
                assert answer.status == 403

    run(scenario())
