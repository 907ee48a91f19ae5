"""A gallery over fakes, and a caller of ASGI applications, for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
from starlette.types import Message, Scope

from jobs.errors import Misconfigured, Rejected, StorageFailed
from jobs.failures import FailureGroup
from jobs.model import Image, Outcome, Record, Report
from jobs.plan import Plan
from search.gallery import Parts, Unavailable, gallery
from search.query import Query, Results
from tests.examples import NOON, deferred
from tests.fakes.index import MemoryIndex
from tests.standins.serve import App

KEY = "a key of sixteen characters"
WEBP = b"RIFF\x04\0\0\0WEBP"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an application answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Gallery:
    """A gallery over records, and what was done to it."""

    records: Sequence[Record]
    key: str = ""
    down: bool = False
    runs: Sequence[Report] = ()
    groups: Sequence[FailureGroup] = ()
    plans: Sequence[Plan] = ()
    redriven: list[str] = field(default_factory=list)
    said: list[tuple[str, str, str | None]] = field(default_factory=list)
    shown: list[tuple[str, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    app: App = field(init=False)

    def __post_init__(self) -> None:
        self.app = gallery(
            Parts(
                searcher=self,
                ledger=self,
                pictures=self,
                runs=self._runs,
                failures=self._failures,
                plan=self._plan,
                redrive=self._redrive if self.key else None,
                key=self.key,
                correct=self._correct if self.key else None,
                likeness=self,
                embed=self._embed,
            )
        )

    async def search(self, query: Query) -> Results:
        if self.down:
            raise StorageFailed("search", "the index", "it does not answer", hint="See whether it is there.")
        index = MemoryIndex()
        await index.publish(self.records)
        return await index.search(query)

    async def similar(self, vector: bytes, query: Query) -> Results:
        if self.down:
            raise StorageFailed("search", "the index", "it does not answer", hint="See whether it is there.")
        index = MemoryIndex()
        await index.publish(self.records)
        return await index.similar(vector, query)

    async def _correct(self, key: str, label: str, says: str | None) -> None:
        if not label:
            raise Misconfigured("correct", key, "'' is no label", hint="A label has 1 to 100 characters.")
        self.said.append((key, label, says))

    async def _embed(self, image: Image) -> bytes:
        if not image.data.startswith(b"vector "):
            raise Rejected("embed", image.name, "the bytes are not those of an image", failure_class="not-an-image")
        return np.array([float(number) for number in image.data.split()[1:]], "<f4").tobytes()

    async def look_up(self, ids: Sequence[str], *, vectors: bool = False) -> Mapping[str, Record]:
        del vectors
        self.asked += ids
        return {record.id: record for record in self.records if record.id in ids}

    async def picture(self, record: Record, longest: int) -> bytes | str:
        self.shown.append((record.name, longest))
        if "gone" in record.name:
            raise Unavailable("It is gone.")
        return "https://account.blob.example/container/x?sig=secret" if "linked" in record.name else WEBP

    async def _runs(self) -> Sequence[Report]:
        return self.runs

    async def _failures(self) -> Sequence[FailureGroup]:
        return self.groups

    async def _plan(self) -> Sequence[Plan]:
        if self.down:
            raise StorageFailed("list", "the source", "it does not answer", hint="See whether it is there.")
        return self.plans

    async def _redrive(self, failure_class: str) -> str:
        self.redriven.append(failure_class)
        return "Tried 3 again: 3 classified."

    async def get(self, path: str, headers: Mapping[str, str] | None = None, **asked: str) -> Answer:
        return await call(self.app, "GET", path, urlencode(asked), headers=headers)

    async def post(self, path: str, headers: Mapping[str, str] | None = None, **sent: str) -> Answer:
        return await call(self.app, "POST", path, body=urlencode(sent).encode(), headers=headers)


async def call(
    app: App, method: str, path: str, query: str = "", *, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request to an application."""
    sent: list[Message] = []
    given = {"host": "localhost", **(headers or {})}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "scheme": "http",
        "server": ("localhost", 80),
        "root_path": "",
        "http_version": "1.1",
    }
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()  # who asked stays to the end
        return pending.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]))


def group(failure_class: str, name: str = "broken.jpg") -> FailureGroup:
    """Return a class of failures with one example."""
    record = deferred(name, NOON + timedelta(hours=1), failure_class)
    return FailureGroup(Outcome.DEFERRED, failure_class, "Upload the file again.", 4, NOON + timedelta(hours=1), [record])
