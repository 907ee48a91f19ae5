"""Claims on content: identical bytes that two processes meet at once are paid for by one of them.

Such a claim is a lease on a content hash and a fingerprint. It is held until the answer is stored, so that whoever waits for it
finds the answer. A free classifier needs none.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from jobs.errors import Conflict, Transient
from jobs.model import Lease
from jobs.ports import State
from jobs.retry import Policy, retry
from jobs.write import put

PREFIX = "hash|"


def key_of(content_hash: str, asked: str) -> str:
    """Return the key of the lease on some content, asked in some way."""
    return f"{PREFIX}{asked}|{content_hash}"


async def claim(state: State, key: str, *, owner: str, now: datetime, seconds: float, policy: Policy) -> str | None:
    """Take the lease on some content; return its version, None while another process holds it.

    Content is new as a rule: the lease is looked at only where there is one already.
    """
    lease = Lease(owner, 1, now + timedelta(seconds=seconds))
    try:
        return await put(state, key, lease, None, policy)
    except Conflict:
        pass
    found = await retry(partial(state.get, Lease, key), policy)
    if found is None or (found[0].expires > now and found[0].owner != owner):
        return None
    with suppress(Conflict):
        return await put(state, key, replace(lease, token=found[0].token + 1), found[1], policy)
    return None


async def release(state: State, key: str, version: str, policy: Policy) -> None:
    """Give the lease back; nothing happens when another process took it over, and one that cannot be given back ends by itself."""
    with suppress(Conflict, Transient):
        await retry(partial(state.remove, Lease, key, version), policy)


async def disown(state: State, owner: str, policy: Policy) -> None:
    """Remove the leases of an owner that is known to be dead."""
    for key, lease, version in await retry(partial(state.list, Lease, PREFIX), policy):
        if lease.owner == owner:
            await release(state, key, version, policy)
