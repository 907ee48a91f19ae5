"""Pages: the gallery and the search API behind a function, at the address of its route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jobs.app.desk import Desk

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ROUTE = "gallery"
ROOT = f"/api/{ROUTE}"
"""Where the gallery is; the host's route prefix is the `api`."""


async def pages(desk: Desk) -> ASGIApp:
    """Return the gallery over the parts of this deployment, mounted below ROOT; it is opened with the first request."""
    gallery = await desk.part("gallery", lambda: _gallery(desk))

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["path"] != ROOT else f"{ROOT}/"
        await gallery({**scope, "path": path, "root_path": ROOT}, receive, send)

    return mounted


@asynccontextmanager
async def _gallery(desk: Desk) -> AsyncIterator[ASGIApp]:
    from jobs.wiring.gallery import parts  # noqa: PLC0415 the triggers that need no pages start without them
    from search.gallery import gallery  # noqa: PLC0415

    async with parts(desk.settings) as given:
        yield gallery(given)
