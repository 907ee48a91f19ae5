"""Clear: what rebuilds of an index that were interrupted have left, whatever they had come to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from jobs.mark import Rebuilder, Shelves
from jobs.model import Rebuild
from jobs.retry import retry
from jobs.write import put


async def clear(shelves: Shelves, by: Rebuilder) -> tuple[tuple[str, ...], bool]:
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
