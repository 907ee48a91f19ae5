"""The Azure profile as a stage: Azurite, a Cosmos DB server and the stand-ins, each in a process of its own."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.credentials import AzureKeyCredential
from azure.storage.blob import ContainerClient
from PIL import Image

from jobs.adapters.azure_blob import open_azure_blob
from jobs.adapters.cosmos import open_cosmos
from jobs.hashes import PREFIX
from jobs.model import Analysis, Lease
from jobs.wiring.kinds import Store
from search.azure_index import Place, open_azure_search
from tests.kills.program import environment
from tests.kills.stage import Parts, digest
from tests.servers import azurite, cosmos
from tests.standins import vision
from tests.standins.serve import spawned

LEASE = 4.0
"""Seconds of a lease: no lock of an operating system proves a run dead here, so that the next one waits for its end."""

LATENCY = 0.004
PROGRAM = Path(sys.executable).parent / "imagesweep"
SEARCH_KEY = "admin"
LOOK = 0.2
"""Seconds between two looks at the lease."""


def _jpeg(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 80, 40)).save(file, "JPEG")
    return file.getvalue()


LARGE, SMALL = _jpeg(64), _jpeg(20)


def _commented(jpeg: bytes, text: bytes) -> bytes:
    """Return the picture with a comment in it, which makes it another content."""
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


@dataclass(frozen=True, slots=True)
class Azure:
    """The servers of this profile by their addresses, and the program's settings for them."""

    home: Path
    settings: Mapping[str, str]
    vision: str
    container: ContainerClient
    during: Mapping[str, float] = field(
        default_factory=lambda: {"claim": 0.08, "answer": 0.02, "store": 0.04, "publish": 0.03, "keep": 0.02}
    )

    def put(self, name: str, data: bytes) -> None:
        self.container.upload_blob(name, data, overwrite=True)

    def picture(self, unique: bytes) -> bytes:
        return _commented(LARGE, unique)

    def bad(self, unique: bytes) -> bytes:
        return _commented(SMALL, unique)

    def refused(self, data: bytes) -> bool:
        return not data or data.endswith(SMALL[2:])

    def true(self, data: bytes, analysis: Analysis) -> bool:
        return analysis.caption == f"a picture of {digest(data)[:8]}"

    async def ready(self) -> None:
        async with self._store() as store:
            while True:
                now = await store.now()
                leases = [lease for key, lease, _ in await store.list(Lease, "") if not key.startswith(PREFIX)]
                if all(lease.expires <= now for lease in leases):
                    return
                await asyncio.sleep(LOOK)

    async def paid(self) -> Mapping[str, int]:
        counts: Mapping[str, int] = (await asyncio.to_thread(_control, self.vision))["paid"]
        return counts

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Parts]:
        place = Place.parse(self.settings["index"].partition(":")[2])
        source = self.settings["source"].partition(":")[2]
        async with (
            open_azure_blob(source, AzureKeyCredential(azurite.KEY)) as blobs,
            self._store() as store,
            open_azure_search(place, AzureKeyCredential(SEARCH_KEY)) as index,
        ):
            yield blobs, store, index

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[Store]:
        async with open_cosmos(self.settings["store"].partition(":")[2], AzureKeyCredential(cosmos.KEY)) as store:
            yield store


def _control(address: str, **terms: float) -> Mapping[str, Any]:
    body = json.dumps(terms).encode() if terms else None
    with urllib.request.urlopen(urllib.request.Request(f"{address}/_control", body), timeout=10) as answer:  # noqa: S310 our own
        told: Mapping[str, Any] = json.load(answer)
        return told


@contextmanager
def joined(home: Path, *, blobs: str, records: str, eyes: str, documents: str, **terms: str) -> Iterator[Azure]:
    """Make a stage of servers that run at these addresses: an empty container, and store and index by the command line.

    `terms` are settings besides.
    """
    home.mkdir(parents=True)
    name = f"photos-{uuid.uuid4().hex}"
    account = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
    settings = {
        "source": f"azure-blob:{blobs}/{name}",
        "blob_key": azurite.KEY,
        "classifier": f"azure-vision:{eyes}",
        "vision_key": vision.KEY,
        "vision_colours": "false",
        "store": f"cosmos:{cosmos.fresh(records)}",
        "cosmos_key": cosmos.KEY,
        "index": f"azure-search:{documents}/images",
        "search_key": SEARCH_KEY,
        "lease_seconds": str(LEASE),
        "call_seconds": "1.5",
        "calls_per_second": "1000",
        "lookback": "PT0S",  # nothing that one scan misses is found by the next
        **terms,
    }
    with ContainerClient(blobs, name, credential=account) as container:
        container.create_container()
        subprocess.run(
            [PROGRAM, "index", "create"], cwd=home, env=environment(settings), check=True, capture_output=True, timeout=60
        )
        yield Azure(home, settings, eyes, container)


@contextmanager
def azure(home: Path) -> Iterator[Azure]:
    """Start the servers, and make a stage of them."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with (
        azurite.azurite(home.parent) as blobs,
        cosmos.cosmos_server(home.parent) as records,
        spawned("tests.standins.vision", "fast") as eyes,
        spawned("tests.standins.search") as documents,
    ):
        _control(eyes, latency=LATENCY)
        with joined(home, blobs=blobs, records=records, eyes=eyes, documents=documents) as stage:
            yield stage
