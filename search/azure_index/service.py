"""One service over HTTP, through the SDK's pipeline: its credentials, connections and logging; its retries are off.

The bodies are ours. The SDK's own models cost more time than the documents; it takes a 207 for a success, loses its way when it
halves a batch (it calls itself with an argument that it does not have), and raises a bare DecodeError for a proxy's page.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import HttpRequest
from azure.search.documents.aio import SearchClient

from jobs.errors import Transient
from jobs.retry import Policy, retry
from search.azure_index.errors import refusal, translated
from search.azure_index.place import Place

VERSION = "2026-04-01"
"""The version of the service's interface: the first with aliases."""

SECONDS = 60.0
"""Time for one request to be answered, and for each part of its answer to come."""

POLICY = Policy(attempts=4, seconds=30.0)
"""How long a request that may be repeated is tried, and a document that the service wants sent again."""

_HEADERS = {"Accept": "application/json;odata.metadata=none"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers by lower-case name, and a body that is not read as JSON yet."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Service:
    """Sends requests about one place and says what came back, whatever the status."""

    def __init__(self, place: Place, send: Callable[[HttpRequest], Awaitable[Answer]]) -> None:
        self.place = place
        self._send = send

    async def ask(self, operation: str, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send one request, once. Raises Transient when no answer came, whatever the status says otherwise."""
        url = f"{{endpoint}}{path}?api-version={VERSION}"
        headers = dict(_HEADERS)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if method == "PUT":
            headers["Prefer"] = "return=representation"
        with translated(operation, str(self.place)):
            return await self._send(HttpRequest(method, url, content=body, headers=headers))

    async def must(self, operation: str, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request that may be repeated, again after passing faults, and return the JSON of its answer.

        Raises what any status but a success stands for.
        """
        found = await self._until(operation, method, path, body, ())
        return found or {}

    async def look(self, operation: str, path: str, *, unless: Collection[int]) -> dict[str, Any] | None:
        """Return the JSON of what is at a path, None where the status is one of these; see `must`."""
        return await self._until(operation, "GET", path, None, unless)

    async def _until(self, operation: str, method: str, path: str, body: object, unless: Collection[int]) -> dict[str, Any] | None:
        sent = None if body is None else json.dumps(body).encode()

        async def once() -> dict[str, Any] | None:
            answer = await self.ask(operation, method, path, sent)
            return None if answer.status in unless else self.accepted(operation, answer)

        return await retry(once, POLICY)

    def accepted(self, operation: str, answer: Answer) -> dict[str, Any]:
        """Return the JSON of an answer that is a success, of nothing if it has no body; raises what it stands for otherwise."""
        if not 200 <= answer.status < 300:  # noqa: PLR2004  # successes
            raise refusal(operation, str(self.place), answer.status, answer.headers, answer.body)
        if not answer.body:
            return {}
        try:
            read: dict[str, Any] = json.loads(answer.body)
        except ValueError as error:
            raise Transient(operation, str(self.place), "the answer is no JSON", unknown=True) from error
        return read


@asynccontextmanager
async def opened(place: Place, credential: AzureKeyCredential | AsyncTokenCredential) -> AsyncIterator[Service]:
    """Open the connections to a service."""
    off = {"retry_total": 0, "retry_status": 0, "retry_connect": 0, "retry_read": 0, "permit_redirects": False}
    times = {"connection_timeout": 10.0, "read_timeout": SECONDS}
    async with SearchClient(place.endpoint, place.name, credential, api_version=VERSION, **off, **times) as client:

        async def send(request: HttpRequest) -> Answer:
            response = await client.send_request(request, stream=True)
            try:
                body = await response.read()
            finally:
                await response.close()
            return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)

        yield Service(place, send)
