"""Clear: what rebuilds of an index that were interrupted have left, whatever they had come to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from jobs.errors import SweepError
from jobs.mark import Rebuilder, Shelves
from jobs.model import Rebuild
from jobs.retry import retry
from jobs.write import put

log = logging.getLogger("imagesweep")


async def clear(shelves: Shelves, by: Rebuilder) -> tuple[tuple[str, ...], bool]:
    """Clear what interrupted rebuilds left; return its names, and whether one had switched and was brought to its end.

    Raises what `Life.drop` raises when the index of one that may only sleep cannot be deleted: then it stays as it is.
    """
    found = await retry(partial(shelves.state.get, Rebuild, shelves.key), by.policy)
    left = tuple(await retry(shelves.life.beside, by.policy))
    finished = found is not None and await _settled(shelves, by, *found)
    if found is not None:
        await retry(partial(shelves.state.remove, Rebuild, shelves.key), by.policy)
    await drop(shelves, by, left)
    return left, finished


async def drop(shelves: Shelves, by: Rebuilder, names: Sequence[str]) -> None:
    """Delete indexes that nobody writes to any more; what cannot be deleted is said, and left to the next rebuild."""
    for name in names:
        try:
            await retry(partial(shelves.life.drop, name), by.policy)
        except SweepError as error:
            log.warning("index.left", extra={"key": name, "reason": str(error)})


async def _settled(shelves: Shelves, by: Rebuilder, rebuild: Rebuild, version: str) -> bool:
    """Make sure that an interrupted rebuild switches never, or say that it has, once all requests are led to what it made.

    Whoever left it may only sleep, and wake up to switch: so it is dropped while publishers write to it yet. They meet its absence
    then, and give it up, which they may not do of one that is switching.
    """
    life, policy = shelves.life, by.policy
    if await retry(life.in_use, policy) != rebuild.fresh:
        if rebuild.step == "switching":
            await put(shelves.state, shelves.key, replace(rebuild, step="comparing"), version, policy)
        stays: SweepError | None = None
        try:
            await retry(partial(life.drop, rebuild.fresh), policy)
        except SweepError as error:
            stays = error
        if await retry(life.in_use, policy) != rebuild.fresh:
            if stays is not None:
                raise stays  # publishers go on writing to it, for it may be switched to
            return False
    await by.sleep(life.propagation)
    return True
