"""The program that is killed: the real command line, with a classifier that is counted and a death at a chosen moment.

`KILLS_RUN` numbers the run, `KILLS_COUNTER` is the address of the counter. `KILLS_AT`, as in `store:during:3:0.002`, names a phase,
a side of it, at which entry of the phase the process kills itself, and the seconds that the side needs: `before` it has any effect;
`stalled`, where it hangs for so long without effect while the other tasks go on; `during`, so long after it began; and `after` it
is done.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from jobs import wiring
from jobs.decide import KEEPSAKES
from jobs.errors import Rejected, Transient
from jobs.hashes import PREFIX
from jobs.model import Analysis, Facts, Image, Lease, Limits, OpenPage, Outcome, Record, Scan, Tag
from jobs.ports import Classifier, State
from jobs.settings import Settings
from jobs.steps import Done, Door, Ready, Step

ROOT = Path(__file__).parents[2]
MAGIC = b"\x89PNG\r\n\x1a\n"
BAD = MAGIC + b"bad"
PHASES = ("claim", "answer", "store", "publish", "checkpoint", "open", "close", "pay", "release", "disown", "keep")
"""Write of claims · the paid call · write of results · upload to the index · the place in the scan · page opened · page closed ·
content claimed · content released · claims of the dead given back · answers of replaced versions kept."""

SIDES = ("before", "stalled", "during", "after")


def answer(data: bytes) -> Analysis:
    """Return the one true analysis of some bytes."""
    digest = hashlib.sha256(data).digest()
    tags = (Tag(f"tag {digest[0] % 32}", 0.9), Tag("thing", 0.5))
    return Analysis(tags, f"a {digest.hex()[:12]}", 0.9, Facts(640, 480, "PNG"), "counted-1", struct.pack("<8f", *digest[:8]))


def die() -> NoReturn:
    """Die as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(1)


@dataclass(slots=True)
class Fate:
    """When this process dies by its own hand: at the entry `number` of a phase, counted from 1."""

    phase: str
    side: str
    number: int
    seconds: float

    async def through(self, phase: str, action: Callable[[], Awaitable[Any]]) -> Any:
        """Go through a phase, or die in it."""
        self.number -= phase == self.phase
        if phase != self.phase or self.number != 0:
            return await action()
        if self.side == "stalled":
            await asyncio.sleep(self.seconds)
        if self.side in ("before", "stalled"):
            die()
        if self.side == "during":
            threading.Timer(self.seconds, die).start()
        await action()
        die()


def fated(text: str) -> Fate:
    """Read `KILLS_AT`; an empty one lets live."""
    phase, side, number, seconds = (text or ":::").split(":")
    return Fate(phase, side, int(number or 0), float(seconds or 0))


@dataclass(frozen=True, slots=True)
class Line:
    """The line to the counter."""

    address: str
    run: str

    async def tell(self, verb: str, hashes: Sequence[str] = ()) -> None:
        """Send a message, and wait until it is acknowledged."""
        host, port = self.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(" ".join((verb, self.run, *hashes)).encode() + b"\n")
            if await reader.readline() != b"ok\n":
                raise Transient("tell", self.address, "the counter is gone", unknown=True)
        finally:
            writer.close()


LIMITS = Limits(frozenset({"PNG"}), 50, 16_000, 1_000_000)


@dataclass(slots=True)
class Counted:
    """A classifier whose every call is counted before it is answered. What begins with BAD is refused."""

    line: Line
    fate: Fate
    asked: str = "counted:1"
    price: float = 0.001
    limits: Limits = LIMITS

    async def classify(self, image: Image) -> Analysis:
        """Pay, and answer."""
        await self.fate.through("answer", lambda: self.line.tell("call", [hashlib.sha256(image.data).hexdigest()]))
        if image.data.startswith(BAD):
            raise Rejected("classify", image.name, "it is bad", failure_class="unreadable")
        return answer(image.data)


class Paid:
    """A paid service's classifier as it is, but that every call is counted before it is made."""

    def __init__(self, real: Any, line: Line, fate: Fate) -> None:
        self._real = real
        self._line = line
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def prepare(self, image: Image) -> Step[Analysis]:
        """Return the real one's first step; the process may die in each that is a call."""
        return self._counted(await self._real.prepare(image), hashlib.sha256(image.data).hexdigest())

    def _counted(self, step: Step[Analysis], content: str) -> Step[Analysis]:
        if isinstance(step, Done):
            return step

        async def call(door: Door) -> Step[Analysis]:
            await self._line.tell("call", [content])
            return self._counted(await step.make(door), content)

        return Ready(step.price, lambda door: self._fate.through("answer", partial(call, door)), step.doors)


class Watched:
    """An adapter as it is, but for the phases in which the process may die."""

    def __init__(self, real: Any, fate: Fate, line: Line) -> None:
        self._real = real
        self._fate = fate
        self._line = line

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in ("write", "put", "remove", "publish"):
            return real

        async def call(*arguments: Any) -> Any:
            phase = phase_of(name, arguments)

            async def act() -> Any:
                result = await real(*arguments)
                if phase == "store":
                    await self._line.tell("stored", [one.content_hash for one in result if one and _answers(one)])
                return result

            return await self._fate.through(phase, act)

        return call


def _answers(record: Record) -> bool:
    return record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED) and record.content_hash is not None


def phase_of(name: str, arguments: Sequence[Any]) -> str:
    """Name the phase of a call of the store or the index; empty for one that is none."""
    match name, arguments:
        case "publish", _:
            return "publish"
        case "write", (records,):
            return _phase_of_write(records)
        case "put", (key, document, *_):
            return {Scan: "checkpoint", OpenPage: "open", Lease: "pay" if key.startswith(PREFIX) else ""}.get(type(document), "")
        case "remove", (kind, key, *_) if isinstance(kind, type):
            return {OpenPage: "close", Lease: "release" if key.startswith(PREFIX) else ""}.get(kind, "")
        case _:
            return ""


def _phase_of_write(records: Sequence[Record]) -> str:
    if not records:
        return ""
    first = records[0]
    if first.claim is not None:
        return "claim"
    if first.source == KEEPSAKES:
        return "keep"
    return "disown" if first.failure and first.failure.reason == "its run died" else "store"


def install(fate: Fate, line: Line) -> None:
    """Put the counted classifiers and the watched adapters in the places of the real ones."""
    wires = cast("Any", wiring)
    real_store, real_publishing, real_vision = wiring.store, wiring.publishing, wiring.CLASSIFIERS["azure-vision"]

    @asynccontextmanager
    async def counted(_: Settings, __: str) -> AsyncIterator[Classifier]:
        yield Counted(line, fate)

    @asynccontextmanager
    async def vision(settings: Settings, location: str) -> AsyncIterator[Any]:
        async with real_vision(settings, location) as real:
            yield Paid(real, line, fate)

    @asynccontextmanager
    async def store(settings: Settings) -> AsyncIterator[Any]:
        await line.tell("hello")
        async with real_store(settings) as real:
            yield Watched(real, fate, line)

    @asynccontextmanager
    async def publishing(settings: Settings, state: State) -> AsyncIterator[Any]:
        async with real_publishing(settings, state) as real:
            yield Watched(real, fate, line)

    wiring.CLASSIFIERS.update({"counted": counted, "azure-vision": vision})
    wires.store, wires.publishing = store, publishing


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGESWEEP_", "KILLS_"))}
    return {**kept, **{f"IMAGESWEEP_{name.upper()}": value for name, value in settings.items()}, "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Run the command line."""
    from jobs.cli import main as command_line  # noqa: PLC0415 it is only imported where it is run

    install(fated(os.environ.get("KILLS_AT", "")), Line(os.environ["KILLS_COUNTER"], os.environ["KILLS_RUN"]))
    command_line(sys.argv[1:], prog_name="imagesweep")


if __name__ == "__main__":
    main()
