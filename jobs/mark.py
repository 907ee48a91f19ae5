"""Mark: the document that tells publishers of the index that is being built, and who may write it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from jobs.errors import Conflict, LeaseLost, StorageFailed
from jobs.lease import Hold
from jobs.model import Rebuild
from jobs.ports import Clock, Ledger, Life, State, Tally
from jobs.retry import Policy, retry
from jobs.write import put

Sleep = Callable[[float], Awaitable[None]]


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


def lease_key(key: str) -> str:
    """Return the key of the lease under which an index is rebuilt."""
    return f"rebuild|{key}"


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
            if found is None or found[0].fresh != rebuild.fresh or not found[0].failed:
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
