"""What the search API takes and answers, as OpenAPI 3.1: the shapes come from the records themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from jobs.model import Record
from search.gallery.suggest import Suggestion
from search.query import FACETS, Bucket, Hit

_SHAPES = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Found:
    """A page of results; `next` is the cursor of the one after it, null at the end."""

    count: int
    results: tuple[Hit, ...]
    facets: dict[str, tuple[Bucket, ...]]
    next: str | None


@dataclass(frozen=True, slots=True)
class Suggested:
    """What the box could hold instead."""

    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, and what to do; for a query also from where to where in its text."""

    kind: str
    cause: str
    hint: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer that is none."""

    error: Problem


def description(root: str) -> dict[str, Any]:
    """Return the description of an API that is mounted at a path."""
    kinds: dict[str, type[Any]] = {"Found": Found, "Image": Record, "Suggested": Suggested, "Failed": Failed}
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (name, "serialization", TypeAdapter(kind)) for name, kind in kinds.items()
    ]
    named, shapes = TypeAdapter.json_schemas(inputs, ref_template=_SHAPES)
    schemas = shapes.get("$defs", {})
    of = {name: named[(name, "serialization")] for name in kinds}
    q = _parameter("q", {"type": "string", "maxLength": 2000}, "What to find, in the language of the search box.")
    return {
        "openapi": "3.1.0",
        "info": {"title": "imagesweep search", "version": "1", "description": "Finds images by what is in them."},
        "servers": [{"url": root or "/"}],
        "paths": {
            "/api/search": {"get": _operation("search", "Find images.", [q, *_paging()], of["Found"], of["Failed"])},
            "/api/images/{id}": {
                "get": _operation("image", "Get everything known of one image.", [_id()], of["Image"], of["Failed"])
            },
            "/api/suggest": {"get": _operation("suggest", "Complete a query.", [q], of["Suggested"], of["Failed"])},
        },
        "components": {"schemas": schemas},
    }


def _paging() -> Sequence[dict[str, Any]]:
    return [
        _parameter("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}, "Results on a page."),
        _parameter("cursor", {"type": "string"}, "`next` of the answer before."),
        _parameter("facets", {"type": "string"}, f"Fields to count, with commas between: {', '.join(FACETS)}."),
    ]


def _id() -> dict[str, Any]:
    shape = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    return {"name": "id", "in": "path", "required": True, "description": "Identity of the image.", "schema": shape}


def _parameter(name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


def _operation(
    name: str, about: str, parameters: Sequence[dict[str, Any]], found: dict[str, Any], failed: dict[str, Any]
) -> dict[str, Any]:
    def answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"description": text, "content": {"application/json": {"schema": schema}}}

    answers = {"200": answer("What was asked for.", found), "400": answer("The query makes no sense.", failed)}
    answers |= {"404": answer("There is no such image.", failed), "503": answer("A part behind is down.", failed)}
    return {"operationId": name, "summary": about, "parameters": list(parameters), "responses": answers}
