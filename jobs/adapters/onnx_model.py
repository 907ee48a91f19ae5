"""The local classifier: an ONNX model in worker processes, fed in small batches."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import cast

from pebble import CONSTS, ProcessExpired, ProcessPool

from jobs.adapters import onnx_worker
from jobs.adapters.onnx_lane import Lane, Load
from jobs.adapters.onnx_worker import Fault, Setup
from jobs.errors import Misconfigured, Rejected
from jobs.model import Analysis, Image, Limits
from jobs.sniff import LOOK_VERSION

MODELS = Path(__file__).parent / "models"
FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO", "HEIF", "AVIF"})
BATCH = 8
QUEUED = 2
"""Batches for each worker: one that it works on, and one that waits so that it never does."""


class OnnxModel:
    """A classifier that costs nothing a call. Batches whatever is asked at once; each batch has its time."""

    price = 0.0

    def __init__(self, setup: Setup, *, pool: ProcessPool, seconds: float) -> None:
        self.asked = setup.answered
        self.limits = setup.limits
        self._pool = pool
        self._seconds = seconds
        self._queue: asyncio.Queue[tuple[Image, asyncio.Future[Analysis]]] = asyncio.Queue()

    async def classify(self, image: Image) -> Analysis:
        """Analyse one image. Raises Rejected for its faults, also for one that crashes or hangs the decoder."""
        answer: asyncio.Future[Analysis] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((image, answer))
        return await answer

    async def feed(self) -> None:
        """Hand batches to the pool, one after the other, for ever."""
        lane = Lane()
        try:
            while True:
                batch = [await self._queue.get()]
                while len(batch) < BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._answer(batch, lane)
        finally:
            lane.close()

    async def _answer(self, batch: Sequence[tuple[Image, asyncio.Future[Analysis]]], lane: Lane) -> None:
        """Answer a batch; when its process dies or hangs, ask for each image alone, so that only the culprit pays."""
        try:
            results = await self._run(lane.load([image.data for image, _ in batch]))
        except (ProcessExpired, TimeoutError) as error:
            if len(batch) > 1:
                for one in batch:
                    await self._answer([one], lane)
                return
            hung = isinstance(error, TimeoutError)
            reason = f"decoding it took more than {self._seconds:.0f} s" if hung else "decoding it crashed the decoder"
            results = [Fault("hang" if hung else "crash", reason)]
        except Exception as error:  # noqa: BLE001 a bug of the worker is the caller's to see, not the feeder's
            results = [RuntimeError(f"classify: {error!r}")] * len(batch)
        for (image, answer), result in zip(batch, results, strict=True):
            _resolve(answer, image.name, result)

    async def _run(self, load: Load) -> list[Analysis | Fault | Exception]:
        future = self._pool.schedule(onnx_worker.analyse, args=[load], timeout=self._seconds)
        return cast("list[Analysis | Fault | Exception]", await asyncio.wrap_future(future))


def _resolve(answer: asyncio.Future[Analysis], name: str, result: Analysis | Fault | Exception) -> None:
    if answer.done():
        return
    match result:
        case Analysis():
            answer.set_result(result)
        case Fault():
            answer.set_exception(Rejected("classify", name, result.reason, failure_class=result.failure_class))
        case _:
            answer.set_exception(result)


def fingerprint(location: str) -> tuple[Path, str]:
    """Return the folder and the fingerprint of a model: the name of a built-in one, or a path. Raises Misconfigured."""
    folder = MODELS / location if "/" not in location else Path(location)
    try:
        return folder, f"onnx:{folder.name}@{onnx_worker.verify(folder)}.{LOOK_VERSION}"
    except FileNotFoundError as error:
        known = ", ".join(sorted(path.name for path in MODELS.iterdir() if path.is_dir()))
        raise Misconfigured("open model", location, f"{error.filename} is missing", hint=f"Built in: {known}.") from error
    except (ValueError, OSError) as error:
        raise Misconfigured("open model", location, str(error), hint="Get the file again, from a fresh checkout.") from error


@asynccontextmanager
async def open_onnx(
    location: str, *, workers: int, max_bytes: int, max_pixels: int, seconds: float = 20.0
) -> AsyncIterator[OnnxModel]:
    """Open the model in `workers` processes (0: one for each core). The processes start with the first image."""
    folder, answered = fingerprint(location)
    count = workers or os.cpu_count() or 1
    limits = Limits(FORMATS, min_side=50, max_side=16_000, max_bytes=max_bytes)
    setup = Setup(folder, answered, limits, max_pixels)
    context = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(["jobs.adapters.onnx_session"])
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a worker is one thread; a second one only waits for work
        ensure_running()  # its imports go on while the first page is listed
    CONSTS.sleep_unit = 0.03  # how long the pool's threads sleep, and so how long its end takes: a third of a second with 0.1
    pool = ProcessPool(max_workers=count, context=context, initializer=onnx_worker.begin, initargs=[setup])
    model = OnnxModel(setup, pool=pool, seconds=seconds)
    feeders = [asyncio.create_task(model.feed()) for _ in range(count * QUEUED)]
    try:
        yield model
    finally:
        for feeder in feeders:
            feeder.cancel()
        for feeder in feeders:
            with suppress(asyncio.CancelledError):
                await feeder
        pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it so
        await asyncio.to_thread(pool.join)
