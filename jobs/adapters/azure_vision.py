"""AI Vision, Image Analysis 4.0, as a classifier: one paid call an image."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from azure.ai.vision.imageanalysis.aio import ImageAnalysisClient
from azure.ai.vision.imageanalysis.models import VisualFeatures
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from pydantic_core import from_json

from jobs.adapters.azure_http import request_id
from jobs.adapters.azure_vision_errors import UNREADABLE_URL, translated
from jobs.adapters.azure_vision_http import Credential, endpoint, pipeline
from jobs.adapters.azure_vision_image import Preparation, orientation, preparing
from jobs.adapters.azure_vision_links import Links
from jobs.adapters.azure_vision_mapping import Json, lying, mapped
from jobs.errors import Misconfigured, Rejected, Transient
from jobs.model import Analysis, Facts, Image
from jobs.steps import Done, Door, Ready, Step, finished

API_VERSION: Final = "2023-10-01"
_BYTES: Final = {"Content-Type": "application/octet-stream"}
NO_IMAGE: Final = b"imagesweep check"
FEATURES: Final = {feature.value.lower(): feature.value for feature in VisualFeatures}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of each image; `features` as the service writes them, ascending."""

    features: tuple[str, ...]
    language: str = "en"
    model: str = "latest"
    gender_neutral: bool = False

    @property
    def asked(self) -> str:
        """The part of the fingerprint that is the question's."""
        neutral = "+gender-neutral" if self.gender_neutral else ""
        return f"azure-vision:{self.model}:{','.join(self.features)}:{self.language}{neutral}"

    def path(self) -> str:
        """Return the address that it is asked at, below that of the SDK's client."""
        query = {
            "api-version": API_VERSION,
            "features": ",".join(self.features),
            "language": self.language,
            "model-version": self.model,
        }
        if self.gender_neutral:
            query["gender-neutral-caption"] = "true"
        return f"/imageanalysis:analyze?{urlencode(query, safe=',')}"


def features(names: Sequence[str]) -> tuple[str, ...]:
    """Return the features by the service's own names, each once, ascending. Raises Misconfigured for unknown or no names."""
    known = {FEATURES.get(name.lower(), "") for name in names}
    if not known or "" in known:
        cause = f"{', '.join(names) or 'nothing'} is not a list of features"
        raise Misconfigured("read", "IMAGESWEEP_VISION_FEATURES", cause, hint=f"Known: {', '.join(sorted(FEATURES.values()))}.")
    return tuple(sorted(known))


class AzureVision:
    """A classifier that costs `price` a call. Facts are the same as a local model tells of the same bytes."""

    def __init__(
        self,
        clients: Mapping[Door, ImageAnalysisClient],
        question: Question,
        *,
        preparation: Preparation,
        threads: ThreadPoolExecutor,
        price: float,
        links: Links | None = None,
    ) -> None:
        self.asked = question.asked + ("+fit" if preparation.fit else "")
        self.limits = preparation.limits
        self.price = price
        self._clients = dict(clients)
        self._doors = tuple(clients)
        self._question = question
        self._path = question.path()
        self._preparation = preparation
        self._threads = threads
        self._links = links

    async def classify(self, image: Image) -> Analysis:
        """Analyse one image, in one call; a link that the service cannot read costs a second one, with the bytes."""
        return await finished(await self.prepare(image))

    async def prepare(self, image: Image) -> Step[Analysis]:
        """Look at the image, and sign a link to it where it is to be sent as one; its own faults are told before the call.

        An answer about another version than the one that a link was meant for is refused as Changed or Gone.
        """
        if self._preparation.light(image):
            facts, data = self._prepared(image)
        else:
            facts, data = await asyncio.get_running_loop().run_in_executor(self._threads, self._prepared, image)
        url = await self._links.link(image) if self._links and data is image.data else None
        if url is None:
            return Ready(self.price, partial(self._by_bytes, image, data, facts), self._doors)
        return Ready(self.price, partial(self._by_link, image, url, facts), self._doors)

    async def _by_bytes(self, image: Image, data: bytes, facts: Facts, door: Door) -> Step[Analysis]:
        return Done(_told(image.name, await self._analyse(image.name, data, door), facts, data))

    async def check(self) -> str:
        """Send what is no image. It is refused before any work, so it costs nothing, and only after address, right and question."""
        for door in self._doors:
            with suppress(Rejected):
                await self._analyse("what is no image", NO_IMAGE, door)
        several = f"{len(self._doors)} resources take" if len(self._doors) > 1 else "it takes"
        return f"{several} requests for {', '.join(self._question.features)}; no call was made, --pay makes one"

    async def _by_link(self, image: Image, url: str, facts: Facts, door: Door) -> Step[Analysis]:
        assert self._links is not None
        try:
            found = await self._analyse(image.name, url, door)
        except Rejected as error:
            if error.failure_class == UNREADABLE_URL:
                return Ready(self.price, partial(self._by_bytes, image, image.data, facts), self._doors)
            await self._links.check(image)
            raise
        await self._links.check(image)
        return Done(_told(image.name, found, facts, image.data))

    def _prepared(self, image: Image) -> tuple[Facts, bytes]:
        facts = self._preparation.facts(image)
        return facts, self._preparation.sendable(image, facts)

    async def _analyse(self, name: str, image: bytes | str, door: Door) -> Json:
        """Make the call, with the bytes of an image or a link to it.

        The SDK's own `analyze` makes objects of the answer, as much time as the request, that convert each value at each look.
        """
        body: dict[str, Any] = {"json": {"url": image}} if isinstance(image, str) else {"content": image, "headers": _BYTES}
        request = HttpRequest("POST", self._path, **body)
        with _expected(name), translated("classify", name):
            response = await self._clients[door].send_request(request, request_id=request_id())
            if response.status_code != 200:  # noqa: PLR2004
                raise HttpResponseError(response=response)
            return _read(response.content)


def _told(name: str, found: Json, facts: Facts, seen: bytes) -> Analysis:
    """Return the analysis that an answer about the bytes that the service saw stands for."""
    with _expected(name):
        turned = orientation(seen) if lying(found, facts) else 1
        return mapped(found, facts, orientation=turned)


def _read(body: bytes) -> Json:
    content = from_json(body)
    if not isinstance(content, dict):
        raise TypeError(f"{type(content).__name__} instead of an object")
    return content


@contextmanager
def _expected(name: str) -> Iterator[None]:
    """Name an answer of status 200 that is not what it should be. It was paid for, in all likelihood."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        cause = f"the answer is not that of AI Vision: {error!r}"
        raise Transient("classify", name, cause, unknown=True, failure_class="bad-answer") from error


@asynccontextmanager
async def open_azure_vision(
    location: str,
    question: Question,
    *,
    credential: Credential,
    preparation: Preparation,
    price: float,
    workers: int = 0,
    links: Links | None = None,
) -> AsyncIterator[AzureVision]:
    """Open the resource at `location`, or several with commas between, as a classifier; `#20` behind one is its calls a second.

    Images are prepared by `workers` threads (0: one for each core). Raises Misconfigured where several would not answer alike.
    """
    doors = _doors(location, question)
    async with AsyncExitStack() as stack:
        clients = {}
        for door in doors:
            address = endpoint(door.name, credential)
            way = await stack.enter_async_context(pipeline(credential))
            clients[door] = await stack.enter_async_context(ImageAnalysisClient(address, credential, **way))
        with preparing(workers) as threads:
            yield AzureVision(clients, question, preparation=preparation, threads=threads, price=price, links=links)


def _doors(location: str, question: Question) -> tuple[Door, ...]:
    """Return the resources of a location."""
    doors = []
    for one in filter(None, (part.strip() for part in location.split(","))):
        address, _, rate = one.partition("#")
        try:
            per_second = float(rate) if rate else None
        except ValueError:
            per_second = math.nan
        if per_second is not None and not 0 < per_second < math.inf:
            hint = "It reads https://RESOURCE#20 for 20 calls a second."
            raise Misconfigured("open", one, f"{rate!r} is no rate", hint=hint)
        doors.append(Door(address, per_second))
    if len({door.name for door in doors}) < len(doors):
        raise Misconfigured("open", location, "a resource is named twice", hint="Name each once.")
    if len(doors) > 1 and question.model == "latest":
        cause = "several resources may have different models under `latest`"
        raise Misconfigured("open", location, cause, hint="Set IMAGESWEEP_VISION_MODEL to a date that all of them have.")
    return tuple(doors)
