"""Reindex: build a new index beside the one in use from the store, and let it take the place; sweeps and searches go on meanwhile.

Costs no call. The steps, and why a kill between any two of them loses nothing, are in docs/adr/0012-index-life.md:

    lease → clear what a dead one left → make → document put → fill → compare, repair → switch → wait
    → document removed → drop the old

From the moment when the document is put until it is removed, whoever publishes writes to both (`jobs.both`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from jobs.agree import Agreement, Compared, agree, sources_of
from jobs.errors import Conflict, LeaseHeld, LeaseLost, StorageFailed, SweepError
from jobs.lease import Hold, acquire, kept
from jobs.model import Rebuild
from jobs.ports import Clock, Ledger, Life, State, Tally
from jobs.retry import Policy, retry
from jobs.write import put
from search.rebuild import rebuild

EVERY = 2.0
"""Seconds between two writes of how far a rebuild is."""

Sleep = Callable[[float], Awaitable[None]]

log = logging.getLogger("imagesweep")


@dataclass(frozen=True, slots=True)
class Shelves:
    """What an index is built from, and the indexes of its name; `key` names it in the state, for all processes alike."""

    ledger: Ledger
    tally: Tally
    state: State
    clock: Clock
    life: Life
    key: str


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """Who rebuilds, and by which terms. `sole` says that an operating-system lock proves any other dead.

    `settle` is how many seconds it takes until every process reads what another wrote to the store, both ways.
    """

    owner: str
    run_id: str
    lease_seconds: float = 180.0
    policy: Policy = field(default_factory=Policy)
    sole: bool = False
    settle: float = 0.0
    sleep: Sleep = asyncio.sleep


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
        cleared, finished = await _clear(shelves, by)
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


class Mark:
    """The document that tells publishers of the new index, written only at the version that was last read."""

    def __init__(self, shelves: Shelves, by: Rebuilder, hold: Hold, rebuild: Rebuild) -> None:
        self.version: str | None = None
        self.rebuild = rebuild
        self._shelves = shelves
        self._by = by
        self._hold = hold

    async def save(self, **changes: object) -> None:
        """Write it with these changes.

        Raises StorageFailed when a publisher has given the new index up, LeaseLost when the document is gone.
        """
        key, policy = self._shelves.key, self._by.policy
        if self._hold.left() <= 0:
            raise self._lost()
        rebuild = replace(self.rebuild, touched=self._hold.now(), **changes)  # type: ignore[arg-type]  # fields of it
        try:
            self.version = await put(self._shelves.state, key, rebuild, self.version, policy)
        except Conflict as error:
            found = await retry(partial(self._shelves.state.get, Rebuild, key), policy)
            if found is None or found[0].fresh != rebuild.fresh:
                raise self._lost() from error
            self.version = found[1]
            hint = "Nothing was switched. Mend it, then run `imagesweep index rebuild` again."
            raise StorageFailed("rebuild", key, f"a publisher could not write to it: {found[0].failed}", hint=hint) from error
        self.rebuild = rebuild

    async def remove(self) -> None:
        """Remove it. Raises LeaseLost when another has changed it: what is there by now is not ours."""
        try:
            await retry(partial(self._shelves.state.remove, Rebuild, self._shelves.key, self.version), self._by.policy)
        except Conflict as error:
            raise self._lost() from error

    def _lost(self) -> LeaseLost:
        return LeaseLost("rebuild", self._shelves.key, "another process took it over", hint="See `imagesweep index status`.")


async def _acquired(shelves: Shelves, by: Rebuilder) -> Hold:
    key = lease_key(shelves.key)
    try:
        return await acquire(
            shelves.state, shelves.clock, key=key, owner=by.owner, seconds=by.lease_seconds, policy=by.policy, sole=by.sole
        )
    except LeaseHeld as error:
        raise LeaseHeld("rebuild", shelves.key, error.cause, hint=f"See `imagesweep index status`. {error.hint}") from error


def lease_key(key: str) -> str:
    """Return the key of the lease under which an index is rebuilt."""
    return f"rebuild|{key}"


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
        log.warning("rebuild.left", extra={"fresh": fresh, "cause": str(error)})


async def _finish(shelves: Shelves, by: Rebuilder, mark: Mark) -> None:
    """Wait until every request is led to the new index, let publishers write to it alone, and drop what was beside it."""
    left = await retry(shelves.life.beside, by.policy)
    await by.sleep(shelves.life.propagation)
    await mark.remove()
    for name in left:
        await retry(partial(shelves.life.drop, name), by.policy)


async def _clear(shelves: Shelves, by: Rebuilder) -> tuple[tuple[str, ...], bool]:
    """Clear what interrupted rebuilds left; return its names, and whether one had switched and was brought to its end."""
    found = await retry(partial(shelves.state.get, Rebuild, shelves.key), by.policy)
    left = tuple(await retry(shelves.life.beside, by.policy))
    finished = found is not None and await _settled(shelves, by, *found)
    if found is not None:
        await retry(partial(shelves.state.remove, Rebuild, shelves.key), by.policy)
    for name in left:
        await retry(partial(shelves.life.drop, name), by.policy)
    return left, finished


async def _settled(shelves: Shelves, by: Rebuilder, rebuild: Rebuild, version: str) -> bool:
    """Make sure that an interrupted rebuild switches never, or say that it has, once all requests are led to what it made.

    Whoever left it may only sleep, and wake up to switch: so it is dropped while publishers write to it yet. They meet its absence
    then, and give it up, which they may not do of one that is switching.
    """
    life, policy = shelves.life, by.policy
    if await retry(life.in_use, policy) != rebuild.fresh:
        if rebuild.step == "switching":
            await put(shelves.state, shelves.key, replace(rebuild, step="comparing"), version, policy)
        await retry(partial(life.drop, rebuild.fresh), policy)
        if await retry(life.in_use, policy) != rebuild.fresh:
            return False
    await by.sleep(life.propagation)
    return True
