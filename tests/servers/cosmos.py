"""A Cosmos DB server for the session: started once, with a database of its own for each test that asks for one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.node import HERE, free_port, installed, started

KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
"""The key that every Cosmos DB emulator has; no secret."""


@contextmanager
def cosmos_server(folder: Path) -> Iterator[str]:
    """Run a server until the body is done; yield its address. Its log is in `folder`."""
    modules = installed()
    port = free_port()
    with started(["node", str(HERE / "cosmos.js"), str(modules), str(port)], port, log=folder / "cosmos.log"):
        yield f"http://127.0.0.1:{port}"


def fresh(address: str) -> str:
    """Return the location of a database that is not there yet."""
    return f"{address}/test-{uuid.uuid4().hex[:12]}"
