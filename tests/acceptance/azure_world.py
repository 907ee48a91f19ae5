"""A deployment of the Azure profile that works, for tests that break one thing in it."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.storage.blob import ContainerClient
from click.testing import CliRunner

from jobs.adapters.cosmos_containers import create_cosmos
from jobs.cli import main
from search.azure_index import Place, create_azure_search
from tests.acceptance.conftest import Answer, Desk, picture
from tests.servers import azurite
from tests.servers import cosmos as cosmos_db
from tests.servers.proxy import Proxy, proxy
from tests.standins import search, vision
from tests.standins.serve import served

IMAGES = ("a.png", "b.png", "c.png")
SEARCH_KEY = AzureKeyCredential("admin")


@dataclass(slots=True)
class World:
    """What is set, and what stands behind it; a part is named by its setting."""

    settings: dict[str, str]
    container: ContainerClient
    eyes: vision.VisionStandin
    index: search.SearchService
    proxies: ExitStack

    def lead(self, part: str, change: Callable[[str], str]) -> None:
        """Set a part elsewhere: its location is changed, its kind is kept."""
        kind, _, location = self.settings[part].partition(":")
        self.settings[part] = f"{kind}:{change(location)}"

    def between(self, part: str) -> Proxy:
        """Put a proxy in front of a part."""
        scheme, _, rest = self.settings[part].partition(":")[2].partition("//")
        host, slash, path = rest.partition("/")
        passing = self.proxies.enter_context(in_between(f"{scheme}//{host}"))
        self.lead(part, lambda _: f"{passing.url}{slash}{path}")
        return passing

    def run(self, *arguments: str) -> Answer:
        """Run a command in this process, which saves its start."""
        environment = {f"IMAGESWEEP_{name.upper()}": value for name, value in self.settings.items()}
        done = CliRunner().invoke(main, arguments, env=environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)


@contextmanager
def in_between(upstream: str) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own."""
    begun = threading.Event()
    held: list[tuple[Proxy, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        end = asyncio.Event()
        async with proxy(upstream) as passing:
            held.append((passing, asyncio.get_running_loop(), end))
            begun.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(10)
    passing, loop, end = held[0]
    try:
        yield passing
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)


@contextmanager
def deployed(azurite_endpoint: str, cosmos_address: str) -> Iterator[World]:
    """Deploy it anew: container with three images, database, index, and an AI Vision that answers from the hash."""
    eyes, index = vision.VisionStandin(fast=True), search.SearchService()
    with ExitStack() as stack:
        sight = stack.enter_context(served(eyes))
        found = stack.enter_context(served(search.app(index)))
        account = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
        container = stack.enter_context(ContainerClient(azurite_endpoint, f"c{os.urandom(6).hex()}", credential=account))
        container.create_container()
        for seed, name in enumerate(IMAGES):
            container.upload_blob(name, png(seed))
        location = cosmos_db.fresh(cosmos_address)
        asyncio.run(create_cosmos(location, AzureKeyCredential(cosmos_db.KEY)))
        asyncio.run(create_azure_search(Place.parse(f"{found}/images"), SEARCH_KEY, dimensions=None))
        settings = {
            "source": f"azure-blob:{azurite_endpoint}/{container.container_name}",
            "classifier": f"azure-vision:{sight}",
            "store": f"cosmos:{location}",
            "index": f"azure-search:{found}/images",
            "blob_key": azurite.KEY,
            "vision_key": vision.KEY,
            "cosmos_key": cosmos_db.KEY,
            "search_key": SEARCH_KEY.key,
        }
        yield World(settings, container, eyes, index, stack.enter_context(ExitStack()))


@pytest.fixture
def world(azurite_endpoint: str, cosmos: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(desk.home)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # else identities are looked for in the network
    with deployed(azurite_endpoint, cosmos) as made:
        yield made


def png(seed: int) -> bytes:
    """Return a picture that no other seed gives."""
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()
