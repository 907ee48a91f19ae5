"""What the simulated processes work on: a shop of pictures that people go on changing, a paid classifier, an index with moods."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jobs.errors import Refused, Rejected, Transient
from jobs.model import Analysis, Blob, Image, Odd, Page, Record
from tests.fakes.classifier import LIMITS, answer
from tests.fakes.index import MemoryIndex
from tests.fakes.source import MemorySource
from tests.simulation.loop import VirtualLoop

NAMES = ("a-b.jpg", "a.jpg", "a/x.jpg", "a/y.jpg", "b.jpg", "c/d/e.jpg", "c/f.jpg", "z.jpg", "é.jpg")
LOCKED = "c/"
ACTS = ("add", "overwrite", "same", "delete", "recreate", "rename", "late", "tie", "edge", "archive", "rehydrate")
OFTEN = (*ACTS, "add", "add", "archive", "edge")


class Shop(MemorySource):
    """The source. Remembers every version there ever was, and since when it can be seen; its folder `c` may become unreadable.

    Its clock is its own, and its stamps and its time have a grain of one second. `misread` names what was read while archived.
    """

    def __init__(self, loop: VirtualLoop, dice: random.Random, hazards: Counter[str]) -> None:
        self.skew = timedelta(seconds=dice.choice([5, 90]) * dice.uniform(-1, 1))
        super().__init__(lambda: (loop.now() + self.skew).replace(microsecond=0), page=dice.choice([1, 2, 3, 5]))
        self.misread: list[str] = []
        self.history: dict[tuple[str, str], bytes] = {}
        self.since: dict[tuple[str, str], float] = {}
        self.locked = False
        self.epoch = loop.now() - timedelta(seconds=loop.moment)
        self._loop = loop
        self._dice = dice
        self._hazards = hazards

    def put(self, name: str, data: bytes, *, modified: datetime | None = None) -> Blob:
        blob = super().put(name, data, modified=modified)
        self.history[name, blob.etag] = data
        self.since[name, blob.etag] = self._loop.moment
        return blob

    def true_seconds(self, time: datetime) -> float:
        """Return the moment of the world at which this source's clock showed `time`."""
        return (time - self.skew - self.epoch).total_seconds()

    def archive(self, name: str, *, why: str | None) -> None:
        """Move a blob to the archive tier, or back when there is no `why`: neither its etag nor its time moves."""
        blob, data = self.blobs[name]
        self.blobs[name] = (replace(blob, archived=why), data)

    def rehydrate(self) -> None:
        """Bring back every blob that is in the archive tier."""
        for name in self.blobs:
            self.archive(name, why=None)

    def lock(self, *, locked: bool) -> None:
        """Make the folder unreadable or readable."""
        self.locked = locked
        self._hazards["folder not readable"] += locked

    def peek(self, after: str | None, prefix: str) -> Page | None:
        """Return the next page; what is locked is told with each page before whose end it would be, also on going on inside it."""
        if not self.locked:
            return super().peek(after, prefix)
        hidden = {name: kept for name, kept in self.blobs.items() if name.startswith(LOCKED)}
        for name in hidden:
            del self.blobs[name]
        page = super().peek(after, prefix)
        self.blobs |= hidden
        end = page.last if page else None
        missed = [name for name in hidden if (after is None or name > after) and (end is None or name <= end)]
        if not missed:
            return page
        odd = (Odd(LOCKED, "permission denied", unread=True),)
        return replace(page, odd=odd) if page else Page((), odd, max(missed))

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        self._admit("read", blob.name)
        if blob.archived:
            self.misread.append(blob.name)
        found = self.blobs.get(blob.name)
        if found is not None and found[0].etag == blob.etag and found[0].archived:
            self._hazards["archived behind a listing"] += 1
            raise Transient("read", blob.name, found[0].archived, failure_class="archived")
        return await super().read(blob, limit=limit)

    async def head(self, name: str) -> Blob | None:
        self._admit("head", name)
        return await super().head(name)

    def _admit(self, operation: str, name: str) -> None:
        if self.locked and name.startswith(LOCKED):
            raise Transient(operation, name, "permission denied", failure_class="forbidden")

    def data(self) -> bytes:
        """Return the bytes of some picture; one in eight is none."""
        if self._dice.random() < 0.12:
            return b"bad" + bytes([self._dice.randrange(4)])
        return b"img" + bytes([self._dice.randrange(12)])

    def name(self) -> str:
        """Return some name."""
        return self._dice.choice(NAMES)

    def disturb(self, *, cursor: str | None, scan_start: datetime | None, lookback: timedelta) -> None:
        """Do what people do: add, overwrite, delete, rename; `cursor` and `scan_start` say where the sweep is.

        What comes at the `edge` has the oldest time that the next scan has to look at, and comes too late for this one. Some bytes
        come under two names.
        """
        act = self._dice.choice(OFTEN)
        known = list(self.blobs)
        if act in {"add", "late", "tie", "edge"} or not known:
            late = self._clock() - timedelta(seconds=self._dice.uniform(0, 800))
            modified = {"late": late, "tie": scan_start, "edge": scan_start and scan_start - lookback}.get(act)
            data = self.data()
            behind = [name for name in NAMES if act == "edge" and cursor is not None and name.encode() <= cursor.encode()]
            for _ in range(self._dice.choice([1, 1, 1, 2])):
                self.put(self._dice.choice(behind or NAMES), data, modified=modified)
        elif act == "delete":
            self.delete(self._dice.choice(known))
        elif act == "rehydrate":
            self.rehydrate()
        elif act == "archive":
            self.archive(self._dice.choice(known), why="it is in the archive tier")
        else:
            self._replace(act, self._dice.choice(known), cursor=cursor)
        self._hazards[f"shop: {act}"] += 1

    def _replace(self, act: str, name: str, *, cursor: str | None) -> None:
        data = self.blobs[name][1]
        if act in {"rename", "recreate"}:
            self.delete(name)
        if act == "rename":
            name = self.name()
        self.put(name, data if act in {"same", "rename"} else self.data())
        self._hazards["change behind the cursor"] += cursor is not None and name.encode() <= cursor.encode()


class Till:
    """The paid classifier as one process reaches it: `asked` is the model that was set when it began."""

    price = 1.0
    limits = LIMITS

    def __init__(self, asked: str, service: Service) -> None:
        self.asked = asked
        self._service = service

    async def classify(self, image: Image) -> Analysis:
        return await self._service.classify(self.asked, image)


class Service:
    """What stands behind the tills: counts what was paid and what is in flight, and has moods."""

    def __init__(self, limit: int, hazards: Counter[str]) -> None:
        self.paid: Counter[tuple[str, str]] = Counter()
        self.model = "fake:1"
        self.mood = "well"
        self.most = 0
        self._flying = 0
        self._limit = limit
        self._hazards = hazards

    async def classify(self, asked: str, image: Image) -> Analysis:
        self._flying += 1
        self.most = max(self.most, self._flying)
        try:
            await asyncio.sleep(0.3)
            if self.mood == "refusing":
                self._hazards["service refuses every call"] += 1
                raise Refused("classify", image.name, "the quota is spent")
            if self.mood == "stormy":
                self._hazards["storm of passing errors"] += 1
                raise Transient("classify", image.name, "status 503")
            self.paid[asked, hashlib.sha256(image.data).hexdigest()] += 1
            if image.data.startswith(b"bad"):
                raise Rejected("classify", image.name, "the bytes are not those of an image", failure_class="not-an-image")
            return answer(image.data, asked)
        finally:
            self._flying -= 1


class Shelf(MemoryIndex):
    """The index. While `picky`, it takes no document of one name."""

    def __init__(self, hazards: Counter[str]) -> None:
        super().__init__()
        self.picky = False
        self._hazards = hazards

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        taken = [record for record in records if not (self.picky and record.name == "é.jpg")]
        answers = iter(await super().publish(taken))
        self._hazards["document refused by the index"] += len(records) - len(taken)
        return [next(answers) if record in taken else "no such letter" for record in records]

    async def remove(self, ids: Sequence[str]) -> None:
        self._hazards["deletion reached the index"] += sum(key in self.documents for key in ids)
        await super().remove(ids)
