"""What is given back to an account is given back once, whatever became of the acknowledgement."""

from __future__ import annotations

from dataclasses import replace

from jobs.budget import BLOCK, Budget, Purse
from jobs.errors import Transient
from jobs.model import Account
from jobs.ports import Document
from jobs.retry import Policy
from tests.conftest import Run
from tests.fakes.store import MemoryStore
from tests.simulation.loop import EPOCH


class Muddled(MemoryStore):
    """A store that, once for each key, gives something back, lets another process spend a call, and then fails to say so."""

    muddled: frozenset[str] = frozenset()

    async def put(self, key: str, document: Document, version: str | None) -> str:
        former = self.documents.get(("Account", key))
        written = await super().put(key, document, version)
        lower = isinstance(document, Account) and former and isinstance(former[0], Account) and document.calls < former[0].calls
        if isinstance(document, Account) and lower and key not in self.muddled:
            self.muddled |= {key}
            await super().put(key, replace(document, calls=document.calls + 1, mark="another's"), written)
            raise Transient("put", key, "the acknowledgement was lost", unknown=True)
        return written


def test_a_lost_acknowledgement_gives_nothing_back_twice(run: Run) -> None:
    store = Muddled()

    async def spend() -> None:
        purse = Purse(store, Budget(), lambda: EPOCH, Policy(base=0.0), BLOCK)
        async with purse.leave(1.0) as leave:
            leave.used = True
        await purse.close()

    run(spend())
    accounts = [document for document, _ in store.documents.values() if isinstance(document, Account)]
    assert [account.calls for account in accounts] == [2, 2]
