"""Who rebuilds the index beside all other jobs, in some worlds: killed, frozen and faulty as they are.

It has dice of its own, so that the other worlds stay as they are.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from jobs.both import open_both
from jobs.errors import LeaseHeld, LeaseLost, SweepError
from jobs.mark import Rebuilder, Shelves
from jobs.model import Rebuild
from jobs.ports import Index
from jobs.reindex import Reindexed, reindex
from jobs.retry import Policy
from tests.fakes.life import MemoryFolders, MemoryLife, Named
from tests.fakes.store import MemoryStore
from tests.simulation.invariants import demand
from tests.simulation.process import Dead, Fate, Process, Wire
from tests.simulation.shop import Shelf

KEY = "simulated"
PROPAGATION = 15.0
LEASE = 120.0
POLICY = Policy(attempts=4, seconds=60, base=0.2, cap=5)


class Builder:
    """Rebuilds the index every now and then, or never: `builds` says whether in this world."""

    def __init__(self, seed: int, hazards: Counter[str]) -> None:
        self._dice = random.Random(f"builder {seed}")
        self._hazards = hazards
        self._number = 0
        self.builds = self._dice.random() < 0.25
        alias = MemoryLife(self._made, propagation=PROPAGATION, stray=self._strays)
        self.life: MemoryLife = MemoryFolders(self._made) if self._dice.random() < 0.5 else alias

    @property
    def index(self) -> Shelf:
        """The index in use."""
        index = self.life.index
        assert isinstance(index, Shelf)
        return index

    def calm(self) -> None:
        """Let every index take every document."""
        for index in self.life.all.values():
            assert isinstance(index, Shelf)
            index.picky = False

    @asynccontextmanager
    async def publishing(self, process: Process, store: Any) -> AsyncIterator[Index]:
        """Open the index to publish to it as a process does."""
        used: Any = self._wired(Named(self.life), process, "index")

        @asynccontextmanager
        async def opened(name: str) -> AsyncIterator[Any]:
            yield self._wired(Fresh(self.life, name, self._hazards), process, "fresh")

        async with open_both(used, state=store, key=KEY, opened=opened) as both:
            yield both

    async def live(self, store: MemoryStore, busy: Callable[[], bool]) -> None:
        """Rebuild from time to time, sometimes two at once, for as long as there is something going on."""
        while self.builds and busy():
            await asyncio.sleep(self._dice.expovariate(1 / 15))
            if busy():
                await asyncio.gather(*(self._rebuild(store) for _ in range(self._dice.choice([1, 1, 1, 2]))))

    async def finish(self, store: MemoryStore) -> None:
        """Rebuild without faults, after whoever was at it is gone: nothing may be left over."""
        if not self.builds:
            return
        await self._run(store, Process("builder.calm", self._dice, self._hazards))
        demand(not any(kind == Rebuild.__name__ for kind, _ in store.documents), "the document of a rebuild was left")
        demand(set(self.life.all) == {self.life.used}, f"indexes were left over: {sorted(self.life.all)}")

    async def _rebuild(self, store: MemoryStore) -> None:
        """Rebuild as a process that something may happen to."""
        fate = Fate()
        match self._dice.choice(["calm", "calm", "faulty", "crash", "crash", "freeze"]):
            case "faulty":
                fate.fail_before = fate.fail_after = self._dice.uniform(0, 0.1)
            case "crash":
                fate.crash_at = self._dice.randrange(1, 45)
            case "freeze":
                fate.freeze_at, fate.freeze_for = self._dice.randrange(1, 45), self._dice.choice([20.0, 150.0, 400.0])
            case _:
                pass
        self._number += 1
        process = Process(f"builder.{self._number}", self._dice, self._hazards, fate)
        try:
            done = await self._run(store, process)
        except (LeaseHeld, LeaseLost) as error:
            self._hazards[f"rebuild {type(error).__name__}"] += 1
        except SweepError:
            self._hazards["rebuild failed"] += 1
        except Dead:
            self._hazards["rebuild killed"] += 1
        else:
            self._hazards["rebuild switched"] += 1
            self._hazards["rebuild repaired"] += done.repaired > 0
            self._hazards["rebuild cleared up"] += bool(done.cleared)
            self._hazards["rebuild brought another to its end"] += done.finished

    async def _run(self, store: MemoryStore, process: Process) -> Reindexed:
        wired: Any = Wire(
            store, process, lambda method, args: f"rebuild {method} {type(args[1]).__name__ if method == 'put' else ''}"
        )
        life: Any = Living(self.life, process, self._hazards)

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds)
            if seconds >= self.life.propagation:
                self.life.settled()

        by = Rebuilder(process.name, process.name, LEASE, POLICY, sleep=sleep)
        return await reindex(Shelves(wired, wired, wired, wired, life, KEY), by=by)

    def _made(self) -> Shelf:
        return Shelf(self._hazards)

    def _strays(self) -> bool:
        strays = self._dice.random() < 0.5
        self._hazards["led to the former index"] += strays
        return strays

    def _wired(self, index: Any, process: Process, kind: str) -> Any:
        return Wire(index, process, lambda method, _: f"{kind} {method}")


class Fresh(Named):
    """A new index by its name, as publishers reach it."""

    def __init__(self, life: MemoryLife, name: str, hazards: Counter[str]) -> None:
        super().__init__(life, name)
        self._hazards = hazards

    async def publish(self, records: Any) -> Any:
        answers = await super().publish(records)
        self._hazards["published to both"] += 1
        return answers


class Living:
    """The life of the indexes as a process reaches it."""

    def __init__(self, life: MemoryLife, process: Process, hazards: Counter[str]) -> None:
        self._life = life
        self._process = process
        self._hazards = hazards
        self._wire: Any = Wire(life, process, lambda method, _: f"rebuild {method}")
        self.propagation = life.propagation

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        found: Callable[..., Awaitable[Any]] = getattr(self._wire, method)
        return found

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Any]:
        yield Wire(Named(self._life, name), self._process, lambda method, _: f"rebuild {method}")
