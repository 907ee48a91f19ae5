"""Guard: who may call the HTTP functions: who has their key, which the host checks, or whom App Service Authentication lets in."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping

from jobs.app.answers import Reply, answer, problem

_PRINCIPAL = "X-MS-CLIENT-PRINCIPAL-ID"
"""The header that App Service Authentication sets, and takes from those who set it themselves."""
_ON = "WEBSITE_AUTH_ENABLED"
"""The variable that App Service sets to `True` where its authentication is on."""


def entra() -> bool:
    """Say whether App Service Authentication is to let callers in, by IMAGESWEEP_HTTP_AUTH."""
    return os.environ.get("IMAGESWEEP_HTTP_AUTH", "key").strip().lower() == "entra"


def level() -> str:
    """Return what the host is to ask of callers: their key, unless another stands guard."""
    return "ANONYMOUS" if entra() else "FUNCTION"


async def guarded(headers: Mapping[str, str], work: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return what `work` answers to a caller who was let in."""
    return stopped(headers) or await answer(work)


def stopped(headers: Mapping[str, str]) -> Reply | None:
    """Return the answer to a caller who is not let in; also where the guard that is relied on is not there."""
    if entra():
        if os.environ.get(_ON, "").lower() != "true":
            return problem(503, "Authentication is off", "IMAGESWEEP_HTTP_AUTH is entra: turn App Service Authentication on.")
        if not headers.get(_PRINCIPAL):
            return problem(401, "Not signed in", "Bring a token for this app.")
    return None
