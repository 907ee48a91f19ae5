"""The pages about the work: runs, and what failed."""

from __future__ import annotations

import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobs.errors import SweepError
from search.gallery.keys import Forbidden, form
from search.gallery.plots import HEIGHT, OUTCOMES, WIDTH, plots
from search.gallery.web import page, parts, problem

COUNTS = ("new", "changed", "stale", "archived", "deferred", "unchanged", "skipped")
"""What a plan by listing alone can tell apart."""
PLACES = ("new", "changed", "stale", "rederive")
MOST_PLACES = 50
_CLASS = re.compile(r"[a-z0-9-]{1,64}")


async def runs(request: Request) -> Response:
    """Show what the last runs did, how fast, and at what cost."""
    found = await parts(request).runs()
    return page(request, "runs.html", title="Runs", runs=found, plots=plots(found), width=WIDTH, height=HEIGHT, outcomes=OUTCOMES)


async def plan(request: Request) -> Response:
    """Show what the next sweep would do."""
    ahead = parts(request).plan
    if ahead is None:
        raise HTTPException(404, "There is no plan here.")
    shown: dict[str, Any] = {"title": "Plan", "counts": COUNTS, "places": PLACES, "most": MOST_PLACES}
    try:
        return page(request, "plan.html", plans=await ahead(), **shown)
    except SweepError as error:
        return page(request, "plan.html", status=503, plans=(), problem=problem(error), **shown)


async def failures(request: Request) -> Response:
    """Show what could not be classified, by class, and what to do."""
    return await _failures(request, said="")


async def redrive(request: Request) -> Response:
    """Try a class of failures again, for whoever may; then show what is left."""
    sent = await form(request)
    again = parts(request).redrive
    chosen = sent.get("class", "")
    if again is None or not _CLASS.fullmatch(chosen):
        raise Forbidden("There is nothing to try again here.")
    try:
        return await _failures(request, said=await again(chosen))
    except SweepError as error:
        return await _failures(request, said="", told=problem(error))


async def _failures(request: Request, *, said: str, told: dict[str, object] | None = None) -> Response:
    groups = await parts(request).failures()
    can = parts(request).redrive is not None
    return page(request, "failures.html", title="Failures", groups=groups, said=said, problem=told, can_redrive=can)
