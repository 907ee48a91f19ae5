"""The plan: what a sweep will do, cost and take, and of a sample how sure that is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobs.errors import Rejected
from jobs.model import Account, Limits, Report
from jobs.plan import Plan, Sampling, plan
from jobs.prices import Tariff, load
from jobs.sweep import sweep
from tests.conftest import Run
from tests.fakes.source import MemorySource
from tests.fakes.store import MemoryStore
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import TERMS, Shop, Till, opened

COUNTS = ("new", "changed", "stale", "duplicate", "local", "unreadable", "archived", "deferred", "unchanged", "skipped")


def inspect(data: bytes, _: Limits) -> None:
    if data.startswith(b"bad"):
        raise Rejected("inspect", "", "no image", failure_class="not-an-image")


@pytest.fixture(autouse=True)
def _images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.ahead._inspect", inspect)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def tariff(*features: str, requests: int = 1) -> Tariff:
    known = load()
    return Tariff(known.meters("azure-vision", features), requests, known.currency, known.said)


class Archive:
    """An archive in memory that is planned for on a real loop."""

    def __init__(self) -> None:
        self.source = MemorySource(lambda: EPOCH, page=50)
        self.store = MemoryStore(lambda: EPOCH)
        self.till = Till()

    def plan(self, run: Run, **options: Any) -> Plan:
        ports = {"source": self.source, "classifier": self.till, "ledger": self.store, "state": self.store, "clock": self.store}
        found = run(plan(**({"terms": TERMS} | ports | options)))
        assert found.listed == sum(getattr(found, count) for count in COUNTS)
        assert not self.till.paid
        return found


def swarm(images: int) -> tuple[Archive, dict[str, int]]:
    """Fill an archive with copies anywhere, broken images and texts; return it and the true counts."""
    archive, dice = Archive(), random.Random(1)
    contents = [b"%d " % number + b"x" * dice.randrange(2_000) for number in range(images // 2)]
    truth = {"new": 0, "duplicate": 0, "unreadable": 0, "archived": 0, "skipped": 0}
    seen: set[bytes] = set()
    for number in range(images):
        data, kind = dice.choice(contents), "new"
        if dice.random() < 0.1:
            data, kind = b"bad" + b"y" * dice.randrange(2_000), "unreadable"
        elif data in seen:
            kind = "duplicate"
        seen.add(data)
        archive.source.put(f"{number:05}.jpg", data)
        truth[kind] += 1
    archive.source.put("notes.txt", b"text")
    archive.source.put("z.jpg", b"cold")
    archive.source.blobs["z.jpg"] = (replace(archive.source.blobs["z.jpg"][0], archived="archived"), b"cold")
    truth["archived"] += 1
    truth["skipped"] += 1
    return archive, truth


def test_what_was_read_in_whole_is_counted_exactly(run: Run) -> None:
    archive, truth = swarm(400)
    found = archive.plan(run)
    assert {kind: getattr(found, kind) for kind in truth} == truth
    assert (found.calls, found.cost, found.sampled, found.ranges) == (truth["new"], float(truth["new"]), 0, {})


def test_a_sample_tells_of_the_whole_between_bounds(run: Run) -> None:
    archive, truth = swarm(1_000)
    held: Counter[str] = Counter()
    for seed in range(30):
        found = archive.plan(run, sampling=Sampling(200, seed))
        for kind in ("new", "duplicate", "unreadable"):
            low, high = found.ranges[kind]
            held[kind] += low <= truth[kind] <= high
            assert low <= getattr(found, kind) <= high
        assert found.ranges["calls"][0] <= found.calls <= found.ranges["calls"][1]
        assert found.ranges["cost"] == found.ranges["calls"]
        assert (found.archived, found.candidates) == (1, 1_001)
    assert min(held.values()) >= 27, "of thirty samples that hold the truth nineteen times in twenty"


def test_a_sample_is_all_that_is_read(run: Run) -> None:
    archive, _ = swarm(1_000)
    reads: list[str] = []
    read = archive.source.read

    async def watched(blob: Any, *, limit: int | None = None) -> bytes:
        reads.append(blob.name)
        return await read(blob, limit=limit)

    archive.source.read = watched  # type: ignore[method-assign]
    found = archive.plan(run, sampling=Sampling(200))
    assert 150 <= found.sampled <= len(reads) <= 210


def test_a_sample_is_the_same_for_the_same_seed(run: Run) -> None:
    archive, _ = swarm(600)
    first, again, other = (archive.plan(run, sampling=Sampling(100, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_sample_of_everything_is_the_whole(run: Run) -> None:
    archive, truth = swarm(300)
    found = archive.plan(run, sampling=Sampling(10_000))
    assert {kind: getattr(found, kind) for kind in truth} == truth
    assert found.ranges["new"] == (truth["new"], truth["new"])


def test_a_sample_of_nothing_is_nothing(run: Run) -> None:
    found = Archive().plan(run, sampling=Sampling(10))
    assert (found.listed, found.calls, found.ranges["calls"]) == (0, 0, (0, 0))


def test_the_cost_is_told_by_feature_and_tier(run: Run) -> None:
    archive = Archive()
    for number in range(100):
        archive.source.put(f"{number}.jpg", b"%d" % number)
    found = archive.plan(run, tariff=tariff("tags", "caption"))
    assert (found.calls, found.cost) == (100, 0.25)
    assert [(line.feature, line.transactions, line.cost, line.tier) for line in found.features] == [
        ("caption", 100, pytest.approx(0.15), "1.5"),
        ("tags", 100, pytest.approx(0.1), "1"),
    ]
    assert found.prices.startswith("USD, 2026-11-01, https://azure.microsoft.com/")


def test_the_month_so_far_decides_on_the_tier(run: Run) -> None:
    archive = Archive()
    for number in range(100):
        archive.source.put(f"{number}.jpg", b"%d" % number)
    run(archive.store.put("month|2026-03", Account(2 * 999_950, 0, "x"), None))
    found = archive.plan(run, tariff=tariff("tags", requests=2), read=False)
    assert found.calls == 200, "two requests an image"
    assert found.cost == pytest.approx(50 * 0.001 + 50 * 0.00065)
    assert [line.tier for line in found.features] == ["1, then 0.65 from 1,000,000"]


@pytest.mark.parametrize(
    ("calls", "per_second", "told"),
    [
        (100, None, (15.0, "at the pace of the last run, 2.0 calls/s")),
        (100, 10.0, (3.0, "at the ceiling of 10 calls/s")),
        (3, None, (None, "")),
    ],
)
def test_the_time_is_reckoned_by_the_ceiling_or_the_last_run(
    run: Run, calls: int, per_second: float | None, told: tuple[float | None, str]
) -> None:
    archive = Archive()
    for number in range(30):
        archive.source.put(f"{number}.jpg", b"%d" % number)
    report = Report("r", "sweep", archive.source.key, "complete", EPOCH - timedelta(days=1), calls=calls, seconds=50.0)
    run(archive.store.put(f"{archive.source.key}||r", report, None))
    found = archive.plan(run, terms=replace(TERMS, per_second=per_second))
    assert (found.seconds, found.pace) == told


def test_a_plan_is_what_the_sweep_then_does(shop: Shop) -> None:
    shop.fill(7)
    ports = {"source": shop.source, "classifier": shop.till, "ledger": shop.store, "state": shop.store, "clock": shop.store}
    ahead = shop.run(plan(terms=TERMS, read=False, **ports))  # type: ignore[arg-type]
    report = shop.run(sweep(ports=shop.ports(), terms=TERMS))
    assert (ahead.estimate.calls, ahead.estimate.cost, ahead.estimate.images) == (report.calls, report.cost, report.classified)
    assert ahead.estimate.whole
    assert report.estimate is None
