"""Reindex: build a new index beside the one in use from the store, and let it take the place; sweeps and searches go on meanwhile.

Costs no call. The steps, and why a kill between any two of them loses nothing, are in docs/adr/0012-index-life.md:

    lease → clear what a dead one left → make → document put → fill → compare, repair → switch → wait
    → document removed → drop the old

From the moment when the document is put until it is removed, whoever publishes writes to both (`jobs.both`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial

from jobs.agree import Agreement, Compared, agree, sources_of
from jobs.clear import clear, drop
from jobs.errors import LeaseHeld, SweepError
from jobs.lease import Hold, acquire, kept
from jobs.mark import Mark, Rebuilder, Shelves, lease_key
from jobs.model import Rebuild
from jobs.retry import retry
from search.rebuild import rebuild

EVERY = 2.0
"""Seconds between two writes of how far a rebuild is."""

log = logging.getLogger("imagesweep")


@dataclass(slots=True)
class Progress:
    """The running figures of a rebuild: records `done` of `total`, then what the comparison has `seen`."""

    step: str = "beginning"
    done: int = 0
    total: int = 0
    seen: Compared = field(default_factory=Compared)
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What a rebuild did: `fresh` took the place of `former`; `cleared` are those that earlier ones had left."""

    fresh: str
    former: str | None
    documents: int
    compared: int
    repaired: int
    cleared: tuple[str, ...]
    finished: bool
    seconds: float


async def reindex(shelves: Shelves, *, by: Rebuilder, progress: Progress | None = None) -> Reindexed:
    """Rebuild the index, and return what was done.

    Raises LeaseHeld while another rebuilds it, LeaseLost when another took it over, StorageFailed when the new one goes on
    differing from the store or was given up by a publisher, and what the ports raise: then the one in use stays. What an
    interrupted rebuild leaves is cleared by the next.
    """
    begun = asyncio.get_running_loop().time()
    shown = progress or Progress()
    hold = await _acquired(shelves, by)
    async with kept(hold, shelves.state, shelves.clock, by.policy):
        shown.step = "clearing"
        cleared, finished = await clear(shelves, by)
        former = await retry(shelves.life.in_use, by.policy)
        fresh = await retry(shelves.life.make, by.policy)
        mark = Mark(shelves, by, hold, Rebuild(fresh, by.run_id, hold.now(), hold.now()))
        try:
            agreement = await _filled(shelves, by, mark, shown)
            await mark.save(step="switching")
            shown.step = "switching"
            await retry(partial(shelves.life.switch, fresh), by.policy)
        except BaseException:
            await _give_up(shelves, by, mark)
            raise
        await _finish(shelves, by, mark)
    log.info("rebuild.end", extra={"fresh": fresh, "former": former, "repaired": agreement.repaired})
    took = asyncio.get_running_loop().time() - begun
    last = agreement.last
    return Reindexed(
        fresh, former, last.documents, last.records, agreement.repaired, cleared, finished=finished, seconds=round(took, 1)
    )


async def _acquired(shelves: Shelves, by: Rebuilder) -> Hold:
    key = lease_key(shelves.key)
    try:
        return await acquire(
            shelves.state, shelves.clock, key=key, owner=by.owner, seconds=by.lease_seconds, policy=by.policy, sole=by.sole
        )
    except LeaseHeld as error:
        raise LeaseHeld("rebuild", shelves.key, error.cause, hint=f"See `imagesweep index status`. {error.hint}") from error


async def _filled(shelves: Shelves, by: Rebuilder, mark: Mark, shown: Progress) -> Agreement:
    """Tell the publishers, fill the new index, and bring it to agree with the store."""
    await mark.save()
    if by.settle:
        await by.sleep(by.settle)
    sources = await retry(partial(sources_of, shelves.tally), by.policy)
    total = 0
    for source in sources:
        total += sum((await retry(partial(shelves.tally.tally, source), by.policy)).values())
    shown.step, shown.total = "filling", total
    shown.began = asyncio.get_running_loop().time()

    loop = asyncio.get_running_loop()
    told = loop.time()

    async def sent(number: int) -> None:
        nonlocal told
        shown.done += number
        if loop.time() - told >= EVERY:
            told = loop.time()
            await mark.save(done=shown.done, total=total)

    async def comparing(seen: Compared) -> None:
        shown.step, shown.seen = "comparing", seen
        await mark.save(step="comparing", done=shown.done, total=total)

    ledger, tally = shelves.ledger, shelves.tally
    async with shelves.life.opened(mark.rebuild.fresh) as index:
        await rebuild(ledger=ledger, index=index, sources=sources, policy=by.policy, told=sent)
        return await agree(ledger=ledger, tally=tally, index=index, policy=by.policy, told=comparing, sleep=by.sleep)


async def _give_up(shelves: Shelves, by: Rebuilder, mark: Mark) -> None:
    """Stop publishers from writing to the new index, then drop it; where it took the place after all it stays.

    What cannot be done now is left to the next rebuild, which finds it.
    """
    state, key, fresh = shelves.state, shelves.key, mark.rebuild.fresh
    try:
        found = await retry(partial(state.get, Rebuild, key), by.policy)
        if await shelves.life.in_use() == fresh or (found is not None and found[0].fresh != fresh):
            return
        if found is not None:
            await retry(partial(state.remove, Rebuild, key, found[1]), by.policy)
        await shelves.life.drop(fresh)
    except SweepError as error:
        log.warning("rebuild.left", extra={"key": fresh, "reason": str(error)})


async def _finish(shelves: Shelves, by: Rebuilder, mark: Mark) -> None:
    """Wait until every request is led to the new index, let publishers write to it alone, and drop what was beside it."""
    left = await retry(shelves.life.beside, by.policy)
    await by.sleep(shelves.life.propagation)
    await mark.remove()
    await drop(shelves, by, left)
