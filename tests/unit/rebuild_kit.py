"""A rebuild and publishers beside it, one port call at a time, in an order that a seed decides; any of them may be killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

from jobs.both import open_both
from jobs.erase import Shelf, errand
from jobs.mark import Rebuilder, Shelves
from jobs.model import Outcome, Rebuild, Record, shown
from jobs.publish import publish
from jobs.reindex import Reindexed, reindex
from jobs.retry import Policy
from tests.fakes.life import MemoryFolders, MemoryLife, Named
from tests.fakes.store import MemoryStore
from tests.pictures import PHOTOS, picture

POLICY = Policy(attempts=4, seconds=60.0, base=0.0)
KEY = "memory:index"


class Dead(BaseException):
    """The process is gone."""


class Turns:
    """Lets one call happen at a time: that of a caller chosen by the dice. `kill` names who dies instead of making its nth call."""

    def __init__(self, seed: object, *, kill: tuple[str, int] | None = None) -> None:
        self.dice = random.Random(f"turns {seed}")
        self.steps: dict[str, list[str]] = {}
        self.before: Callable[[str, str], None] = lambda _who, _what: None
        self._kill = kill
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._dead: set[str] = set()
        self._paces: dict[str, float] = {}

    async def take(self, who: str, what: str) -> None:
        """Wait for the turn of a caller; raises Dead when it comes to none any more."""
        if who not in self._dead:
            self._waiting[who] = asyncio.get_running_loop().create_future()
            await self._waiting[who]
            self.steps.setdefault(who, []).append(what)
            if self._kill == (who, len(self.steps[who])):
                self._dead.add(who)
        if who in self._dead:
            raise Dead(who)
        self.before(who, what)

    def _pace(self, who: str) -> float:
        """Return how fast a caller is at present: each runs ahead for a while, then waits for a while."""
        if self.dice.random() < 0.1 or who not in self._paces:
            self._paces[who] = self.dice.choice([0.02, 1.0, 8.0])
        return self._paces[who]

    async def play(self, **actors: Any) -> dict[str, Any]:
        """Run all to their ends; return what each came to: its result, or the exception that ended it."""
        tasks = {who: asyncio.create_task(actor) for who, actor in actors.items()}
        while not all(task.done() for task in tasks.values()):
            ready = [who for who, task in tasks.items() if who in self._waiting and not task.done()]
            if len(ready) < sum(not task.done() for task in tasks.values()):
                await asyncio.sleep(0)
                continue
            weights = [self._pace(who) for who in ready]
            self._waiting.pop(self.dice.choices(ready, weights)[0]).set_result(None)
            await asyncio.sleep(0)
        found = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return dict(zip(tasks, found, strict=True))


class Wired:
    """A port as one caller reaches it: every call waits for its turn."""

    def __init__(self, port: Any, turns: Turns, who: str, named: str) -> None:
        self._port, self._turns, self._who, self._named = port, turns, who, named

    def __getattr__(self, method: str) -> Any:
        target = getattr(self._port, method)
        if not callable(target):
            return target
        what = f"{self._named} {method}"
        if method in {"scan", "revisions"}:
            return lambda *args, **kwargs: self._stream(what, target(*args, **kwargs))
        if method == "opened":
            return lambda name: self._opened(target(name))

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._turns.take(self._who, f"{what} {args[0].__name__}" if args and isinstance(args[0], type) else what)
            return await target(*args, **kwargs)

        return call

    async def _stream(self, what: str, stream: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        await self._turns.take(self._who, what)
        async for item in stream:
            yield item
            await self._turns.take(self._who, what)

    @asynccontextmanager
    async def _opened(self, opening: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        async with opening as index:
            yield Wired(index, self._turns, self._who, "fresh")


class Stage:
    """A store with some images, all published, and the indexes of one name."""

    def __init__(self, turns: Turns, *, images: int = 4, folders: bool = False) -> None:
        self.turns = turns
        self.store = MemoryStore()
        alias = MemoryLife(propagation=15.0, stray=lambda: turns.dice.random() < 0.5)
        self.life = MemoryFolders() if folders else alias
        self.settle = 0.0
        self._images = images
        self._number = 0

    async def begin(self) -> None:
        """Store and publish the images."""
        records = await self.store.write([picture(f"{at}.jpg", ("dog", 0.9)) for at in range(self._images)])
        await self.life.index.publish([one for one in records if one])

    async def rebuild(self, who: str = "rebuild", *, wired: bool = True, sole: bool = True) -> Reindexed:
        """Rebuild, as a process of this name; `sole` says that any other is dead."""
        store: Any = Wired(self.store, self.turns, who, "store") if wired else self.store
        life: Any = Wired(self.life, self.turns, who, "life") if wired else self.life

        async def sleep(seconds: float) -> None:
            if wired:
                await self.turns.take(who, f"sleep {seconds:g}")
            if seconds >= self.life.propagation:
                self.life.settled()

        by = Rebuilder(who, who, policy=POLICY, sole=sole, settle=self.settle, sleep=sleep)
        return await reindex(Shelves(store, store, store, store, life, KEY), by=by)

    async def publisher(self, who: str, rounds: int = 3) -> None:
        """Change some image and publish it, as a process of this name."""
        store: Any = Wired(self.store, self.turns, who, "store")
        used: Any = Wired(Named(self.life), self.turns, who, "used")
        life: Any = Wired(self.life, self.turns, who, "life")
        async with open_both(used, state=store, key=KEY, opened=life.opened) as index:
            for _ in range(rounds):
                run = await errand(Shelf(store, store, self.store, index), POLICY)
                stored = await store.write([self._changed()])
                if stored[0] is not None:
                    await publish([stored[0]], ledger=store, index=index, run=run)

    def _changed(self) -> Record:
        dice = self.turns.dice
        self._number += 1
        record = dice.choice(list(self.store.records.values()))
        match dice.choice(["new", "newer", "newer", "dies"]):
            case "new":
                return picture(f"new{self._number}.jpg", ("cat", 0.9))
            case "newer":
                return replace(record, rev=record.rev + 1, outcome=Outcome.CLASSIFIED)
            case _:
                return replace(record, rev=record.rev + 1, outcome=Outcome.DEAD)

    def rebuilt(self) -> Rebuild:
        """Return the document of the rebuild."""
        document, _ = self.store.documents["Rebuild", KEY]
        assert isinstance(document, Rebuild)
        return document

    def check(self) -> None:
        """The index in use is the projection of the store."""
        shows = {record.id: record.rev for record in self.store.records.values() if shown(record) and record.source == PHOTOS}
        has = {key: document.rev for key, document in self.life.index.documents.items()}
        assert has == shows

    def check_clean(self) -> None:
        """Nothing is left over of any rebuild."""
        assert [kind for kind, _ in self.store.documents if kind == "Rebuild"] == []
        assert set(self.life.all) == {self.life.used}
