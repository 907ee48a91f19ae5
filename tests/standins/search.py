"""A stand-in for Azure AI Search, strict about the contract of version 2026-04-01.

What it refuses, the service would refuse. Tests set its quotas and faults through the object, other programs through
`POST /_control`. `python -m tests.standins.search PORT` runs it alone; its admin key is `admin`, its query key is `query`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.standins.search_http import Refused, answered, check_version, may, prefers, read, refused
from tests.standins.search_query import Document, State, answer
from tests.standins.search_schema import BadRequest, check_properties, columns, compatible, fault, legal_key
from tests.standins.serve import App, Receive, Scope, Send, alone, reset

MOST_ACTIONS, MOST_BYTES, MOST_SHOWN = 1000, 16_000_000, 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request in the place of an answer, `after` or before it took effect; `reset` breaks the connection."""

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    on: str = ""
    after: bool = False
    reset: bool = False


@dataclass(slots=True)
class Index:
    """A definition and its documents: those that are stored, and the state that searches see."""

    definition: dict[str, Any]
    state: State
    stored: dict[str, Document] = field(default_factory=dict)
    waiting: list[tuple[int, str, Document | None]] = field(default_factory=list)


@dataclass(slots=True)
class SearchService:
    """One service. `lag` is how many searches it takes until a write is seen; `quota` the most documents of an index.

    `documents` holds the faults that documents meet, by key, one for each upload: (status, message). `faults` are met by the next
    requests whose path ends with their `on`. `calls` counts requests by the end of their path.
    """

    indexes: dict[str, Index] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    documents: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    latency: float = 0.0
    lag: int = 0
    quota: int | None = None
    page: int = MOST_SHOWN
    most_bytes: int = MOST_BYTES
    calls: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: Request) -> Response:
        """Answer a request as the service does."""
        self.calls[request.url.path.rpartition("/")[2]] += 1
        body = await request.body()
        if self.latency:
            await asyncio.sleep(self.latency)
        met = next((one for one in self.faults if request.url.path.endswith(one.on)), None)
        if met is not None:
            self.faults.remove(met)
        if met is None or met.after:
            response = self._answer(request, body)
        if met is None:
            return response
        if met.reset:
            reset(request.scope["send"])
        return Response(met.body, met.status, dict(met.headers))

    def _answer(self, request: Request, body: bytes) -> Response:
        try:
            return self._routed(request, body)
        except Refused as error:
            return refused(error.status, error.message, error.headers)
        except BadRequest as error:
            return refused(400, str(error))
        except NotImplementedError as error:
            return refused(501, f"THE STAND-IN: {error}")

    def _routed(self, request: Request, body: bytes) -> Response:
        name = request.path_params.get("name", "")
        check_version(request)
        match request.method, request.path_params["what"]:
            case "GET" | "PUT" | "DELETE", "index":
                may(request, "define")
                return self._define(request.method, name, body, request)
            case "GET" | "PUT" | "DELETE", "alias":
                may(request, "define")
                return self._alias(request.method, name, body, request)
            case "POST", "search.index":
                may(request, "index")
                return self._write(self._index(name), body, request)
            case "POST", "search.post.search":
                may(request, "query")
                return self._search(name, body, request)
            case "GET", "count":
                may(request, "query")
                return PlainTextResponse(str(len(self._seen(self._index(name)).documents)))
            case "GET", "document":
                may(request, "query")
                return self._document(self._index(name), request.path_params["key"])
        raise Refused(405, "The method is not allowed")

    def _define(self, method: str, name: str, body: bytes, request: Request) -> Response:
        if method == "DELETE":
            if name in self.aliases.values():
                raise BadRequest(f"The index '{name}' has an alias and cannot be deleted")
            if self.indexes.pop(name, None) is None:
                raise Refused(404, f"No index with the name '{name}' was found")
            return Response(status_code=204)
        if method == "GET":
            found = self._index(name).definition if name else {"value": [one.definition for one in self.indexes.values()]}
            return answered(found)
        definition = read(body, request)
        prefers(request)
        if definition.get("name") != name:
            raise BadRequest("The name in the body is not the name in the address")
        if name in self.aliases:
            raise BadRequest(f"'{name}' is the name of an alias")
        fields = columns(definition)
        old = self.indexes.get(name)
        if old is None:
            self.indexes[name] = Index(definition, State(definition, fields))
            return answered(definition, 201)
        compatible(old.definition, definition)
        state = State(definition, fields, old.state.documents)
        self.indexes[name] = Index(definition, state, old.stored, old.waiting)
        return answered(definition)

    def _alias(self, method: str, name: str, body: bytes, request: Request) -> Response:
        if method != "PUT":
            if name not in self.aliases:
                raise Refused(404, f"No alias with the name '{name}' was found")
            if method == "DELETE":
                del self.aliases[name]
                return Response(status_code=204)
            return answered({"name": name, "indexes": [self.aliases[name]]})
        alias = read(body, request)
        prefers(request)
        if set(alias) - {"name", "indexes", "@odata.etag"} or alias.get("name") != name or len(alias.get("indexes", ())) != 1:
            raise BadRequest("An alias has its name and exactly one index")
        if alias["indexes"][0] not in self.indexes:
            raise BadRequest(f"The index '{alias['indexes'][0]}' does not exist")
        if name in self.indexes:
            raise BadRequest(f"'{name}' is the name of an index")
        known, self.aliases[name] = name in self.aliases, alias["indexes"][0]
        return answered(alias, 200 if known else 201)

    def _index(self, name: str) -> Index:
        found = self.indexes.get(self.aliases.get(name, name))
        if found is None:
            raise Refused(404, f"The index '{name}' for service 'standin' was not found.")
        return found

    def _seen(self, index: Index) -> State:
        """Return what a search sees, and let what waits come nearer."""
        for rest, key, document in index.waiting:
            if rest <= 0:
                index.state.put(key, document)
        index.waiting = [(rest - 1, key, document) for rest, key, document in index.waiting if rest > 0]
        return index.state

    def _write(self, index: Index, body: bytes, request: Request) -> Response:
        if len(body) > self.most_bytes:
            raise Refused(413, "The request is too large")
        actions = read(body, request).get("value", [])
        if not 1 <= len(actions) <= MOST_ACTIONS:
            raise BadRequest(f"The request is invalid. Details: a batch has from 1 to {MOST_ACTIONS} actions, not {len(actions)}")
        for action in actions:
            check_properties({name: value for name, value in action.items() if name != "@search.action"}, index.state.fields)
        results = [self._act(index, action) for action in actions]
        return answered({"value": results}, 200 if all(one["status"] for one in results) else 207)

    def _act(self, index: Index, action: Mapping[str, Any]) -> dict[str, Any]:
        """Do one action and return its result."""
        kind = action.get("@search.action")
        document = {name: value for name, value in action.items() if name != "@search.action"}
        key = document.get(next(name for name, column in index.state.fields.items() if column.key))
        if kind not in ("upload", "delete"):
            raise NotImplementedError(f"the stand-in does not do {kind}")
        complaint = self._complaint(index, kind, key, document)
        if complaint is not None:
            return {"key": key, "status": False, "errorMessage": complaint[1], "statusCode": complaint[0]}
        created = key not in index.stored
        assert isinstance(key, str)
        if kind == "delete":
            index.stored.pop(key, None)
        else:
            index.stored[key] = {**dict.fromkeys(index.state.fields), **document}
        index.waiting.append((self.lag, key, index.stored.get(key)))
        return {"key": key, "status": True, "errorMessage": None, "statusCode": 201 if kind == "upload" and created else 200}

    def _complaint(self, index: Index, kind: str, key: Any, document: Document) -> tuple[int, str] | None:
        if not legal_key(key):
            return 400, f"Invalid document key: '{key}'. Keys can only contain letters, digits, underscore, dash, or equal sign."
        if self.documents.get(key):
            return self.documents[key].pop(0)
        if kind == "delete":
            return None
        if self.quota is not None and key not in index.stored and len(index.stored) >= self.quota:
            return 429, "The document count quota has been exceeded."
        wrong = fault(document, index.state.fields)
        return (400, wrong) if wrong else None

    def _search(self, name: str, body: bytes, request: Request) -> Response:
        asked = read(body, request)
        found = answer(self._seen(self._index(name)), asked, self.page)
        if "@search.nextPageParameters" in found:
            found["@odata.nextLink"] = str(request.url)
        return answered(found)

    def _document(self, index: Index, key: str) -> Response:
        state = self._seen(index)
        if key not in state.documents:
            return Response(status_code=404)
        return answered({name: state.documents[key].get(name) for name, one in state.fields.items() if one.retrievable})

    async def control(self, request: Request) -> Response:
        """Set latency, lag, quota, page, faults (as objects) and faults of documents; answer with what was counted."""
        asked = await request.json()
        for name in ("latency", "lag", "quota", "page"):
            if name in asked:
                setattr(self, name, asked[name])
        self.faults += [Fault(**one) for one in asked.get("faults", ())]
        self.documents |= {key: [(status, text) for status, text in some] for key, some in asked.get("documents", {}).items()}
        return answered({"calls": self.calls, "indexes": {name: len(one.stored) for name, one in self.indexes.items()}})


def app(service: SearchService) -> App:
    """Return the ASGI app of a service."""

    def route(path: str, what: str) -> Route:
        async def endpoint(request: Request) -> Response:
            request.path_params["what"] = what
            return await service.handle(request)

        return Route(path, endpoint, methods=["GET", "PUT", "POST", "DELETE"])

    routes = [
        route("/indexes('{name}')/docs/search.index", "search.index"),
        route("/indexes('{name}')/docs/search.post.search", "search.post.search"),
        route("/indexes('{name}')/docs/$count", "count"),
        route("/indexes('{name}')/docs('{key}')", "document"),
        route("/indexes('{name}')", "index"),
        route("/indexes", "index"),
        route("/aliases('{name}')", "alias"),
        Route("/_control", service.control, methods=["POST"]),
    ]
    routed = Starlette(routes=routes)

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        await routed({**scope, "send": send}, receive, send)

    return outermost


def main(arguments: Sequence[str]) -> None:
    """Run the stand-in at a port."""
    alone(app(SearchService()), int(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
