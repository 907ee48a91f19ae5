"""A store behaves as a dictionary with versions, whatever two of its users do in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from azure.core.credentials import AzureKeyCredential
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jobs.adapters.cosmos import open_cosmos
from jobs.adapters.cosmos_containers import create_cosmos
from jobs.adapters.sqlite import open_sqlite
from jobs.model import Outcome, Record, blob_id
from tests.contract.conftest import Store
from tests.examples import SOURCE, analysis, record
from tests.fakes.store import MemoryStore
from tests.servers.cosmos import KEY, fresh

NAMES = ["a", "a/b", "a-b", "é"]
chosen_names = st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES))
embeddings = st.none() | st.sampled_from([b"\1", b"\2"])


class TwoUsers(RuleBasedStateMachine):
    """Two connections to one store, compared with the store in memory after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.open = AsyncExitStack()
        self.model = MemoryStore()
        self.ours: dict[str, Record] = {}
        self.theirs: dict[str, Record] = {}

    @initialize()
    def connect(self) -> None:
        self.stores: list[Store] = self.loop.run(self.two())

    async def two(self) -> list[Store]:
        """Open the same store twice."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.loop.run(self.open.aclose())
        self.loop.close()

    @rule(
        user=st.integers(0, 1),
        names=chosen_names,
        fresh=st.booleans(),
        outcome=st.sampled_from([None, *Outcome]),
        analysed=st.sampled_from(["e1", "e2", None]),
        answered=st.sampled_from(["model 1", "model 2"]),
        embedding=embeddings,
    )
    def write(
        self,
        *,
        user: int,
        names: list[str],
        fresh: bool,
        outcome: Outcome | None,
        analysed: str | None,
        answered: str,
        embedding: bytes | None,
    ) -> None:
        """Write at the last version that we saw, or as if the record were new."""
        changes = {"outcome": outcome, "analysed": analysed, "analysis": analysis(embedding, answered) if analysed else None}
        found = [record(name, **changes, content_hash=f"hash of {name}") for name in names]
        ours = [replace(one, version=None if fresh else self.version(self.ours, one.id)) for one in found]
        theirs = [replace(one, version=None if fresh else self.version(self.theirs, one.id)) for one in found]
        stored = self.loop.run(self.of(user).write(ours))
        expected = self.loop.run(self.model.write(theirs))
        assert [versionless(one) for one in stored] == [versionless(one) for one in expected]

    @rule(user=st.integers(0, 1), names=chosen_names)
    def read(self, *, user: int, names: list[str]) -> None:
        """Learn the versions that are there now."""
        ids = [blob_id(SOURCE, name) for name in names]
        self.ours.update(self.loop.run(self.of(user).look_up(ids)))
        self.theirs.update(self.loop.run(self.model.look_up(ids)))

    @rule(user=st.integers(0, 1), names=chosen_names)
    def look_for_changes(self, *, user: int, names: list[str]) -> None:
        """What moved since it was seen is the same."""
        ids = [blob_id(SOURCE, name) for name in names]
        ours = self.loop.run(self.of(user).look_up(ids, seen={key: self.version(self.ours, key) for key in ids}))
        theirs = self.loop.run(self.model.look_up(ids, seen={key: self.version(self.theirs, key) for key in ids}))
        assert {key: versionless(one) for key, one in ours.items()} == {key: versionless(one) for key, one in theirs.items()}

    @invariant()
    def the_same_is_stored(self) -> None:
        ids = [blob_id(SOURCE, name) for name in NAMES]
        expected = self.loop.run(self.model.look_up(ids, vectors=True))
        for store in self.stores:
            found = self.loop.run(store.look_up(ids, vectors=True))
            assert {key: versionless(one) for key, one in found.items()} == {key: versionless(one) for key, one in expected.items()}
        hashes = [f"hash of {name}" for name in NAMES]
        answers = [self.loop.run(store.answers(hashes, "")) for store in (*self.stores, self.model)]
        assert [sorted(found) for found in answers] == [sorted(answers[-1])] * 3

    def of(self, user: int) -> Store:
        return self.stores[user]

    @staticmethod
    def version(seen: dict[str, Record], key: str) -> str | None:
        return seen[key].version if key in seen else None


def versionless(one: Record | None) -> Record | None:
    return replace(one, version=None) if one else None


class SqliteLedger(TwoUsers):
    async def two(self) -> list[Store]:
        path = Path(self.open.enter_context(tempfile.TemporaryDirectory())) / "results.db"
        return [await self.open.enter_async_context(open_sqlite(path)) for _ in range(2)]


TestSqliteLedger = SqliteLedger.TestCase
TestSqliteLedger.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.servers
def test_cosmos_behaves_like_the_model(cosmos: str) -> None:
    class CosmosLedger(TwoUsers):
        async def two(self) -> list[Store]:
            location, key = fresh(cosmos), AzureKeyCredential(KEY)
            await create_cosmos(location, key)
            return [await self.open.enter_async_context(open_cosmos(location, key)) for _ in range(2)]

    run_state_machine_as_test(CosmosLedger, settings=settings(max_examples=20, stateful_step_count=20, deadline=None))
