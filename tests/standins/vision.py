"""A stand-in for AI Vision: strict about the contract, with quotas and faults that a test sets, and a count of what was paid for.

`python -m tests.standins.vision PORT [fast]` runs it alone; what a test sets on the object is then set at `/_control`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.standins import vision_rules as rules
from tests.standins.serve import Receive, Scope, Send, alone, cut, reset
from tests.standins.vision_answers import Eyes, answer
from tests.standins.vision_rules import Refusal

KEY = "vision-key"
ANALYZE = "/computervision/imageanalysis:analyze"
RETRIEVAL = "/computervision/retrieval:"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call. `status` answers without work; the others happen to an answer that was worked for and is paid.

    `slow` waits `seconds` before the answer; `text` is a body that is not JSON.
    """

    kind: Literal["status", "reset", "truncated", "slow", "garbage"] = "status"
    status: int = 500
    code: str = "InternalServerError"
    message: str = "The service failed."
    inner: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Terms:
    """What a test may set. Quotas count calls in windows of one and of ten seconds; `latency` is in seconds.

    `captions` is false in regions without them; `told` puts the delay of a 429 into a Retry-After header as well as in its message;
    `always` happens to every call, `faults` to one call each.
    """

    key: str = KEY
    token: str = ""
    per_second: int | None = None
    per_ten_seconds: int | None = None
    latency: float = 0.0
    captions: bool = True
    told: bool = True
    model: str = "2023-10-01"
    always: Fault | None = None
    faults: deque[Fault] = field(default_factory=deque)


@dataclass(slots=True)
class Counts:
    """Calls by what they came to. `paid` and `embedded` are by SHA-256 of the content, `texts` by text.

    `by_second` counts those that were in the quota, by the second of the stand-in's clock.
    """

    calls: int = 0
    throttled: int = 0
    refused: int = 0
    most_at_once: int = 0
    by_second: Counter[int] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    embedded: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)

    @property
    def twice(self) -> dict[str, int]:
        """The contents that were paid for more than once, and how often."""
        return {digest: number for digest, number in self.paid.items() if number > 1}


class VisionStandin:
    """The ASGI app."""

    def __init__(self, *, fast: bool = False, clock: Callable[[], float] = time.monotonic, **terms: Any) -> None:
        self.terms = Terms(**terms)
        self.counts = Counts()
        self.requests: deque[tuple[str, dict[str, str], dict[str, str]]] = deque(maxlen=100)
        self._eyes = Eyes(fast=fast)
        self._clock = clock
        self._windows: Counter[tuple[int, int]] = Counter()
        self._flying = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.url.path == "/_control":
            await (await self._control(request))(scope, receive, send)
            return
        self._flying += 1
        self.counts.most_at_once = max(self.counts.most_at_once, self._flying)
        try:
            await self._serve(request, scope, receive, send)
        finally:
            self._flying -= 1

    async def _serve(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        body = await request.body()
        self.requests.append((request.url.path, dict(request.query_params), dict(request.headers)))
        self.counts.calls += 1
        fault: Fault | None = None
        try:
            self._admit(request)
            fault = self._fault()
            await asyncio.sleep(self.terms.latency)
            response: Response = JSONResponse(await self._work(request, body))
        except Refusal as refusal:
            self.counts.refused += 1
            response = JSONResponse(refusal.body, refusal.status, refusal.headers)
            if refusal.page:
                response = Response(refusal.page, refusal.status, refusal.headers, "text/html")
        await _deliver(response, fault, scope, receive, send)

    def _fault(self) -> Fault | None:
        """Return what goes wrong with this call after its work, None if nothing does; a status is answered at once."""
        fault = self.terms.faults.popleft() if self.terms.faults else self.terms.always
        if fault is not None and fault.kind == "status":
            raise Refusal(fault.status, fault.code, fault.message, inner=fault.inner, headers=fault.headers, page=fault.text)
        return fault

    def _admit(self, request: Request) -> None:
        """Check key and quota, which come before all else."""
        key, bearer = request.headers.get("ocp-apim-subscription-key"), request.headers.get("authorization", "")
        if bearer:
            if not self.terms.token or bearer != f"Bearer {self.terms.token}":
                raise Refusal(401, "PermissionDenied", "The principal lacks the required data action for this operation.")
        elif key != self.terms.key:
            raise Refusal(401, "401", rules.WRONG_KEY)
        now = self._clock()
        for seconds, most in ((1, self.terms.per_second), (10, self.terms.per_ten_seconds)):
            if most is not None and self._windows[seconds, int(now // seconds)] >= most:
                self.counts.throttled += 1
                raise self._too_many(math.ceil(seconds - now % seconds))
        self.counts.by_second[int(now)] += 1
        for seconds in (1, 10):
            self._windows[seconds, int(now // seconds)] += 1

    def _too_many(self, wait: int) -> Refusal:
        message = (
            "Requests to the ImageAnalysis_Analyze Operation under Computer Vision API (2023-10-01) have exceeded call rate limit "
            f"of your current ComputerVision S1 pricing tier. Please retry after {wait} second{'s' * (wait != 1)}. To increase "
            "your call rate switch to another tier."
        )
        return Refusal(429, "429", message, headers={"Retry-After": str(wait)} if self.terms.told else None)

    async def _work(self, request: Request, body: bytes) -> Any:
        path = request.url.path
        if request.method != "POST" or not (path == ANALYZE or path.startswith(RETRIEVAL)):
            raise Refusal(404, "404", "Resource not found")
        if path == ANALYZE:
            return await self._analyze(request, body)
        rules.check_version(request.query_params, rules.RETRIEVAL_VERSIONS)
        rules.check_names(request.query_params.multi_items(), ("api-version", "model-version"))
        if request.query_params.get("model-version") not in rules.EMBEDDING_MODELS:
            raise rules.invalid("The model-version is missing or not known.", "BadArgument")
        if path == f"{RETRIEVAL}vectorizeImage":
            return await self._vectorize(await _picture(request, body))
        if path == f"{RETRIEVAL}vectorizeText":
            return await self._vectorize_text(_text(request, body))
        raise Refusal(404, "404", "Resource not found")

    async def _analyze(self, request: Request, body: bytes) -> Any:
        query = request.query_params
        rules.check_version(query, rules.ANALYZE_VERSIONS)
        known = ("api-version", "features", "language", "gender-neutral-caption", "smartcrops-aspect-ratios", "model-version")
        rules.check_names(query.multi_items(), known)
        asked = rules.check_question(query, captions=self.terms.captions)
        data = await _picture(request, body)
        size = rules.check_picture(data, least=50)
        digest = hashlib.sha256(data).hexdigest()
        view = await self._look(data, digest)
        self.counts.paid[digest] += 1
        return answer(view, asked, size, self.terms.model)

    async def _look(self, data: bytes, digest: str) -> Any:
        if self._eyes.fast:
            return self._eyes.look(data, digest)
        return await asyncio.to_thread(self._eyes.look, data, digest)

    async def _vectorize(self, data: bytes) -> Any:
        rules.check_picture(data, least=10)
        digest = hashlib.sha256(data).hexdigest()
        view = await self._look(data, digest)
        self.counts.embedded[digest] += 1
        return {"modelVersion": "2023-04-15", "vector": [float(value) for value in view.vector]}

    async def _vectorize_text(self, text: str) -> Any:
        self.counts.texts[text] += 1
        return {"modelVersion": "2023-04-15", "vector": [float(value) for value in self._eyes.imagine(text)]}

    async def _control(self, request: Request) -> Response:
        """GET tells the counts, POST sets terms, DELETE forgets counts, faults and quotas used."""
        if request.method == "DELETE":
            self.counts = Counts()
            self.terms.faults.clear()
            self.terms.always = None
            self._windows.clear()
        elif request.method == "POST":
            for name, value in (await request.json()).items():
                setattr(self.terms, name, _term(name, value))
        told = {part.name: getattr(self.counts, part.name) for part in fields(self.counts)}
        return JSONResponse(told | {"twice": self.counts.twice})


def _term(name: str, value: Any) -> Any:
    match name:
        case "faults":
            return deque(Fault(**fault) for fault in value)
        case "always":
            return Fault(**value) if value else None
        case _:
            return value


async def _deliver(response: Response, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer, or what a fault leaves of it."""
    match fault.kind if fault else "":
        case "reset":
            reset(send)
        case "truncated":
            await send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
            await send({"type": "http.response.body", "body": bytes(response.body)[:20], "more_body": True})
            cut(send)
        case "garbage":
            await Response(fault.text if fault else "", 200, media_type="application/json")(scope, receive, send)
        case kind:
            await asyncio.sleep(fault.seconds if fault and kind == "slow" else 0)
            await response(scope, receive, send)


async def _picture(request: Request, body: bytes) -> bytes:
    """Return the bytes of the picture that a request brings, or names."""
    kind = request.headers.get("content-type", "").split(";")[0]
    if kind == "application/octet-stream":
        return body
    if kind != "application/json":
        raise rules.invalid(f"The image content type '{kind}' is not supported.", "BadArgument")
    try:
        url = json.loads(body)["url"]
        return await asyncio.to_thread(_fetch, url)
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise rules.invalid("Image URL is badly formatted or not accessible.", "InvalidImageUrl") from error


def _fetch(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(url)
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 its scheme was checked
        data: bytes = response.read(rules.MAX_BYTES + 1)
        return data


def _text(request: Request, body: bytes) -> str:
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise rules.invalid("The content type is not supported.", "BadArgument")
    try:
        text = json.loads(body)["text"]
    except (ValueError, LookupError, TypeError) as error:
        raise rules.invalid("The text is missing.", "BadArgument") from error
    if not isinstance(text, str) or not 1 <= len(text.split()) <= 70:
        raise rules.invalid("The text must have 1 to 70 words.", "BadArgument")
    return text


if __name__ == "__main__":
    alone(VisionStandin(fast="fast" in sys.argv[2:]), int(sys.argv[1]))
