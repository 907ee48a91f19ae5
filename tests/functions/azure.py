"""The Azure deployment on this machine: Azurite for blobs and queue, a Cosmos DB server, stand-ins for AI Vision and AI Search."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from azure.core.credentials import AzureKeyCredential
from azure.storage.blob.aio import ContainerClient

from jobs.adapters.cosmos_containers import create_cosmos
from search.azure_index.life import create_azure_search
from search.azure_index.place import Place
from tests.servers import azurite, cosmos
from tests.servers.node import free_port, installed, started
from tests.standins import vision


@contextmanager
def queue_server(folder: Path) -> Iterator[str]:
    """Run Azurite's queue service until the body is done; yield a connection string."""
    port = free_port()
    command = [
        "node", str(installed() / "azurite/dist/src/queue/main.js"), "--inMemoryPersistence", "--silent", "--disableTelemetry",
        "--skipApiVersionCheck", "--queueHost", "127.0.0.1", "--queuePort", str(port),
    ]  # fmt: skip
    with started(command, port, log=folder / "queue.log"):
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={azurite.ACCOUNT};AccountKey={azurite.KEY};"
            f"QueueEndpoint=http://127.0.0.1:{port}/{azurite.ACCOUNT};"
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the parts are, and the settings that join them."""

    container: str
    settings: Mapping[str, str]


async def deploy(addresses: Mapping[str, str], blobs: Mapping[str, bytes]) -> Deployment:
    """Fill a new container, create store and index; `addresses` are of blob, queue, cosmos, vision and search."""
    container = f"functions-{uuid.uuid4().hex}"
    location = cosmos.fresh(addresses["cosmos"])
    index = f"{addresses['search']}/i{uuid.uuid4().hex[:12]}"
    await create_cosmos(location, AzureKeyCredential(cosmos.KEY))
    await create_azure_search(Place.parse(index), AzureKeyCredential("admin"), dimensions=None)
    await fill(addresses["blob"], container, blobs)
    settings = {
        "IMAGESWEEP_SOURCE": f"azure-blob:{addresses['blob']}/{container}",
        "IMAGESWEEP_BLOB_KEY": azurite.KEY,
        "IMAGESWEEP_CLASSIFIER": f"azure-vision:{addresses['vision']}",
        "IMAGESWEEP_VISION_KEY": vision.KEY,
        "IMAGESWEEP_VISION_COLOURS": "false",
        "IMAGESWEEP_STORE": f"cosmos:{location}",
        "IMAGESWEEP_COSMOS_KEY": cosmos.KEY,
        "IMAGESWEEP_INDEX": f"azure-search:{index}",
        "IMAGESWEEP_SEARCH_KEY": "admin",
        "AzureWebJobsStorage": addresses["queue"],
    }
    return Deployment(container, settings)


async def fill(endpoint: str, container: str, blobs: Mapping[str, bytes]) -> None:
    """Put blobs into a container, which is made where it is missing and may be read by all."""
    who = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
    slots = asyncio.Semaphore(16)

    async with ContainerClient(endpoint, container, credential=who) as client:
        if not await client.exists():
            await client.create_container(public_access="container")

        async def put(name: str, data: bytes) -> None:
            async with slots:
                await client.upload_blob(name, data, overwrite=True)

        await asyncio.gather(*(put(name, data) for name, data in blobs.items()))
