"""Where a sweep's CPU time goes, by part and by whose code it is: a sampler that weighs each sample with what it stands for.

A timer of the process's CPU time looks at the stack of the main thread, which runs the event loop, about every four milliseconds
of CPU. A running coroutine has those that await it on its stack, so the outermost function of ours says what part it is for.
Callbacks of the event loop have no such stack: the port that the socket is connected to says which service they are about. Each
sample counts with the main thread's CPU time since the last one, so that the sum is exact; what the process spent beside goes to
the stacks of those other threads that are not waiting. The error of a part is that of its number of samples n, a share of
1/sqrt(n) or so: 0.1 ms an image in 1,000 images is 25 samples, plus or minus a fifth. The sampler's own time is left out.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

ROOT: Final = str(Path(__file__).parent.parent)
EVERY: Final = 0.004
SDK: Final = ("azure", "aiohttp", "yarl", "multidict", "aiosignal", "frozenlist", "propcache", "isodate", "aiohappyeyeballs")
PLACES: Final = (
    ("adapters/azure_blob.py", "pages", "listing"),
    ("adapters/azure_blob.py", "", "read"),
    ("adapters/azure_vision.py", "", "classify"),
    ("search/azure_index/", "", "publish"),
    ("jobs/hashes.py", "", "claims on content"),
    ("adapters/cosmos_lane.py", "_run", "claims on content"),
    ("jobs/settle.py", "_store", "store"),
    ("jobs/publish.py", "", "publish"),
    ("adapters/cosmos", "", "ledger"),
)
"""Parts by file and function of the frame that says so; the first line that any frame of the stack fits."""
OWN: Final = "our own code"
LOOP: Final = "event loop"


class Sampler:
    """CPU seconds of the main thread by part and by whose code: `ours`, with what it calls but the SDKs, or `sdk`.

    `services` name the port of each service that callbacks are about. `hot` counts functions of ours, where samples met them.
    """

    def __init__(self, services: Mapping[int, str]) -> None:
        self.seconds: Counter[tuple[str, str]] = Counter()
        self.hot: Counter[str] = Counter()
        self.samples = 0
        self._services = services
        self._kinds: dict[CodeType, str] = {}
        self._last = time.thread_time()
        self._whole = time.process_time()

    def __call__(self, _: int, frame: FrameType | None) -> None:
        """Take one sample."""
        now, whole = time.thread_time(), time.process_time()
        passed, self._last = now - self._last, now
        beside, self._whole = whole - self._whole - passed, whole
        self.samples += 1
        self._count(frame, passed)
        threads = [one for key, one in sys._current_frames().items() if key != threading.get_ident()]  # noqa: SLF001 its documented name
        busy = [one for one in threads if not _waiting(one)] or threads[:1]
        for one in busy:
            self._count(one, beside / len(busy))
        self._last, self._whole = time.thread_time(), time.process_time()  # our own time is nobody's

    def _count(self, frame: FrameType | None, seconds: float) -> None:
        stack = []
        while frame is not None:
            stack.append(frame)
            frame = frame.f_back
        whose = next((kind for one in stack if (kind := self._kind(one.f_code))), "")
        part = self._part(stack, whose)
        self.seconds[part, whose or "sdk"] += seconds
        self.hot[f"{part:18} {whose:5} {_named(stack)}"] += seconds

    def _kind(self, code: CodeType) -> str:
        found = self._kinds.get(code)
        if found is None:
            found = self._kinds[code] = _whose(code.co_filename)
        return found

    def _part(self, stack: list[FrameType], whose: str) -> str:
        batch = next((one.f_locals["batch"] for one in stack if one.f_code.co_name == "settle" and "batch" in one.f_locals), None)
        if batch:  # a task of its own, below whoever writes
            return "ledger" if batch[0].record.claim is not None else "store"
        for file, function, part in PLACES:
            for one in stack:
                if file in one.f_code.co_filename and one.f_code.co_name.startswith(function):
                    return part
        if whose == "ours":
            return OWN
        return next((found for one in stack if (found := self._peer(one))), LOOP)

    def _peer(self, frame: FrameType) -> str:
        owner = frame.f_locals.get("self")
        transport = getattr(owner, "transport", owner)
        told = getattr(transport, "_extra", None)
        peer = told.get("peername") if isinstance(told, dict) else None
        return self._services.get(peer[1], "") if isinstance(peer, tuple) else ""


def _whose(path: str) -> str:
    if "site-packages" in path:
        package = path.split("site-packages/", 1)[1].partition("/")[0]
        return "sdk" if package in SDK else ""
    return "ours" if path.startswith(ROOT) and "/bench/" not in path else ""


def _waiting(frame: FrameType) -> bool:
    """Say whether a thread of a pool waits for work."""
    return frame.f_code.co_name in ("wait", "_worker", "select")


def _named(stack: list[FrameType]) -> str:
    return " < ".join(f"{Path(one.f_code.co_filename).name}:{one.f_code.co_name}" for one in stack[:6])


@contextmanager
def sampled(services: Mapping[int, str]) -> Iterator[Sampler]:
    """Sample until the body is done."""
    sampler = Sampler(services)
    signal.signal(signal.SIGPROF, sampler)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        yield sampler
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def told(sampler: Sampler) -> dict[str, Any]:
    """Return CPU seconds by part, those of the SDKs and ours."""
    parts: dict[str, list[float]] = {}
    for (part, whose), seconds in sampler.seconds.items():
        parts.setdefault(part, [0.0, 0.0])[whose == "ours"] += seconds
    return {"parts": parts, "samples": sampler.samples, "hot": sampler.hot.most_common(60)}


if __name__ == "__main__":
    sys.exit("bench/azure_sweep.py uses this")
