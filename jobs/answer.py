"""Answer: find what was paid for the same bytes before, in this run, in the ledger or by another process; else make one call."""

from __future__ import annotations

import asyncio
from functools import partial

from jobs import hashes, telemetry
from jobs.budget import ACCOUNT
from jobs.errors import Halted, Spent, SweepError, Transient
from jobs.model import Analysis, Image
from jobs.prepare import prepared
from jobs.retry import retry
from jobs.run import Parts, Run
from jobs.steps import Door, Ready, Step

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
    """Take the steps to an answer. Content is claimed before the first one that is paid, and looked up once more then."""
    known = await _known(content_hash, run)
    if known is not None:
        return known, True
    step = await retry(partial(_prepared, image, parts=parts, run=run), run.terms.retry)
    while isinstance(step, Ready):
        if step.price and content_hash not in run.paying:
            await _claim(image.name, content_hash, parts=parts, run=run)
            known = await _known(content_hash, run)
            if known is not None:
                return known, True
        step = await retry(partial(_call, image, step, run=run), run.terms.retry, failed=run.fared)
    run.counts.saved += step.saved
    return step.answer, False


async def _known(content_hash: str, run: Run) -> Analysis | None:
    found = await run.reusable(content_hash)
    return found.analysis if found is not None else None


async def _prepared(image: Image, *, parts: Parts, run: Run) -> Step[Analysis]:
    """Take the step that costs nothing, within the time of a call."""
    try:
        async with asyncio.timeout(run.terms.call_seconds):
            return await prepared(parts.classifier, image)
    except TimeoutError as error:
        raise Transient("prepare", image.name, "it took too long", failure_class="timeout") from error


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


async def _call(image: Image, ready: Ready[Analysis], *, run: Run) -> Step[Analysis]:
    """Make one call, which counts: of the budgets, of the quota and of the report."""
    try:
        async with run.purse.leave(ready.price) as leave:
            if run.deadline is not None:
                await run.deadline.turn(run.progress, run.admits)
            async with run.throttle.call(run.admits, ready.doors) as door:
                await run.purse.renew(leave)
                if not run.spend(ready.price):
                    raise Halted("classify", image.name, "the run admits no more calls")
                leave.used = True
                step = await _made(image, ready, door, run=run)
    except Spent as spent:
        run.exhaust(spent)
        raise
    except Transient as error:
        if error.failure_class != ACCOUNT:
            raise
        run.halt(error)
        raise Halted("classify", image.name, str(error)) from error
    run.fared(None)
    return step


async def _made(image: Image, ready: Ready[Analysis], door: Door, *, run: Run) -> Step[Analysis]:
    """Make the request, within its time."""
    try:
        with telemetry.span("call", blob=image.name, bytes=len(image.data)):
            async with asyncio.timeout(run.terms.call_seconds):
                return await ready.make(door)
    except TimeoutError as error:
        raise Transient("classify", image.name, "no answer in time", unknown=True, failure_class="timeout") from error
