"""The worker processes: what crashes or hangs a decoder costs that image only."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import time
from collections.abc import Sequence

import pytest
from pebble import ProcessPool

from jobs.adapters import onnx_model, onnx_worker
from jobs.adapters.onnx_model import OnnxModel, fingerprint, open_onnx
from jobs.adapters.onnx_worker import Fault, Setup
from jobs.errors import Rejected
from jobs.model import Analysis, Image, Limits
from tests.acceptance.conftest import picture
from tests.conftest import Run

LIMITS = Limits(onnx_model.FORMATS, 50, 16_000, 10_000_000)


def photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def _sabotage(setup: Setup) -> None:
    """Begin a worker whose decoder dies of some bytes and never ends with others."""
    onnx_worker.begin(setup)
    from jobs.adapters import onnx_session  # noqa: PLC0415 heavy, for the worker only

    honest = onnx_session.look

    def look(data: bytes, **options: object) -> object:
        if data == b"crash":
            os._exit(1)
        while data == b"hang":
            time.sleep(1)
        return honest(data, **options)  # type: ignore[arg-type]

    onnx_session.look = look  # type: ignore[assignment]


async def _classify(images: Sequence[bytes]) -> list[Analysis | BaseException]:
    folder, answered = fingerprint("efficientnet-lite0")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPool(max_workers=1, context=context, initializer=_sabotage, initargs=[Setup(folder, answered, LIMITS, 10**7)])
    model = OnnxModel(Setup(folder, answered, LIMITS, 10**7), pool=pool, seconds=2)
    feeder = asyncio.create_task(model.feed())
    try:
        asked = (model.classify(Image(f"{n}.png", data)) for n, data in enumerate(images))
        return await asyncio.gather(*asked, return_exceptions=True)
    finally:
        feeder.cancel()
        pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(pool.join)


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "failure_class"), [(b"crash", "crash"), (b"hang", "hang"), (b"nonsense", "not-an-image")])
def test_one_bad_image_in_a_batch_costs_itself_only(run: Run, bad: bytes, failure_class: str) -> None:
    answers = run(_classify([photo(1), bad, photo(2)]))
    assert isinstance(answers[0], Analysis)
    assert isinstance(answers[2], Analysis)
    assert isinstance(answers[1], Rejected)
    assert (answers[1].failure_class, answers[1].key) == (failure_class, "1.png")


def test_an_answer_has_all_its_parts(run: Run) -> None:
    async def world() -> Analysis:
        async with open_onnx("efficientnet-lite0", workers=1, max_bytes=10_000_000, max_pixels=10**7) as model:
            assert model.asked.startswith("onnx:efficientnet-lite0@")
            return await model.classify(Image("a.png", photo(1)))

    analysis = run(world())
    assert analysis.embedding is not None
    assert len(analysis.embedding) == 1280 * 4
    assert sum(x * x for x in memoryview(analysis.embedding).cast("f")) == pytest.approx(1)
    assert (analysis.facts.width, analysis.facts.height, analysis.facts.format) == (80, 60, "PNG")


def test_a_bug_in_the_worker_is_no_fault_of_the_image(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def world() -> BaseException | Analysis:
        async with open_onnx("efficientnet-lite0", workers=1, max_bytes=10_000_000, max_pixels=10**7) as model:

            async def broken(_: list[bytes]) -> list[Analysis | Fault | Exception]:
                raise KeyError("bug")

            monkeypatch.setattr(model, "_run", broken)
            (answer,) = await asyncio.gather(model.classify(Image("a.png", photo(1))), return_exceptions=True)
            return answer

    assert isinstance(run(world()), RuntimeError)
