"""The function app in the real runtime over the Azure profile: Azurite, a Cosmos DB server, and stand-ins for the rest."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import TextBase64DecodePolicy
from azure.storage.queue.aio import QueueClient
from PIL import Image

from jobs.adapters.azure_queue import open_azure_queue
from jobs.app.desk import CONNECTION, QUEUE, desk
from jobs.errors import Misconfigured, Transient
from jobs.model import Outcome
from jobs.retry import Policy
from jobs.settings import load
from tests.conftest import Run
from tests.functions.azure import Deployment, deploy, fill, queue_server
from tests.functions.host import ROOT, Host
from tests.functions.queue import MemoryQueue
from tests.functions.test_events import event
from tests.servers import azurite
from tests.standins.serve import spawned

pytestmark = pytest.mark.servers


@pytest.fixture(scope="session")
def queues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with queue_server(tmp_path_factory.mktemp("queue")) as connection:
        yield connection


@pytest.fixture(scope="session")
def addresses(azurite_endpoint: str, cosmos: str, queues: str) -> Iterator[Mapping[str, str]]:
    """Where all parts are."""
    with ExitStack() as stack:
        vision = stack.enter_context(spawned("tests.standins.vision", "fast"))
        search = stack.enter_context(spawned("tests.standins.search"))
        yield {"blob": azurite_endpoint, "cosmos": cosmos, "queue": queues, "vision": vision, "search": search}


def photos(number: int) -> dict[str, bytes]:
    """Return so many small JPEGs that are all different."""
    return {f"album-{n % 7}/{n:05}.jpg": photo(n) for n in range(number)}


def photo(seed: int) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (64, 64), hashlib.sha256(b"%d" % seed).digest() * 384).save(file, "JPEG")
    return file.getvalue()


def counts(addresses: Mapping[str, str], method: str = "GET") -> dict[str, Any]:
    """Return what AI Vision was paid for; DELETE forgets it."""
    request = urllib.request.Request(f"{addresses['vision']}/_control", method=method)  # noqa: S310 ours
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return json.loads(answer.read())  # type: ignore[no-any-return]


@pytest.fixture
def deployed(
    run: Run, addresses: Mapping[str, str], host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """A deployment with 40 photos, and the settings of it."""
    del host
    found = run(deploy(addresses, photos(40)))
    for name in [*os.environ]:
        if name.startswith("IMAGESWEEP_"):
            monkeypatch.delenv(name)
    for name, value in {**found.settings, "IMAGESWEEP_SLICE_SECONDS": "0.6", "IMAGESWEEP_PAGE": "8"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    counts(addresses, "DELETE")
    yield found

    async def close() -> None:
        await desk().close()

    run(close())


async def _deliver(host: Host, connection: str) -> int:
    """Deliver what is on the queue until there is nothing; return how many messages there were."""
    number = 0
    async with QueueClient.from_connection_string(connection, QUEUE, message_decode_policy=TextBase64DecodePolicy()) as client:
        while (message := await client.receive_message(visibility_timeout=60)) is not None:
            await host.message("continue_sweep", message.content)
            await client.delete_message(message)
            number += 1
    return number


async def _outcomes() -> dict[str, Outcome | None]:
    source = await desk().source(desk().sources[0])
    return {one.name: one.outcome async for batch in (await desk().store()).scan(source.key) for one in batch}


async def _indexed() -> set[str]:
    source = await desk().source(desk().sources[0])
    return {name async for batch in (await desk().index()).revisions(source.key) for name, _, _ in batch}


def test_a_night_on_azure_goes_from_the_timer_over_slices_and_messages_to_the_end(
    run: Run, host: Host, deployed: Deployment, addresses: Mapping[str, str]
) -> None:
    del deployed
    run(host.timer("nightly_sweep"))
    messages = run(_deliver(host, addresses["queue"]))
    assert messages > 0
    answer = run(host.http("get_sweep", "GET", "https://a.example/api/sweeps/all-1", params={"id": "all-1"}))
    assert (answer.status, answer.json["status"], answer.json["classified"]) == (200, "complete", 40)
    assert answer.json["ru"] > 0
    assert set(run(_outcomes()).values()) == {Outcome.CLASSIFIED}
    assert len(run(_indexed())) == 40
    assert set(counts(addresses)["paid"].values()) == {1}


def test_events_on_azure_settle_what_is_written_and_deleted(
    run: Run, host: Host, deployed: Deployment, addresses: Mapping[str, str]
) -> None:
    name, blob = "été/50% #1 a+b.jpg", addresses["blob"]
    about = {
        "data": {"url": f"{blob}/{deployed.container}/x"},
        "subject": f"/blobServices/default/containers/{deployed.container}/blobs/{name}",
    }
    run(fill(blob, deployed.container, {name: photo(9001)}))
    run(host.event("on_blob_created", event(name, **about)))
    run(host.event("on_blob_created", event(name, **about)))
    assert run(_outcomes()) == {name: Outcome.CLASSIFIED}
    assert run(_indexed()) == {name}
    run(fill(blob, deployed.container, {name: photo(9002)}))
    run(host.event("on_blob_created", event(name, **about)))
    assert set(counts(addresses)["paid"].values()) == {1}
    assert len(counts(addresses)["paid"]) == 2
    run(_delete(blob, deployed.container, name))
    run(host.event("on_blob_deleted", event(name, deleted=True, **about)))
    assert run(_outcomes()) == {name: Outcome.GONE}
    assert run(_indexed()) == set()


async def _delete(endpoint: str, container: str, name: str) -> None:
    who = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
    async with ContainerClient(endpoint, container, credential=who) as client:
        await client.delete_blob(name)


def test_health_and_audit_on_azure(run: Run, host: Host, deployed: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESWEEP_SLICE_SECONDS", "45")
    answer = run(host.http("health", "GET", "https://a.example/api/health"))
    assert (answer.status, answer.json["status"]) == (200, "ok"), answer.json
    run(host.timer("nightly_sweep"))
    names = sorted(run(_indexed()))
    assert len(names) == 40
    run(_delete(load().source.removeprefix("azure-blob:").rpartition("/")[0], deployed.container, names[0]))
    run(host.timer("weekly_audit"))
    assert run(_indexed()) == set(names[1:])
    assert run(_outcomes())[names[0]] is Outcome.GONE


@pytest.fixture(params=["memory", "azurite"])
def queue(request: pytest.FixtureRequest, run: Run) -> Iterator[Any]:
    """Queues by the contract, with a way to take what is on them."""
    if request.param == "memory":
        memory = MemoryQueue()
        yield memory.put, lambda: (memory.take() or (None,))[0]
        return
    connection = request.getfixturevalue("queues")
    name = f"q{time.monotonic_ns()}"

    async def put(message: str, *, delay: float = 0.0) -> None:
        async with open_azure_queue(name, CONNECTION, {CONNECTION: connection}) as opened:
            await opened.put(message, delay=delay)

    async def take() -> str | None:
        async with QueueClient.from_connection_string(connection, name, message_decode_policy=TextBase64DecodePolicy()) as client:
            message = await client.receive_message()
            return None if message is None else message.content

    yield put, lambda: run(take())


def test_what_is_put_is_delivered(run: Run, queue: Any) -> None:
    put, take = queue
    run(put('{"round": "all-1", "turn": 0}'))
    assert take() == '{"round": "all-1", "turn": 0}'


def test_a_delayed_message_does_not_show_before_its_time(run: Run, queues: str) -> None:
    async def put() -> str | None:
        async with open_azure_queue("delayed", CONNECTION, {CONNECTION: queues}) as opened:
            await opened.put("later", delay=3600)
        async with QueueClient.from_connection_string(queues, "delayed") as client:
            assert (await client.get_queue_properties()).approximate_message_count == 1
            message = await client.receive_message()
            return message and message.content

    assert run(put()) is None


def test_a_queue_that_cannot_be_written_says_what_to_do(run: Run, queues: str) -> None:
    async def put(connection: str) -> None:
        quick = Policy(attempts=2, base=0.01)
        async with open_azure_queue("sweep", CONNECTION, {CONNECTION: connection}, policy=quick) as opened:
            await opened.put("x")

    with pytest.raises(Misconfigured, match="Storage Queue Data Contributor"):
        run(put(queues.replace("AccountKey=E", "AccountKey=F")))
    with pytest.raises(Misconfigured, match="connection string"):
        run(put("nonsense"))
    nobody = re.sub(r"127.0.0.1:\d+", "127.0.0.1:1", queues)
    with pytest.raises(Transient):
        run(put(nobody))


def test_a_connection_that_is_not_there_is_named(run: Run) -> None:
    async def enter() -> None:
        async with open_azure_queue("sweep", CONNECTION, {}):
            pass

    with pytest.raises(Misconfigured, match="AzureWebJobsStorage__accountName"):
        run(enter())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_host_that_is_killed_in_the_middle_of_the_night_loses_nothing_and_pays_little_twice(
    run: Run, addresses: Mapping[str, str], tmp_path: Path
) -> None:
    number, concurrency, buffer = 3000, 24, 32
    deployment = run(deploy(addresses, photos(number)))
    counts(addresses, "DELETE")
    settings = {
        **{name: value for name, value in os.environ.items() if not name.startswith("IMAGESWEEP_")},
        **deployment.settings,
        "IMAGESWEEP_SLICE_SECONDS": "4",
        "IMAGESWEEP_LEASE_SECONDS": "6",
        "IMAGESWEEP_CALL_SECONDS": "2",
        "IMAGESWEEP_CONCURRENCY": str(concurrency),
        "IMAGESWEEP_WRITE_BUFFER": str(buffer),
        "IMAGESWEEP_PAGE": "100",
        "PYTHONPATH": str(ROOT),
    }
    program = [sys.executable, "-m", "tests.functions.night"]
    with subprocess.Popen([*program, "fire"], cwd=tmp_path, env=settings) as first:
        while len(counts(addresses)["paid"]) < number // 2:
            assert first.poll() is None, "it ended before it was half done"
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
    done = subprocess.run(program, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["status"] == "complete", report
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        outcomes, shown = run(_held())
        why = run(_why())
    assert Counter(outcomes.values()) == {Outcome.CLASSIFIED: number}, why
    assert shown == set(outcomes)
    paid = counts(addresses)["paid"]
    assert len(paid) == number
    twice = sum(paid.values()) - number
    assert twice <= concurrency + buffer, f"in {report['slices']} slices"


async def _why() -> Counter[str]:
    """Return why blobs were deferred."""
    source = await desk().source(desk().sources[0])
    failures = [one.failure async for batch in (await desk().store()).scan(source.key) for one in batch if one.failure]
    await desk().close()
    return Counter(f"{failure.failure_class}: {failure.reason}" for failure in failures)


async def _held() -> tuple[dict[str, Outcome | None], set[str]]:
    found = await _outcomes(), await _indexed()
    await desk().close()
    return found
