"""Requests to one container, through the pipeline of the SDK's own client: its credentials, signatures, headers and logging.

The SDK's operations above that pipeline are left out for what is done a million times: they parse listings at 3,000 names a
second, and read blobs in chunks with retries of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from azure.core.credentials import AzureKeyCredential, AzureNamedKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import AsyncPipeline
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.storage.blob.aio import ContainerClient

from jobs.adapters.azure_blob_errors import fault, translated
from jobs.adapters.azure_blob_place import Place
from jobs.adapters.azure_http import proxied, request_id
from jobs.errors import Transient

Credential = AzureKeyCredential | AsyncTokenCredential

_SMALL = 64 * 1024
"""Bytes of an error's body that are read to keep its connection; of a longer one the connection is given up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: header names in any case, and its body as it came, not decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Channel:
    """Sends requests about one container. `seconds` bounds each request with its body, and `most` the bytes of a body.

    Does not retry and follows no redirect.
    """

    def __init__(self, client: ContainerClient, place: Place, *, seconds: float) -> None:
        # The SDK has no public way to its pipeline, and its stub names the synchronous one.
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] = client._pipeline  # type: ignore[assignment]  # noqa: SLF001
        self._version = client.api_version
        self._place = place
        self._seconds = seconds
        self.proven = False
        """Whether the service has served this client before: names, certificates and identity are right."""

    async def send(
        self,
        operation: str,
        name: str = "",
        *,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (200,),
        most: int = 64 * 1024 * 1024,
    ) -> Answer:
        """Send one request about a blob, or about the container where no `name` is given. Raises our errors."""
        key = name or self._place.key
        url = self._place.url(name) + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        request = HttpRequest(method, url, headers={"x-ms-version": self._version, **(headers or {})})
        with translated(operation, key, proven=self.proven):
            async with asyncio.timeout(self._seconds):
                answer = await self._exchange(request, operation, key, most=most, accept=accept)
        if answer.status not in accept:
            raise fault(operation, key, answer.status, answer.headers, proven=self.proven)
        self.proven = True
        return answer

    async def _exchange(self, request: HttpRequest, operation: str, key: str, *, most: int, accept: Collection[int]) -> Answer:
        response: AsyncHttpResponse = (await self._pipeline.run(request, stream=True, client_request_id=request_id())).http_response
        try:
            wanted = most if response.status_code in accept else _SMALL
            body = b""
            if request.method != "HEAD" and int(response.headers.get("Content-Length", 0)) <= wanted:
                body = await _body(response, operation, key, most=wanted)
            elif response.status_code in accept and request.method != "HEAD":
                raise Transient(operation, key, f"more than the {most:,} bytes that were asked for")
        finally:
            await response.close()
        return Answer(response.status_code, response.headers, body)


async def _body(response: AsyncHttpResponse, operation: str, key: str, *, most: int) -> bytes:
    parts: list[bytes] = []
    length = 0
    async for part in response.iter_raw():
        length += len(part)
        if length > most:
            raise Transient(operation, key, f"more than the {most:,} bytes that were asked for")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@asynccontextmanager
async def open_channel(place: Place, credential: Credential, *, seconds: float) -> AsyncIterator[Channel]:
    """Open the SDK's client of a container, with its own retries off."""
    async with ContainerClient(
        place.endpoint,
        place.container,
        credential=AzureNamedKeyCredential(place.account, credential.key)
        if isinstance(credential, AzureKeyCredential)
        else credential,
        retry_total=0,
        permit_redirects=False,
        use_env_settings=proxied(),
        connection_timeout=min(20.0, seconds),
        read_timeout=seconds,
    ) as client:
        yield Channel(client, place, seconds=seconds)
