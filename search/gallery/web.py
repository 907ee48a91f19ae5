"""What every answer of the gallery has in common: headers, templates, errors."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import SweepError
from search.filters import FILTERS
from search.gallery.parts import Parts
from search.language import spelled
from search.values import Unclear

HERE = Path(__file__).parent

_POLICY = (
    "default-src 'none'; img-src 'self'{images}; script-src 'self'; style-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Headers:
    """Middleware that says to browsers what pages of the gallery may do: load what is its own, and nothing else."""

    def __init__(self, app: ASGIApp, *, image_origin: str = "") -> None:
        self._app = app
        policy = _POLICY.format(images=f" {image_origin}" if image_origin else "")
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to an answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in self._headers.items() if name.encode() not in there]
                message["headers"] = [*message["headers"], *added]
                if b"cache-control" not in there:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        await self._app(scope, receive, with_headers)


def parts(request: Request) -> Parts:
    """Return what the gallery was given."""
    found: Parts = request.app.state.parts
    return found


def root(request: Request) -> str:
    """Return the path at which the gallery is mounted, empty at the top."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page from a template; every value in it is escaped."""
    about = {"root": root(request), "q": "", "editable": bool(parts(request).key), "filters": FILTERS, "problem": None}
    about["can_plan"] = parts(request).plan is not None
    about["can_parquet"] = find_spec("pyarrow") is not None
    about["can_embed"] = parts(request).embed is not None
    about["may_edit"] = request.scope.get("imagesweep.editor", False)
    about["csrf"] = request.scope.get("imagesweep.csrf", "")
    return HTMLResponse(_environment(request).get_template(template).render(about | values), status_code=status)


def json(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return records, times and enums as JSON."""
    return Response(to_json(value), status, dict(headers or {}), "application/json")


def problem(error: SweepError) -> dict[str, Any]:
    """Return an error as it is told to programs and to pages."""
    told: dict[str, Any] = {"kind": type(error).__name__, "cause": error.cause, "hint": error.hint}
    return told | {"start": error.start, "end": error.end} if isinstance(error, Unclear) else told


def status_of(error: SweepError) -> int:
    """Return the status of an answer for an error: the caller's fault, or that of a part behind us."""
    return 400 if isinstance(error, Unclear) else 503


def wants_json(request: Request) -> bool:
    """Say whether a program asks, and not a person."""
    return request.url.path.startswith(f"{root(request)}/api/") or request.headers.get("accept") == "application/json"


async def failed(request: Request, error: Exception) -> Response:
    """Say what went wrong, as a page or as JSON."""
    assert isinstance(error, SweepError)
    status = status_of(error)
    if wants_json(request):
        return json({"error": problem(error)}, status=status)
    return page(request, "problem.html", status=status, problem=problem(error), title="Something is not there")


def _environment(request: Request) -> Environment:
    environment: Environment = request.app.state.templates
    return environment


def environment() -> Environment:
    """Return the templates, with the filters that they use."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": _number, "bytes": _bytes, "time": _time, "percent": _percent, "day": _day}
    made.filters["duration"] = _duration
    made.globals |= {"spelled": lambda name, *values: spelled(name, values), "version": secrets.token_hex(4)}
    return made


def _number(value: float) -> str:
    return f"{value:,}"


def _bytes(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:  # noqa: PLR2004  # the step between units
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004
        value /= 1000
    return f"{value:.1f} GB"


def _time(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if time else ""


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%d %b %Y}"


def _duration(seconds: float) -> str:
    for name, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {name}"
    return f"{seconds:,.0f} seconds"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
