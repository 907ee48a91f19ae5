"""What Azure AI Search demands of every request, and the bodies of its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.standins.search_schema import BadRequest

VERSION = "2026-04-01"
RIGHTS: Mapping[str, frozenset[str]] = {
    "admin": frozenset({"define", "index", "query"}),
    "query": frozenset({"query"}),
    "contributor": frozenset({"index", "query"}),
}
"""What each key (or bearer token) may do; the last is an identity with the role Search Index Data Contributor only."""


class Refused(Exception):
    """The answer is this status, with an error body."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def check_version(request: Request) -> None:
    if request.query_params.getlist("api-version") != [VERSION]:
        raise BadRequest(f"The api-version is {VERSION}")


def may(request: Request, right: str) -> None:
    key = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    if not key:
        raise Refused(401, "The request has neither a key nor a token")
    if right not in RIGHTS.get(key, ()):
        raise Refused(403, f"The key or the identity may not {right}")


def prefers(request: Request) -> None:
    if request.headers.get("prefer") != "return=representation":
        raise BadRequest("Prefer: return=representation is required")


def read(body: bytes, request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "The content type is application/json")
    try:
        read = json.loads(body, parse_constant=_no_number)
    except ValueError as error:
        raise BadRequest(f"The request is invalid. Details: {error}") from error
    if not isinstance(read, dict):
        raise BadRequest("The request is invalid. Details: an object is expected")
    return read


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def answered(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")


def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"error": {"code": "", "message": message}}
    return Response(json.dumps(body), status, {**(headers or {})}, media_type="application/json")
