"""The counter: counts the classifier's calls in another process than the one that makes them, and outlives it.

A message is one line: `hello RUN` when a run is at work, `call RUN HASH` before a call is answered, `stored RUN HASH...` when
answers are durable. Each is acknowledged by a line.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PAUSE = 0.004
"""Seconds that a call takes, once it is counted."""


@dataclass(slots=True)
class Counter:
    """What was called by which run, by content hash in the order of the calls, and what was called though it was stored."""

    calls: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    runs: Tally[int] = field(default_factory=Tally)
    stored: set[str] = field(default_factory=set)
    after_stored: list[tuple[str, int]] = field(default_factory=list)
    hellos: dict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one message; one that was cut off by the death of its sender was never made."""
        with suppress(OSError):
            line = await reader.readline()
            if line.endswith(b"\n"):
                verb, run, *hashes = line.decode().split()
                await self._take(verb, int(run), hashes)
                writer.write(b"ok\n")
                await writer.drain()
        writer.close()

    async def _take(self, verb: str, run: int, hashes: list[str]) -> None:
        match verb:
            case "hello":
                self.hellos[run].set()
            case "call":
                self.runs[run] += 1
                for content in hashes:
                    self.calls[content].append(run)
                    if content in self.stored:
                        self.after_stored.append((content, run))
                await asyncio.sleep(PAUSE)
            case _:
                self.stored.update(hashes)

    def repeats(self) -> Tally[int]:
        """Return how many calls were repeated, by the run whose call was for nothing."""
        return Tally(lost for runs in self.calls.values() for lost in runs[:-1])

    def unexcused(self, killed: Collection[int]) -> list[str]:
        """Say which calls were repeated though no kill explains it."""
        told = [f"run {run} called for {content[:12]}, whose answer was stored" for content, run in self.after_stored]
        for run, number in self.repeats().items():
            if run not in killed:
                told.append(f"{number} calls of run {run} were repeated, though it was not killed")
        for content, runs in self.calls.items():
            if len(set(runs)) < len(runs):
                told.append(f"one run called twice for {content[:12]}: runs {runs}")
        return told


@asynccontextmanager
async def counting() -> AsyncIterator[tuple[Counter, str]]:
    """Serve a counter on a free port of this machine; yield it with its address."""
    counter = Counter()
    server = await asyncio.start_server(counter.serve, "127.0.0.1", 0, backlog=500)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield counter, f"127.0.0.1:{port}"
