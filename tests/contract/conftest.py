"""The stores that the contracts are run over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from jobs.adapters.sqlite import open_sqlite
from jobs.ports import Clock, Ledger, State, Tally
from tests.conftest import Run, entered
from tests.examples import NOON
from tests.fakes.store import MemoryStore


class Store(Ledger, Tally, State, Clock, Protocol):
    """What a store is: all four ports over one place."""


Opener = Callable[[Path], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def _memory(_: Path) -> AsyncIterator[Store]:
    yield MemoryStore(lambda: NOON)


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Store]:
    async with open_sqlite(folder / "results.db", clock=lambda: NOON) as store:
        yield store


OPENERS: dict[str, Opener] = {"memory": _memory, "sqlite": _sqlite}


@pytest.fixture(params=sorted(OPENERS))
def store(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Store]:
    with entered(run, OPENERS[request.param](tmp_path)) as opened:
        yield opened
