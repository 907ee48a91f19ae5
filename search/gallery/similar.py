"""More like this: by an image that is there, or by a picture from the person's own disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobs.errors import Rejected, SweepError
from jobs.model import Image
from search.gallery.browse import SHOWN
from search.gallery.image import found
from search.gallery.keys import Forbidden, own
from search.gallery.web import json, page, parts, problem, root, status_of
from search.language import parse
from search.query import Results
from search.values import Unclear

MOST_BYTES = 20_000_000
"""Bytes of a picture that may be uploaded."""

FEW = 8
"""Images in the strip below one."""

_KEPT = 64


class Uploads:
    """The vectors of the last pictures that were uploaded, by the hash of the picture; the pictures themselves are not kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, picture: bytes, vector: bytes) -> str:
        """Keep a vector; return what it is found by."""
        key = hashlib.sha256(picture).hexdigest()
        self._kept[key] = vector
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return key

    def get(self, key: str) -> bytes | None:
        """Return a vector, None for one that is not kept any more."""
        return self._kept.get(key)


async def like_image(request: Request) -> Response:
    """Show what is like an image, narrowed down by the filters of `q`; with `part` only a strip of it."""
    record = await found(request)
    records = await parts(request).ledger.look_up([record.id], vectors=True)
    analysis = records[record.id].analysis if record.id in records else None
    vector = analysis.embedding if analysis else None
    few = "part" in request.query_params
    title = f"Like {record.name}"
    if vector is None:
        return _shown(request, None, title, few=few, why="This image has no vector: it was classified without an embedder.")
    return await _answered(request, vector, title, few=few, but=record.id)


async def like_upload(request: Request) -> Response:
    """Show what is like a picture that was uploaded."""
    vector = _uploads(request).get(request.path_params["id"])
    if vector is None:
        return _shown(request, None, "Like your picture", why="Your picture is not kept any more. Upload it again.")
    return await _answered(request, vector, "Like your picture")


async def upload(request: Request) -> Response:
    """Take a picture, embed it, and say where what is like it is shown. Nothing of it is stored but its vector, for a while."""
    embed = parts(request).embed
    if embed is None:
        raise HTTPException(404, "Pictures cannot be embedded here: that takes the local model.")
    if not own(request):
        raise Forbidden("This did not come from a page of the gallery.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Unclear(f"the picture has more than {MOST_BYTES:,} bytes", 0, 0, hint="Scale it down.")
    try:
        vector = await embed(Image("the picture", body))
    except Rejected as error:
        raise Unclear(error.cause, 0, 0, hint="Take another picture.") from error
    return json({"href": f"{root(request)}/like/{_uploads(request).keep(body, vector)}"})


async def _answered(request: Request, vector: bytes, title: str, *, few: bool = False, but: str = "") -> Response:
    likeness = parts(request).likeness
    if likeness is None:
        return _shown(request, None, title, few=few, why="This index does not know likeness.")
    try:
        query = parse(request.query_params.get("q", "")).query
        limit = FEW if few else SHOWN
        results = await likeness.similar(vector, replace(query, limit=limit + bool(but), page=1))
    except SweepError as error:
        if few:
            return _shown(request, None, title, few=True, why=error.cause)
        return page(request, "problem.html", status=status_of(error), title=title, problem=problem(error))
    hits = tuple(hit for hit in results.hits if hit.id != but)[:limit]
    return _shown(request, Results(len(hits), hits, {}), title, few=few)


def _shown(request: Request, results: Results | None, title: str, *, few: bool = False, why: str = "") -> Response:
    about: dict[str, Any] = {"results": results or Results(0, (), {}), "title": title, "why": why, "more": "", "at": 1}
    if few:
        return page(request, "cards.html" if results else "why.html", **about)
    q = request.query_params.get("q", "")
    return page(request, "like.html", here=request.url.path, narrowing=q, **about)


def _uploads(request: Request) -> Uploads:
    kept: Uploads = request.app.state.uploads
    return kept
