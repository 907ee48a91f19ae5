from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.backfill import Range, backfill
from jobs.decide import KEEPSAKES, RETIRED
from jobs.errors import StorageFailed
from jobs.model import Claim, Outcome
from jobs.retire import retire
from jobs.sweep import sweep
from tests.fakes.index import MemoryIndex
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import DAY, TERMS, Shop, Till, opened


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr("tests.fakes.store.BATCH", 2)
    with opened() as shop:
        yield shop


class Broken(MemoryIndex):
    """An index that cannot be written."""

    async def remove(self, ids: Sequence[str]) -> None:
        raise StorageFailed("remove", ids[0], "the disk is full")


def _retire(shop: Shop, days: float, prefix: str = "") -> int:
    return shop.run(retire(areas=[(shop.source.key, prefix)], older_than=timedelta(days=days), shelf=shop.shelf))


def test_only_what_is_older_leaves_store_and_index(shop: Shop) -> None:
    shop.fill(6)
    shop.sweep()
    assert _retire(shop, 3.5) == 2
    assert shop.found() == {"00.jpg", "01.jpg", "02.jpg", "03.jpg"}
    old = shop.record("05.jpg")
    assert (old.outcome, old.analysis, old.content_hash) == (Outcome.FORGOTTEN, None, None)
    assert old.failure is not None
    assert old.failure.failure_class == RETIRED
    assert _retire(shop, 3.5) == 0


def test_what_is_as_old_as_allowed_stays(shop: Shop) -> None:
    shop.source.put("edge.jpg", b"edge", modified=EPOCH)
    shop.sweep()
    shop.later((EPOCH + 3 * DAY - shop.loop.now()).total_seconds())
    assert _retire(shop, 3) == 0
    shop.later(1)
    assert _retire(shop, 3) == 1


def test_what_has_another_prefix_is_not_ours_to_retire(shop: Shop) -> None:
    shop.fill(6)
    shop.sweep()
    assert _retire(shop, 0.5, prefix="05") == 1
    assert shop.found() == {f"{at:02}.jpg" for at in range(5)}


def test_it_is_not_taken_again(shop: Shop) -> None:
    shop.fill(6)
    shop.sweep()
    _retire(shop, 3.5)
    shop.run(sweep(ports=shop.ports(), terms=replace(TERMS, scope="everything anew")))
    shop.run(backfill(ports=shop.ports(), terms=TERMS, span=Range()))
    shop.run(backfill(ports=shop.ports(till=Till("fake:2")), terms=TERMS, span=Range(stale=True)))
    assert shop.till.calls == 6
    assert len(shop.found()) == 4


def test_an_answer_kept_of_an_old_version_goes_when_it_is_old(shop: Shop) -> None:
    shop.fill(2)
    shop.sweep()
    shop.source.put("01.jpg", b"young", modified=EPOCH)
    shop.later(1)
    shop.run(sweep(ports=shop.ports(), terms=replace(TERMS, scope="everything anew")))
    assert [bool(one.analysis) for one in shop.store.records.values() if one.source == KEEPSAKES] == [True]
    assert _retire(shop, 0.5) == 1
    assert [bool(one.analysis) for one in shop.store.records.values() if one.source == KEEPSAKES] == [False]
    assert shop.found() == {"00.jpg", "01.jpg"}


def test_dead_letters_and_what_has_no_result_yet_stay(shop: Shop) -> None:
    shop.source.put("bad.jpg", b"bad", modified=EPOCH - 9 * DAY)
    shop.sweep()
    dead = shop.record("bad.jpg")
    assert _retire(shop, 1) == 0
    assert shop.record("bad.jpg") == dead


@pytest.mark.parametrize(("seconds", "retired"), [(60, 0), (0, 1)])
def test_what_a_live_run_has_claimed_is_left_to_the_next_call(shop: Shop, seconds: int, retired: int) -> None:
    shop.source.put("00.jpg", b"old", modified=EPOCH - 9 * DAY)
    shop.sweep()
    claim = Claim("another", "newer", "fake:1", shop.loop.now() + timedelta(seconds=seconds))
    shop.change("00.jpg", outcome=Outcome.DEFERRED, claim=claim)
    assert _retire(shop, 1) == retired


def test_after_a_crash_before_the_index_the_next_sweep_removes_the_documents(shop: Shop) -> None:
    shop.fill(3)
    shop.sweep()
    with pytest.raises(StorageFailed):
        shop.run(retire(areas=[(shop.source.key, "")], older_than=DAY / 2, shelf=replace(shop.shelf, index=Broken())))
    assert len(shop.found()) == 3
    shop.sweep()
    _retire(shop, 0.5)
    assert shop.found() == {"00.jpg"}
