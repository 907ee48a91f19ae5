"""The application: which address leads where."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from jobs.errors import SweepError
from search.gallery import api, browse, export, image, keys, similar, work
from search.gallery.asking import Remembering
from search.gallery.keys import Forbidden
from search.gallery.parts import Parts
from search.gallery.web import HERE, Headers, environment, failed, json, page, wants_json

_ID = re.compile("[0-9a-f]{64}")
Endpoint = Callable[[Request], Awaitable[Response]]


def gallery(parts: Parts, *, lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None) -> Starlette:
    """Return the gallery over these parts; `lifespan` is entered while it is served."""

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        if lifespan is None:
            yield
            return
        async with lifespan():
            yield

    middleware = [Middleware(Headers, image_origin=parts.image_origin), Middleware(GZipMiddleware, minimum_size=1000)]
    if parts.hosts:
        middleware.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=list(parts.hosts), www_redirect=False))
    handlers = {SweepError: failed, HTTPException: _missing, Forbidden: _forbidden}
    app = Starlette(routes=_routes(), middleware=middleware, exception_handlers=handlers, lifespan=living)
    app.state.parts = replace(parts, searcher=Remembering(parts.searcher))
    app.state.templates = environment()
    app.state.uploads = similar.Uploads()
    return app


def _routes() -> list[BaseRoute]:
    return [
        _page("/", browse.browse),
        _page("/images/{id}", _checked(image.image_page)),
        Route("/pictures/{size:str}/{id}", _checked(image.picture)),
        _page("/images/{id}/labels", _checked(image.correct), "POST"),
        _page("/images/{id}/like", _checked(similar.like_image)),
        _page("/like/{id}", _checked(similar.like_upload)),
        Route("/like", similar.upload, methods=["POST"]),
        _page("/runs", work.runs),
        _page("/plan", work.plan),
        _page("/failures", work.failures),
        _page("/failures", work.redrive, "POST"),
        _page("/key", keys.sign_in),
        _page("/key", keys.sign_in, "POST"),
        _page("/key/out", keys.sign_out, "POST"),
        Route("/export.csv", export.csv),
        Route("/export.parquet", export.parquet),
        Route("/api/search", api.search),
        Route("/api/images/{id}", _checked(api.image)),
        Route("/api/suggest", api.suggest),
        Route("/api/openapi.json", api.openapi),
        Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
    ]


def _page(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
    """Return the route of a page, which looks different to whoever may change something."""

    async def seen(request: Request) -> Response:
        keys.marked(request)
        return await endpoint(request)

    return Route(path, seen, methods=[method])


def _checked(endpoint: Endpoint) -> Endpoint:
    """Let only identities of images through: nothing else comes near a store or a path."""

    async def checked(request: Request) -> Response:
        if not _ID.fullmatch(request.path_params["id"]) or request.path_params.get("size", "small") not in ("small", "large"):
            raise HTTPException(404, "There is no such image here.")
        return await endpoint(request)

    return checked


async def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if wants_json(request):
        return json({"error": {"kind": "NotFound", "cause": error.detail, "hint": ""}}, status=error.status_code)
    told = {"kind": "NotFound", "cause": error.detail, "hint": ""}
    return page(request, "problem.html", status=error.status_code, title="Not found", problem=told)


async def _forbidden(request: Request, error: Exception) -> Response:
    told = {"kind": "Forbidden", "cause": str(error), "hint": ""}
    if wants_json(request):
        return json({"error": told}, status=403)
    return page(request, "problem.html", status=403, title="Not allowed", problem=told)
