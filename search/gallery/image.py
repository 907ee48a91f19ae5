"""One image: large, with everything known of it and why; and the pictures of all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobs.corrections import Said, seen, standing
from jobs.errors import Misconfigured, SweepError
from jobs.model import Record, shown
from search.gallery.keys import Forbidden, form
from search.gallery.parts import Unavailable
from search.gallery.web import page, parts, root
from search.language import spelled
from search.query import Query, Results
from search.values import Unclear

SMALL, LARGE = 400, 1600
"""Pixels of the longest side of a thumbnail, and of a picture to look at."""

COPIES = 6
"""Near-duplicates that are shown beside an image; a link leads to all of them."""

_SAYS: dict[str, Said | None] = {"added": "added", "removed": "removed", "pinned": "pinned", "undo": None}
_KEPT = "private, max-age=86400, immutable"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn over a picture: the outline of something, in pixels of the image as shown."""

    kind: str
    label: str
    points: str
    x: int
    y: int


async def image_page(request: Request) -> Response:
    """Show everything known of one image."""
    record = await found(request)
    q = request.query_params.get("q", "")
    analysis = record.analysis
    return page(
        request,
        "image.html",
        status=200,
        title=record.name,
        q=q,
        record=record,
        analysis=analysis,
        visible=seen(record),
        said=standing(record),
        can_correct=parts(request).correct is not None,
        marks=_marks(record),
        shown=shown(record),
        raw=json.dumps(json.loads(to_json(bare(record))), indent=2, ensure_ascii=False),
        near=_near(record),
        copies=await _copies(request, record),
        stamp=(record.analysed or record.etag)[-12:],
    )


async def correct(request: Request) -> Response:
    """Say something of a label, for whoever may; then show the image again."""
    sent = await form(request)
    record = await found(request)
    say = parts(request).correct
    if say is None or sent.get("says") not in _SAYS:
        raise Forbidden("Nothing can be said of labels here.")
    try:
        await say(record.id, sent.get("label", ""), _SAYS[sent["says"]])
    except Misconfigured as error:
        raise Unclear(error.cause, 0, 0, hint=error.hint) from error
    q = request.query_params.get("q", "")
    return RedirectResponse(f"{root(request)}/images/{record.id}" + (f"?{urlencode({'q': q})}" if q else ""), 303)


async def picture(request: Request) -> Response:
    """Answer with the picture of an image: a thumbnail, or one to look at."""
    record = await found(request)
    longest = SMALL if request.path_params["size"] == "small" else LARGE
    try:
        shown_ = await parts(request).pictures.picture(record, longest)
    except Unavailable as error:
        raise HTTPException(404, str(error)) from error
    if isinstance(shown_, str):
        return RedirectResponse(shown_, 302)
    return Response(shown_, media_type="image/webp", headers={"cache-control": _KEPT})


async def found(request: Request) -> Record:
    """Return the record that the address names. Raises HTTPException where there is none to be seen."""
    key = request.path_params["id"]
    records = await parts(request).ledger.look_up([key])
    if key not in records:
        raise HTTPException(404, "There is no such image here.")
    return records[key]


def bare(record: Record) -> Record:
    """Return a record without its embedding, which no person reads, and without the store's own token."""
    if record.analysis is None:
        return replace(record, version=None)
    return replace(record, version=None, analysis=replace(record.analysis, embedding=None))


def _marks(record: Record) -> Sequence[Mark]:
    if record.analysis is None:
        return ()
    marks = []
    of = {"object": record.analysis.objects, "person": record.analysis.people, "region": record.analysis.regions}
    for kind, regions in of.items():
        for one in regions:
            box = one.box
            right, low = box.x + box.width, box.y + box.height
            points = f"{box.x},{box.y} {right},{box.y} {right},{low} {box.x},{low}"
            marks.append(Mark(kind, f"{one.name} {one.confidence:.0%}", points, box.x, box.y))
    for line in record.analysis.text:
        if line.outline:
            points = " ".join(f"{x},{y}" for x, y in line.outline)
            marks.append(Mark("text", line.text, points, *line.outline[0]))
    return marks


async def _copies(request: Request, record: Record) -> Results | None:
    """Return the near-duplicates of an image, without itself; None where there are none, or the index is down."""
    if not record.group:
        return None
    query = Query(group=record.group, facets=(), sort="largest", limit=COPIES + 1)
    try:
        results = await parts(request).searcher.search(query)
    except SweepError:
        return None  # what is known of the image is shown all the same, and where its near-duplicates are
    others = tuple(hit for hit in results.hits if hit.id != record.id)[:COPIES]
    return Results(results.count - 1, others, {}) if others else None


def _near(record: Record) -> str:
    """Return the query for what was taken around the same place, empty where the place is not known."""
    facts = record.analysis.facts if record.analysis else None
    if facts is None or facts.latitude is None or facts.longitude is None:
        return ""
    return spelled("near", [f"{facts.latitude:.5f}", f"{facts.longitude:.5f}", "5km"]).replace('"', "")
