"""The indexes of one name in memory: an alias that leads to one of them, and for some time after a switch to either."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from jobs.errors import Misconfigured
from jobs.model import Record
from tests.fakes.index import MemoryIndex


class MemoryLife:
    """A Life. `stray` says of a call through the alias, until it has `settled`, whether it is led to the former index yet."""

    def __init__(
        self,
        made: Callable[[], MemoryIndex] = MemoryIndex,
        *,
        propagation: float = 0.0,
        stray: Callable[[], bool] = lambda: False,
    ) -> None:
        self.propagation = propagation
        self.all: dict[str, MemoryIndex] = {"v1": made()}
        self.used = "v1"
        self.former: str | None = None
        self.made = made
        self._stray = stray
        self._number = 1

    @property
    def index(self) -> MemoryIndex:
        """The index in use."""
        return self.all[self.used]

    def settled(self) -> None:
        """Let every call through the alias be led to the index in use from now on."""
        self.former = None

    def led(self) -> MemoryIndex:
        """Return the index that this call through the alias is led to."""
        if self.former is not None and self._stray():
            return self.all[self.former]
        return self.index

    async def in_use(self) -> str | None:
        return self.used

    async def beside(self) -> Sequence[str]:
        return sorted(name for name in self.all if name != self.used)

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Named]:
        yield Named(self, name)

    async def make(self) -> str:
        self._number += 1
        name = f"v{self._number}"
        self.all[name] = self.made()
        return name

    async def switch(self, name: str) -> None:
        if name not in self.all:
            raise Misconfigured("switch", name, "there is none of this name")
        self.former, self.used = self.used, name

    async def drop(self, name: str) -> None:
        if name != self.used:
            self.all.pop(name, None)
        if name == self.former:
            self.settled()


class MemoryFolders(MemoryLife):
    """Indexes that change places: what is called by a name before the switch is in use after it, and the former is called so."""

    def __init__(self, made: Callable[[], MemoryIndex] = MemoryIndex) -> None:
        super().__init__(made)
        self.all = {"": made()}
        self.used = ""
        self._mark = "v1"

    async def in_use(self) -> str | None:
        return self._mark

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Named]:
        yield Named(self, None if name == self._mark else name)

    async def switch(self, name: str) -> None:
        if name not in self.all:
            raise Misconfigured("switch", name, "there is none of this name")
        self.all[""], self.all[name] = self.all[name], self.all[""]
        self._mark = name


class Named:
    """One of the indexes by its name, None for whichever the alias leads to. Raises Misconfigured when it is gone."""

    def __init__(self, life: MemoryLife, name: str | None = None) -> None:
        self._life = life
        self._name = name

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        return await self._index().publish(records)

    async def remove(self, ids: Sequence[str]) -> None:
        await self._index().remove(ids)

    async def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]]]:
        async for batch in self._index().revisions(source):
            yield batch

    def _index(self) -> MemoryIndex:
        if self._name is None:
            return self._life.led()
        if self._name not in self._life.all:
            raise Misconfigured("publish", self._name, "status 404: there is none of this name")
        return self._life.all[self._name]
