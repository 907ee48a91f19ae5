"""Stock: which index is in use, what it holds beside what the store shows, and how a rebuild stands. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from functools import partial

from jobs.agree import Compared, differences, sources_of
from jobs.errors import SweepError
from jobs.mark import Shelves, lease_key
from jobs.model import Lease, Rebuild
from jobs.ports import Index
from jobs.retry import Policy, retry


@dataclass(frozen=True, slots=True)
class Held:
    """Of one source: documents in the index, records that the store shows, and how many names differ in id or revision."""

    source: str
    documents: int
    records: int
    differ: int


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is. `index` is the name of the one in use, None without one; `fault` says why it cannot be read, and what to do.

    `rebuild` is under way if it is `alive`, else it was interrupted; `left` are the indexes that nobody uses or fills.
    """

    index: str | None
    fault: str
    sources: tuple[Held, ...]
    rebuild: Rebuild | None
    alive: bool
    holder: str
    left: tuple[str, ...]


async def stock(
    shelves: Shelves,
    *,
    opened: Callable[[], AbstractAsyncContextManager[Index]],
    policy: Policy,
    dead: bool = False,
    watch: Callable[[Compared], object] = lambda _: None,
) -> Stock:
    """Compare the index in use with the store, by reading all names of both; `watch` is handed the live figures of each source.

    `dead` says that an operating-system lock proves that nobody rebuilds.
    """
    found = await retry(partial(shelves.state.get, Rebuild, shelves.key), policy)
    lease = await retry(partial(shelves.state.get, Lease, lease_key(shelves.key)), policy)
    now = await retry(shelves.clock.now, policy)
    alive = lease is not None and lease[0].expires > now and not dead
    left: tuple[str, ...] = ()
    held: list[Held] = []
    fault = ""
    index = None
    try:
        index = await retry(shelves.life.in_use, policy)
        left = () if alive else tuple(await retry(shelves.life.beside, policy))
        async with opened() as used:
            async for one in _held(shelves, used, policy, watch):
                held.append(one)  # noqa: PERF401  # what was compared before a fault is shown
    except SweepError as error:
        fault = str(error)
    rebuild = found[0] if found is not None else None
    return Stock(index, fault, tuple(held), rebuild, alive, lease[0].owner if lease and alive else "", left)


async def _held(shelves: Shelves, index: Index, policy: Policy, watch: Callable[[Compared], object]) -> AsyncIterator[Held]:
    for source in await retry(partial(sources_of, shelves.tally), policy):
        seen = Compared()
        watch(seen)
        async with aclosing(differences(source, ledger=shelves.ledger, index=index, policy=policy, seen=seen)) as found:
            async for _ in found:
                pass
        yield Held(source, seen.documents, seen.records, seen.differ)
