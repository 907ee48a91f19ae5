"""Answer: find what was paid for the same bytes before, in this run, in the ledger or by another process; else make one call."""

from __future__ import annotations

import asyncio

from jobs import hashes, telemetry
from jobs.errors import Halted, SweepError, Transient
from jobs.model import Analysis, Image
from jobs.retry import retry
from jobs.run import Parts, Run

POLL = 1.0
"""Seconds between two looks at content that another process is paying for."""


async def answer(image: Image, content_hash: str, *, parts: Parts, run: Run) -> tuple[Analysis, bool]:
    """Return the analysis of some bytes, and whether it was there already. `answered` is to be called once it is stored.

    Raises what `Classifier.classify` does, and Halted when the run admits no more calls.
    """
    flying = run.answering.get(content_hash)
    if flying is not None:
        return await asyncio.shield(flying), True
    flying = run.answering[content_hash] = asyncio.get_running_loop().create_future()
    try:
        analysis, reused = await _reuse_or_call(image, content_hash, parts=parts, run=run)
    except BaseException as error:
        known = isinstance(error, SweepError)
        flying.set_exception(error if known else Transient("classify", image.name, "the call was cut off"))
        flying.exception()  # seen: nobody else may be waiting for it
        if known:
            await answered(content_hash, parts=parts, run=run)
        raise
    flying.set_result(analysis)
    return analysis, reused


async def answered(content_hash: str, *, parts: Parts, run: Run) -> None:
    """Let go of some content, whose answer is stored or will not come: the ledger speaks for it from now on."""
    run.answering.pop(content_hash, None)
    version = run.paying.pop(content_hash, None)
    if version is not None:
        key = hashes.key_of(content_hash, parts.classifier.asked)
        await hashes.release(parts.state, key, version, run.terms.retry)


async def _reuse_or_call(image: Image, content_hash: str, *, parts: Parts, run: Run) -> tuple[Analysis, bool]:
    found = await run.reusable(content_hash)
    if found is None and parts.classifier.price:
        await _claim(image.name, content_hash, parts=parts, run=run)
        found = await run.reusable(content_hash)
    if found is not None and found.analysis is not None:
        return found.analysis, True
    return await retry(lambda: _call(image, parts=parts, run=run), run.terms.retry, failed=run.fared), False


async def _claim(name: str, content_hash: str, *, parts: Parts, run: Run) -> None:
    """Claim some content across processes; while another pays for it, wait for its answer, for the time of a call at most."""
    terms = run.terms
    key = hashes.key_of(content_hash, parts.classifier.asked)
    end = asyncio.get_running_loop().time() + terms.call_seconds
    while True:
        version = await hashes.claim(
            parts.state, key, owner=run.owner, now=run.now(), seconds=terms.claim_seconds, policy=terms.retry
        )
        if version is not None:
            run.paying[content_hash] = version
            return
        if asyncio.get_running_loop().time() > end or not run.admits():
            cause = "another process is classifying the same bytes"
            raise Transient("classify", name, cause, failure_class="claimed")
        await asyncio.sleep(POLL)


async def _call(image: Image, *, parts: Parts, run: Run) -> Analysis:
    """Make one call, which counts, within its time."""
    async with run.throttle.call(run.admits):
        if not run.spend():
            raise Halted("classify", image.name, "the run admits no more calls")
        try:
            with telemetry.span("call", blob=image.name, bytes=len(image.data)):
                async with asyncio.timeout(run.terms.call_seconds):
                    analysis = await parts.classifier.classify(image)
        except TimeoutError as error:
            raise Transient("classify", image.name, "no answer in time", unknown=True, failure_class="timeout") from error
    run.fared(None)
    return analysis
