"""What every state and clock promise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from jobs.errors import Conflict
from jobs.model import Checkpoint, Lease, Leg, OpenPage, Rebuild, Report, Round, Scan
from jobs.ports import Document
from tests.conftest import Run
from tests.contract.conftest import Store
from tests.examples import NOON

DOCUMENTS: list[Document] = [
    Scan(NOON, "scope", Checkpoint(NOON, None, "scope", "a/\N{SNOWMAN}\n", 2), NOON, 7),
    Lease("me", 3, NOON),
    OpenPage("me", ("id1", "id2")),
    Report("run", "sweep", "folder:/photos", "complete", NOON, listed=3, classified=3, seconds=1.5, watermark=NOON),
    Round("all-1", "running", NOON, NOON, NOON, (Leg("folder:/a", NOON, report=Report("r", "sweep", "s", "stopped", NOON)),), 2),
    Rebuild("images-v20260102030405", "run", NOON, NOON, "comparing", 3, 9, "the disk is full"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_what_was_put_is_got(store: Store, run: Run, document: Document) -> None:
    version = run(store.put("key", document, None))
    assert run(store.get(type(document), "key")) == (document, version)  # type: ignore[type-var]  # one kind at a time


def test_what_is_not_there_is_none(store: Store, run: Run) -> None:
    assert run(store.get(Scan, "key")) is None


def test_kinds_do_not_share_keys(store: Store, run: Run) -> None:
    run(store.put("key", Lease("me", 1, NOON), None))
    run(store.put("key", Scan(fence=1), None))
    assert run(store.get(OpenPage, "key")) is None
    assert [key for key, _, _ in run(store.list(Scan, ""))] == ["key"]


def test_a_document_is_created_once(store: Store, run: Run) -> None:
    version = run(store.put("key", Scan(fence=1), None))
    with pytest.raises(Conflict, match="put Scan key"):
        run(store.put("key", Scan(fence=2), None))
    assert run(store.get(Scan, "key")) == (Scan(fence=1), version)


def test_a_document_is_replaced_only_at_its_version(store: Store, run: Run) -> None:
    first = run(store.put("key", Scan(fence=1), None))
    second = run(store.put("key", Scan(fence=2), first))
    with pytest.raises(Conflict):
        run(store.put("key", Scan(fence=3), first))
    assert run(store.get(Scan, "key")) == (Scan(fence=2), second)


def test_what_is_gone_is_not_replaced(store: Store, run: Run) -> None:
    version = run(store.put("key", Scan(fence=1), None))
    run(store.remove(Scan, "key"))
    with pytest.raises(Conflict):
        run(store.put("key", Scan(fence=2), version))
    assert run(store.get(Scan, "key")) is None


def test_a_successor_is_not_taken_for_the_removed_one(store: Store, run: Run) -> None:
    version = run(store.put("key", Lease("zombie", 1, NOON), None))
    run(store.remove(Lease, "key", version))
    run(store.put("key", Lease("heir", 2, NOON), None))
    with pytest.raises(Conflict):
        run(store.put("key", Lease("zombie", 1, NOON), version))
    with pytest.raises(Conflict):
        run(store.remove(Lease, "key", version))


def test_a_document_is_removed_only_at_its_version(store: Store, run: Run) -> None:
    first = run(store.put("key", Scan(fence=1), None))
    second = run(store.put("key", Scan(fence=2), first))
    with pytest.raises(Conflict, match="remove Scan key"):
        run(store.remove(Scan, "key", first))
    run(store.remove(Scan, "key", second))
    assert run(store.get(Scan, "key")) is None


def test_removing_what_is_not_there_is_fine(store: Store, run: Run) -> None:
    run(store.remove(Scan, "key"))
    run(store.remove(Scan, "key", "7"))


def test_a_list_is_chosen_by_prefix_in_order(store: Store, run: Run) -> None:
    for key in ["b/2", "a/2", "a/10", "a0", "a%", "a/\U0001f600", "A/1"]:
        run(store.put(key, OpenPage("me", (key,)), None))
    run(store.put("a/3", Scan(), None))
    found = run(store.list(OpenPage, "a/"))
    assert [key for key, _, _ in found] == ["a/10", "a/2", "a/\U0001f600"]
    assert [(document, version) for _, document, version in found] == [run(store.get(OpenPage, key)) for key, _, _ in found]
    assert len(run(store.list(OpenPage, ""))) == 7


@pytest.mark.parametrize(("last", "keys"), [(0, []), (2, ["r2", "r3"]), (9, ["r1", "r2", "r3"])])
def test_a_list_gives_only_the_last(store: Store, run: Run, last: int, keys: list[str]) -> None:
    for key in ["r2", "r3", "r1", "s1"]:
        run(store.put(key, Report(key, "sweep", "s", "complete", NOON), None))
    assert [key for key, _, _ in run(store.list(Report, "r", last=last))] == keys


def test_a_list_of_nothing_is_empty(store: Store, run: Run) -> None:
    assert run(store.list(Report, "", last=5)) == []


def test_the_clock_is_the_stores(store: Store, run: Run, clock: Callable[[], datetime]) -> None:
    now = run(store.now())
    assert abs(now - clock()) < timedelta(seconds=2)
    assert now.tzinfo is not None
