"""A reverse proxy on this machine that breaks what a test asks it to break, between our client and a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import assert_never

import aiohttp
from aiohttp import web
from yarl import URL

_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "upgrade"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came: `path` with its query, as it was sent; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in place of the server, which never sees the request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection: before the server sees the request, or after it has answered (`lost`: the effect has happened)."""

    lost: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Pass the server's answer on, but end the connection after so many bytes of its body."""

    length: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Pass so many bytes of the body on, then say nothing more and keep the connection open. None: not even the head."""

    length: int | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Pass the server's answer on, changed: (status, headers, body) in, the same out."""

    change: Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]


Fault = Answer | Reset | Cut | Stall | Edit


@dataclass(slots=True)
class _Rule:
    fault: Fault
    when: Callable[[Seen], bool]
    left: int | None


class Proxy:
    """Passes requests on to `upstream` (scheme://host:port), broken by the first rule that wants it. `url` is where it listens."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self._upstream = upstream.rstrip("/")
        self._session = session
        self._rules: list[_Rule] = []
        self.closing = asyncio.Event()

    def fail(self, fault: Fault, *, when: Callable[[Seen], bool] = lambda _: True, times: int | None = 1) -> None:
        """Break the next `times` requests that `when` wants (None: all of them, until `calm`)."""
        self._rules.append(_Rule(fault, when, times))

    def calm(self) -> None:
        """Break nothing more."""
        self._rules.clear()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request."""
        seen = Seen(
            request.method, request.raw_path, {k.lower(): v for k, v in request.headers.items()}, await request.content.read()
        )
        self.seen.append(seen)
        fault = self._fault(seen)
        match fault:
            case None:
                return await self._pass(request, seen)
            case Answer():
                return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
            case Reset():
                if fault.lost:
                    await self._fetch(request, seen)
                _abort(request)
                return web.Response()
            case Cut() | Stall():
                return await self._broken(request, seen, fault)
            case Edit():
                status, headers, body = fault.change(*await self._fetch(request, seen))
                return web.Response(status=status, headers=headers, body=body)
            case _:
                assert_never(fault)

    def _fault(self, seen: Seen) -> Fault | None:
        for rule in self._rules:
            if rule.left != 0 and rule.when(seen):
                rule.left = rule.left and rule.left - 1
                return rule.fault
        return None

    async def _fetch(self, request: web.BaseRequest, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        # Header names go on as they came: services sign some of them, and what the client left out must stay out.
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _OF_THE_CONNECTION]
        async with self._session.request(
            seen.method,
            URL(self._upstream + seen.path, encoded=True),
            headers=headers,
            data=seen.body if seen.body or "content-length" in seen.headers else None,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            allow_redirects=False,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _OF_THE_CONNECTION}
            if seen.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            return answer.status, kept, await answer.read()

    async def _pass(self, request: web.BaseRequest, seen: Seen) -> web.StreamResponse:
        status, headers, body = await self._fetch(request, seen)
        return web.Response(status=status, headers=headers, body=body or None)

    async def _broken(self, request: web.BaseRequest, seen: Seen, fault: Cut | Stall) -> web.StreamResponse:
        status, headers, body = await self._fetch(request, seen)
        if fault.length is not None:
            response = web.StreamResponse(status=status, headers=headers)
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: fault.length])
        if isinstance(fault, Stall):
            await self.closing.wait()
        _close(request)
        return web.Response()


def _close(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def proxy(upstream: str) -> AsyncIterator[Proxy]:
    """Listen on a free port of 127.0.0.1, in the loop of the caller, until the body is done."""
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        passing = Proxy(upstream, session)
        server = web.Server(passing.handle)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        passing.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        try:
            yield passing
        finally:
            passing.closing.set()
            listener.close()
            await server.shutdown(1)
