"""A small archive on the Azure profile, swept in this process, with a proxy before each service that breaks what it is told to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from azure.core.credentials import AzureKeyCredential
from azure.storage.blob.aio import ContainerClient

from jobs.adapters.azure_blob import open_azure_blob
from jobs.adapters.azure_vision import open_azure_vision
from jobs.adapters.cosmos import open_cosmos
from jobs.adapters.cosmos_containers import create_cosmos
from jobs.errors import Transient
from jobs.model import Report
from jobs.ports import Clock
from jobs.retry import Policy
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.work import Ports
from search.azure_index import Place, create_azure_search, open_azure_search
from tests.servers import azurite, cosmos
from tests.servers.proxy import Answer, Fault, Proxy, Reset, Seen, proxy
from tests.simulation.invariants import counts_add_up
from tests.standins import vision
from tests.standins.search import SearchService, app
from tests.standins.serve import served
from tests.standins.vision import VisionStandin
from tests.unit.vision_kit import QUESTION, photo, preparation

SERVICES = ("blob", "vision", "cosmos", "search")
QUICK = Policy(attempts=4, seconds=20.0, base=0.01, cap=0.05)
TERMS = Terms(
    concurrency=8,
    write_buffer=9,
    per_second=1000.0,  # begins with it, where a learned pace begins with ten
    linger=0.02,
    retry=replace(QUICK, attempts=5),
    lookback=timedelta(seconds=-30),  # nothing that a complete scan missed is listed again
)
BOUND = TERMS.concurrency + TERMS.write_buffer
DAY = timedelta(days=1)
GOOD, COPIES, PAGE = 12, 2, 5
ROUNDS = 6
"""Sweeps in quiet until there must be nothing left to do."""


@dataclass(slots=True)
class Later:
    """The store's clock, as it will be: what is deferred, claimed or leased now is due, and has ended, after a step."""

    real: Clock
    ahead: timedelta = timedelta()

    async def now(self) -> datetime:
        return await self.real.now() + self.ahead


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to some requests of one service; `when` says which may meet it, `most` how many do at most."""

    service: str
    fault: Fault
    when: Callable[[Seen], bool] = lambda _: True
    most: int = 200
    share: float = 0.3

    @property
    def done(self) -> bool:
        """Whether the service does what it is asked to, and only the answer is lost."""
        return not isinstance(self.fault, Answer | Reset) or (isinstance(self.fault, Reset) and self.fault.lost)


@dataclass(slots=True)
class World:
    """The archive, the way to it, and what was done. `opened` counts the requests before that, `met` are those that met trouble.

    `lost` counts by content the answers of AI Vision that were worked for, and never came.
    """

    images: Mapping[str, bytes]
    ports: Ports
    clock: Later
    ways: Mapping[str, Proxy]
    vision: VisionStandin
    search: SearchService
    direct: ContainerClient
    terms: Terms
    reports: list[Report] = field(default_factory=list)
    met: list[Seen] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    opened: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.opened = {name: len(way.seen) for name, way in self.ways.items()}

    def cause(self, trouble: Trouble, *, seed: int) -> None:
        """Let trouble begin: the first request that may meet it does, and of the others a share."""
        dice = random.Random(seed)
        begun = len(self.met)

        def meets(seen: Seen) -> bool:
            if not trouble.when(seen) or (len(self.met) > begun and dice.random() >= trouble.share):
                return False
            self.met.append(seen)
            if trouble.service == "vision" and trouble.done:
                self.lost[hashlib.sha256(seen.body).hexdigest()] += 1
            return True

        self.ways[trouble.service].fail(trouble.fault, when=meets, times=trouble.most)

    def calm(self) -> None:
        for way in self.ways.values():
            way.calm()

    async def sweep(self) -> Report | None:
        """Sweep a day later; None when the store was out of reach from the start."""
        self.clock.ahead += DAY
        try:
            report = await sweep(ports=self.ports, terms=self.terms)
        except Transient:
            return None
        counts_add_up(report)
        self.reports.append(report)
        return report

    async def settle(self) -> None:
        """Sweep in quiet until a sweep finds nothing to do."""
        self.calm()
        for _ in range(ROUNDS):
            report = await self.sweep()
            assert report is not None
            assert report.status == "complete", report
            if report.retried == report.calls == report.deferred == 0:
                return
        raise AssertionError(f"{ROUNDS} sweeps in quiet did not settle everything: {self.reports[-1]}")


def archive() -> dict[str, bytes]:
    """Return images by name: good ones, copies of some, one without a name that says so, and what is to be refused or skipped."""
    good = {f"album-{number % 3}/photo-{number:02}.jpg": photo(number) for number in range(GOOD)}
    copies = {f"copies/photo-{number:02}.jpg": photo(number) for number in range(COPIES)}
    odd = {
        "odd/broken.jpg": photo(100)[:200],
        "odd/empty.jpg": b"",
        "odd/nameless": photo(101),
        "odd/notes.txt": b"no image",
        "odd/small.jpg": photo(102, size=(20, 20)),
    }
    return good | copies | odd


DEAD = frozenset({"odd/broken.jpg", "odd/empty.jpg", "odd/small.jpg"})
SKIPPED = frozenset({"odd/notes.txt"})


@asynccontextmanager
async def opened(azurite_endpoint: str, cosmos_address: str, *, seconds: float = 20.0) -> AsyncIterator[World]:
    """Fill a container, create store and index, and open all four through proxies; a read or a call may take so many seconds."""
    async with AsyncExitStack() as stack:
        eyes, service = VisionStandin(fast=True), SearchService()
        addresses = {
            "blob": azurite_endpoint.rpartition("/")[0],
            "vision": stack.enter_context(served(eyes)),
            "cosmos": cosmos_address,
            "search": stack.enter_context(served(app(service))),
        }
        ways = {name: await stack.enter_async_context(proxy(addresses[name])) for name in SERVICES}
        container = f"faults-{uuid.uuid4().hex}"
        who = {"account_name": azurite.ACCOUNT, "account_key": azurite.KEY}
        direct = await stack.enter_async_context(ContainerClient(azurite_endpoint, container, credential=who))
        images = archive()
        await _fill(direct, images)
        ports, clock = await _joined(stack, ways, container, cosmos_address, seconds)
        yield World(images, ports, clock, ways, eyes, service, direct, replace(TERMS, call_seconds=seconds))


async def _fill(direct: ContainerClient, images: Mapping[str, bytes]) -> None:
    await direct.create_container()
    await asyncio.gather(*(direct.upload_blob(name, data) for name, data in images.items()))


async def _joined(
    stack: AsyncExitStack, ways: Mapping[str, Proxy], container: str, cosmos_address: str, seconds: float
) -> tuple[Ports, Later]:
    keys = {"blob": azurite.KEY, "vision": vision.KEY, "cosmos": cosmos.KEY, "search": "admin"}
    who = {name: AzureKeyCredential(key) for name, key in keys.items()}
    place = Place.parse(f"{ways['search'].url}/images")
    await create_azure_search(place, who["search"], dimensions=None)
    location = cosmos.fresh(cosmos_address)
    await create_cosmos(location, who["cosmos"])
    source = await stack.enter_async_context(
        open_azure_blob(f"{ways['blob'].url}/{azurite.ACCOUNT}/{container}", who["blob"], page=PAGE, seconds=seconds)
    )
    classifier = await stack.enter_async_context(
        open_azure_vision(ways["vision"].url, QUESTION, credential=who["vision"], preparation=preparation(colours=False), price=1.0)
    )
    through = location.replace(cosmos_address, ways["cosmos"].url)
    store = await stack.enter_async_context(open_cosmos(through, who["cosmos"], policy=QUICK))
    index = await stack.enter_async_context(open_azure_search(place, who["search"]))
    clock = Later(store)
    return Ports(source, classifier, store, store, clock, index), clock


def said(status: int, text: str, **headers: str) -> Answer:
    """Answer with an error, in a form that each of the four services might use."""
    body = {"error": {"code": str(status), "message": text}, "code": str(status), "message": text}
    return Answer(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())
