"""AI Vision's multimodal embeddings, of images and of the words to look for them by; the SDK has no client for them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import numpy as np
from azure.core import AsyncPipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest

from jobs.adapters.azure_vision_errors import translated
from jobs.adapters.azure_vision_http import Credential, endpoint, pipeline
from jobs.adapters.azure_vision_image import Preparation, preparing
from jobs.errors import Rejected, Transient
from jobs.model import Image
from jobs.steps import Done, Door, Ready, Step, finished

API_VERSION: Final = "2024-02-01"
MODEL: Final = "2023-04-15"
"""Multilingual. Vectors of the other one, 2022-04-11, cannot be compared with these."""
LENGTH: Final = 1024
NO_IMAGE: Final = b"imagesweep check"

Client = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]


class AzureVisionEmbedder:
    """An embedder that costs `price` a call; texts are embedded into the same space."""

    def __init__(self, client: Client, *, preparation: Preparation, threads: ThreadPoolExecutor, price: float) -> None:
        self.asked = f"azure-vision:{MODEL}" + ("+fit" if preparation.fit else "")
        self.limits = preparation.limits
        self.price = price
        self._client = client
        self._preparation = preparation
        self._threads = threads

    async def embed(self, image: Image) -> bytes:
        """Embed one image: 1,024 numbers."""
        return await finished(await self.prepare(image))

    async def prepare(self, image: Image) -> Step[bytes]:
        """Look at the image; its own faults are told before the call."""
        data = await asyncio.get_running_loop().run_in_executor(self._threads, self._prepared, image)
        return Ready(self.price, partial(self._embedded, image.name, data))

    async def _embedded(self, name: str, data: bytes, _: Door) -> Step[bytes]:
        headers = {"Content-Type": "application/octet-stream"}
        return Done(await self._ask("vectorizeImage", "embed", name, content=data, headers=headers))

    async def embed_text(self, text: str) -> bytes:
        """Embed some words, one to seventy of them, in any of a hundred languages; near to the images that show it."""
        return await self._ask("vectorizeText", "embed text", text, json={"text": text})

    async def check(self) -> str:
        """Send what is no image. It is refused before any work, so it costs nothing, and only after address and right."""
        headers = {"Content-Type": "application/octet-stream"}
        with suppress(Rejected):
            await self._ask("vectorizeImage", "embed", "what is no image", content=NO_IMAGE, headers=headers)
        return f"it takes requests for model {MODEL}; no call was made, --pay makes one"

    def _prepared(self, image: Image) -> bytes:
        return self._preparation.sendable(image, self._preparation.facts(image))

    async def _ask(self, action: str, operation: str, key: str, **body: Any) -> bytes:
        query = {"api-version": API_VERSION, "model-version": MODEL}
        request = HttpRequest("POST", f"/computervision/retrieval:{action}", params=query, **body)
        request.url = self._client.format_url(request.url)
        with translated(operation, key):
            response = await self._client.send_request(request)
            if response.status_code != 200:  # noqa: PLR2004
                raise HttpResponseError(response=response)
        try:
            return normalised(response.json()["vector"])
        except (LookupError, TypeError, ValueError) as error:
            cause = f"the answer is not that of AI Vision: {error!r}"
            raise Transient(operation, key, cause, unknown=True, failure_class="bad-answer") from error


def normalised(vector: list[float]) -> bytes:
    """Return a vector of 1,024 numbers as little-endian float32 of length 1. Raises ValueError for another one."""
    values = np.array(vector, dtype="<f4")
    norm = float(np.linalg.norm(values))
    if values.shape != (LENGTH,) or not math.isfinite(norm) or norm == 0.0:
        raise ValueError(f"a vector of shape {values.shape} and norm {norm}")
    return (values / norm).astype("<f4").tobytes()


@asynccontextmanager
async def open_azure_vision_embedder(
    location: str, *, credential: Credential, preparation: Preparation, price: float, workers: int = 0
) -> AsyncIterator[AzureVisionEmbedder]:
    """Open the resource at `location` as an embedder; `preparation` needs no colours."""
    address = endpoint(location, credential)
    async with pipeline(credential) as way:
        client: Client = AsyncPipelineClient(address, **way)
        with preparing(workers) as threads:
            yield AzureVisionEmbedder(client, preparation=preparation, threads=threads, price=price)
