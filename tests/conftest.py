"""What every test may ask for."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import pytest

from tests.servers.azurite import azurite
from tests.servers.cosmos import cosmos_server
from tests.servers.node import NodeMissing

T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine to its end, always on the same loop, and returns its result."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


def _without_node() -> Generator[None, object, object]:
    """Skip what needs Node where there is none, with a reason that says so; in CI (`CI` is set) that is a failure."""
    try:
        return (yield)
    except NodeMissing as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}: CI must run the tests that need them")
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from _without_node())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from _without_node())


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Take off what the function app puts on our logger when it is imported: it rewrites every line of the process."""
    logging.getLogger("imagesweep").filters.clear()


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session")
def azurite_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The blob endpoint of an emulator that all tests of the session share, the account included."""
    with azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def cosmos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Cosmos DB server that all tests of the session share; each takes a database of its own."""
    with cosmos_server(tmp_path_factory.mktemp("cosmos")) as address:
        yield address


@contextmanager
def entered(run: Run, opening: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Hold an asynchronous context manager open in a test that is not asynchronous."""

    async def enter() -> T:
        return await opening.__aenter__()

    async def leave() -> None:
        await opening.__aexit__(None, None, None)

    value = run(enter())
    try:
        yield value
    finally:
        run(leave())
