"""What a leaner transport under the same SDK would bring: client CPU of one AI Vision request, by how it is sent.

The same request (an image of 40 KB, an answer of JSON) goes through the SDK's pipeline over aiohttp, as a sweep sends it, through
the same pipeline over a transport of a hundred lines that knows no more of HTTP/1.1 than these answers need, and through both
without the SDK. The difference of the first two is what a leaner transport saves; that of the last two says how much of it is
aiohttp's own. Four kinds take turns in one process, against a stand-in in a process of its own. Prints medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.ai.vision.imageanalysis.aio import ImageAnalysisClient
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AzureKeyCredentialPolicy, RequestIdPolicy, UserAgentPolicy
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl  # what a transport's answer is made of
from azure.core.utils import case_insensitive_dict

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
KEY = "vision-key"
PATH = "/computervision/imageanalysis:analyze?api-version=2023-10-01&features=tags&language=en&model-version=latest"
HEADERS = {"Content-Type": "application/octet-stream", "Ocp-Apim-Subscription-Key": KEY}
Answer = tuple[int, dict[str, str], bytes]
Way = Callable[[], Awaitable[bytes]]


class Connection(asyncio.Protocol):
    """One connection, one answer at a time, whose length is told by its headers."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.answer: asyncio.Future[Answer] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what requests are written to."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the answer that is waited for."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or self.answer is None:
            return
        lines = buffer[:end].decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        length = int(headers.get("content-length") or headers.get("Content-Length") or 0)
        if len(buffer) >= end + 4 + length:
            self._buffer = b""
            self.answer.set_result((int(lines[0].split(" ", 2)[1]), headers, buffer[end + 4 : end + 4 + length]))


class Lean(AsyncHttpTransport[HttpRequest, AsyncHttpResponseImpl]):
    """A transport for answers with a length, over connections to one address that are kept."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._idle: list[Connection] = []

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request; return status, headers and body of its answer."""
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        connection.answer = asyncio.get_running_loop().create_future()
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name.lower() != "content-length")
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(body)}\r\n{told}\r\n"
        connection.transport.write(head.encode("latin-1") + body)
        answer = await connection.answer
        self._idle.append(connection)
        return answer

    async def send(self, request: HttpRequest, **_: Any) -> AsyncHttpResponseImpl:
        """Send a request of the SDK's pipeline."""
        parts = urlsplit(request.url)
        body = request.content if isinstance(request.content, bytes) else b""
        status, headers, found = await self.exchange(request.method, f"{parts.path}?{parts.query}", request.headers, body)
        named = case_insensitive_dict(headers)
        response = AsyncHttpResponseImpl(
            request=request, internal_response=None, status_code=status, reason="", content_type=named.get("content-type"),
            headers=named, stream_download_generator=None,
        )  # fmt: skip
        response._content = found  # noqa: SLF001 as the SDK's own transports do
        return response

    async def open(self) -> None:
        """Open nothing: connections are opened as they are wanted."""

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.transport.close()
        self._idle.clear()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def ways(stack: AsyncExitStack, address: str, image: bytes) -> dict[str, Way]:
    """Return the four ways to send one request."""
    from jobs.adapters.azure_vision_http import pipeline  # noqa: PLC0415

    credential = AzureKeyCredential(KEY)
    policies = [RequestIdPolicy(), UserAgentPolicy("imagesweep"), AzureKeyCredentialPolicy(credential, "Ocp-Apim-Subscription-Key")]
    opened = await stack.enter_async_context(pipeline(credential))
    usual = await stack.enter_async_context(ImageAnalysisClient(address, credential, **opened))
    lean, bare = await stack.enter_async_context(Lean(address)), await stack.enter_async_context(Lean(address))
    other = await stack.enter_async_context(ImageAnalysisClient(address, credential, transport=lean, policies=policies))
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
    numbers = iter(range(10**12))

    def sdk(client: ImageAnalysisClient) -> Way:
        async def send() -> bytes:
            body = image + next(numbers).to_bytes(8)
            target = PATH.removeprefix("/computervision")
            request = HttpRequest("POST", target, content=body, headers={"Content-Type": HEADERS["Content-Type"]})
            response = await client.send_request(request, request_id="00000000-0000-4000-8000-000000000000")
            response.raise_for_status()
            return bytes(response.content)

        return send

    async def plain() -> bytes:
        async with session.post(address + PATH, data=image + next(numbers).to_bytes(8), headers=HEADERS) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def alone() -> bytes:
        status, _, body = await bare.exchange("POST", PATH, HEADERS, image + next(numbers).to_bytes(8))
        if status != 200:
            raise RuntimeError(f"status {status}: {body[:200]!r}")
        return body

    return {"SDK over aiohttp": sdk(usual), "SDK over lean": sdk(other), "aiohttp alone": plain, "lean alone": alone}


async def spent(way: Way, number: int, flying: int) -> float:
    """Return milliseconds of client CPU a request."""
    todo = iter(range(number))

    async def worker() -> None:
        for _ in todo:
            await way()

    begun = time.process_time()
    await asyncio.gather(*(worker() for _ in range(flying)))
    return 1000 * (time.process_time() - begun) / number


async def run(address: str, number: int, rounds: int, flying: int) -> dict[str, list[float]]:
    """Measure each way in turn, after a round that is not counted."""
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        chosen = await ways(stack, address, _image())
        for turn in range(rounds + 1):
            for name, way in chosen.items():
                each = await spent(way, number if turn else flying * 4, flying)
                if turn:
                    found.setdefault(name, []).append(each)
    return found


def _image() -> bytes:
    """Return a JPEG of about 40 KB; what is appended to it makes it another image each time."""
    return min((path.read_bytes() for path in (ROOT / "samples").rglob("*.jpg")), key=lambda data: abs(len(data) - 40_000))


def main() -> None:
    """Run the bench and print its table."""
    from tests.standins.serve import spawned  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flying", type=int, default=48)
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with spawned("tests.standins.vision", "fast") as address:
        found = asyncio.run(run(address, arguments.number, arguments.rounds, arguments.flying))
    for name, each in found.items():
        print(f"{name:18}{statistics.median(each):8.3f} ms of CPU a request   {', '.join(f'{one:.3f}' for one in each)}")
    saved = [usual - lean for usual, lean in zip(found["SDK over aiohttp"], found["SDK over lean"], strict=True)]
    print(f"{'saved':18}{statistics.median(saved):8.3f}")


if __name__ == "__main__":
    main()
