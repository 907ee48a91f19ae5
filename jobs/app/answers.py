"""What the HTTP functions answer: sweeps that are asked for and looked at, and whether all parts are well."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import to_jsonable_python

from jobs.app.desk import Desk
from jobs.app.rounds import ACTIVE, ask, find, shown, track_of
from jobs.app.schedule import begin, revive
from jobs.errors import Misconfigured, SweepError, Transient
from jobs.model import Round, Scan

log = logging.getLogger("imagesweep")

MOST_BODY = 16_384
"""Bytes of a request that are read; the largest honest one has a few hundred."""
AHEAD = timedelta(minutes=5)
"""How far two clocks may differ before a window that ends in the future is a mistake."""
POLL = 30
"""Seconds after which to ask again about a round that is under way."""
FIRST_POLL = 15


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: status, JSON body, headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"

    def text(self) -> str:
        """Return the body as it is sent."""
        return json.dumps(to_jsonable_python(self.body), ensure_ascii=False)


class Window(BaseModel):
    """A span of time: everything that was written before its end is to be settled. A sweep has no use for the start."""

    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime | None = None
    end: AwareDatetime

    @model_validator(mode="after")
    def _forward(self) -> Window:
        if self.start is not None and self.start >= self.end:
            raise ValueError("the window ends before it begins")
        return self


class Wanted(BaseModel):
    """The body of POST /api/sweeps; an empty one asks for a sweep of all sources as they are now."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = None
    window: Window | None = None


async def answer(work: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return what `work` returns; what goes wrong becomes a problem document, without anything secret in it."""
    try:
        return await work()
    except Transient as error:
        log.warning("http.away", extra={"reason": str(error)})
        return problem(503, "A service is out of reach", str(error), {"Retry-After": str(POLL)})
    except SweepError as error:
        log.exception("http.failed", extra={"reason": str(error)})
        return problem(500, "The sweep cannot be run", str(error))
    except Exception:
        log.exception("http.failed")
        return problem(500, "Something unforeseen happened", "The log says what.")


async def post_sweep(desk: Desk, body: bytes, url: str) -> Reply:
    """Ask for a sweep: 202 and where to look, 200 when the window is settled already, 4xx for what cannot be meant."""
    wanted = _wanted(body)
    if isinstance(wanted, Reply):
        return wanted
    if wanted.source is not None and wanted.source not in desk.sources:
        return problem(422, "Unknown source", f"IMAGESWEEP_SOURCE does not name {wanted.source!r}.")
    sources = desk.sources if wanted.source is None else (wanted.source,)
    store = await desk.store()
    now = await store.now()
    until = wanted.window.end if wanted.window else None
    if until is not None:
        if until > now + AHEAD:
            return problem(422, "The window is not over", f"It ends at {until.isoformat()}, and it is {now.isoformat()} now.")
        settled = await _settled(desk, sources)
        if settled is not None and until <= settled:
            return Reply(200, {"status": "complete", "message": "Everything in this window is settled.", "watermark": settled})
    one, fresh = await ask(store, track=track_of(wanted.source), sources=sources, now=now, until=until)
    await (begin(desk, one) if fresh else revive(desk, one))
    return _under_way(one, _beside(url, one.id), FIRST_POLL)


async def get_sweep(desk: Desk, round_id: str, url: str) -> Reply:
    """Tell of a sweep: 202 while it is under way, 200 with its report when it is over, however it ended."""
    found = await find(await desk.store(), round_id)
    if found is None:
        return problem(404, "Unknown sweep", f"There is no sweep {round_id[:80]!r}.")
    one, _ = found
    if one.status in ACTIVE:
        await revive(desk, one)
        return _under_way(one, url, POLL)
    return Reply(200, shown(one))


async def health(desk: Desk) -> Reply:
    """Ask each part whether it can be reached: 200 when all can, 503 otherwise. Causes are in the log, not in the answer."""
    looks = (("source", _look_at_sources), ("store", _look_at_store), ("index", _look_at_index), ("classifier", Desk.classifier))
    parts: dict[str, str] = {}
    for name, look in looks:
        try:
            await look(desk)
            parts[name] = "ok"
        except SweepError as error:
            log.warning("health", extra={"key": name, "reason": str(error)})
            parts[name] = "misconfigured" if isinstance(error, Misconfigured) else "unreachable"
    well = set(parts.values()) == {"ok"}
    return Reply(200 if well else 503, {"status": "ok" if well else "failing", "parts": parts}, {"Cache-Control": "no-store"})


async def _look_at_sources(desk: Desk) -> None:
    for named in desk.sources:
        await (await desk.source(named)).now()


async def _look_at_store(desk: Desk) -> None:
    await (await desk.store()).now()


async def _look_at_index(desk: Desk) -> None:
    async with aclosing((await desk.index()).revisions("")) as nothing:
        async for _ in nothing:
            break


def _wanted(body: bytes) -> Wanted | Reply:
    if len(body) > MOST_BODY:
        return problem(413, "The body is too large", f"It has {len(body):,} bytes, and {MOST_BODY:,} are read.")
    try:
        found = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        return problem(400, "The body is no JSON", str(error)[:200])
    try:
        return Wanted.model_validate(found)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors(include_url=False)]
        return problem(422, "The body does not say what to sweep", "; ".join(said)[:1000])


async def _settled(desk: Desk, sources: tuple[str, ...]) -> datetime | None:
    """Return the time up to which all of these sources are settled by today's filters, None where one is not."""
    store, scope = await desk.store(), desk.terms().scope
    marks: list[datetime] = []
    for named in sources:
        source = await desk.source(named)
        found = await store.get(Scan, f"{source.key}|{source.prefix}")
        if found is None or found[0].watermark is None or found[0].scope != scope:
            return None
        marks.append(found[0].watermark)
    return min(marks, default=None)


def _under_way(one: Round, url: str, seconds: int) -> Reply:
    return Reply(202, shown(one), {"Location": url, "Retry-After": str(seconds)})


def _beside(url: str, round_id: str) -> str:
    """Return the address of a sweep: that of the request with its id, and with the key if the request brought it in its address."""
    parts = urlsplit(url)
    key = {name: value for name, value in parse_qs(parts.query).items() if name == "code"}
    return parts._replace(path=f"{parts.path.rstrip('/')}/{round_id}", query=urlencode(key, doseq=True), fragment="").geturl()


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a problem document (RFC 9457)."""
    return Reply(status, {"title": title, "status": status, "detail": detail}, headers or {}, "application/problem+json")
