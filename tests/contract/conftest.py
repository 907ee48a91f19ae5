"""The stores that the contracts are run over: in memory, in a file, and in a Cosmos DB server that the session starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from azure.core.credentials import AzureKeyCredential

from jobs.adapters.cosmos import open_cosmos
from jobs.adapters.cosmos_containers import create_cosmos
from jobs.adapters.sqlite import open_sqlite
from jobs.ports import Clock, Ledger, State, Tally
from tests.conftest import Run, entered
from tests.examples import NOON
from tests.fakes.store import MemoryStore
from tests.servers.cosmos import KEY, fresh


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
KINDS = [*sorted(OPENERS), pytest.param("cosmos", marks=pytest.mark.servers)]


@asynccontextmanager
async def fresh_cosmos(address: str) -> AsyncIterator[Store]:
    """Open a store in a database that nobody used yet."""
    location, key = fresh(address), AzureKeyCredential(KEY)
    await create_cosmos(location, key)
    async with open_cosmos(location, key) as store:
        yield store


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Store]:
    opener = OPENERS.get(request.param)
    opening = opener(tmp_path) if opener else fresh_cosmos(request.getfixturevalue("cosmos"))
    with entered(run, opening) as opened:
        yield opened


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Callable[[], datetime]:
    """What the store's clock should show: the service's own time cannot be set, the others' is noon."""
    return (lambda: datetime.now(UTC)) if request.node.callspec.params["store"] == "cosmos" else lambda: NOON
