from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from jobs.backfill import Range, ahead, backfill, calls_ahead
from jobs.decide import KEEPSAKES
from jobs.forget import forget
from jobs.model import Outcome, Report, Scan
from jobs.sweep import sweep
from jobs.taxonomy import NO_TAXONOMY
from jobs.work import STEADY, Control, Ports
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import DAY, TERMS, Shop, Till, adds_up, opened

ALL = Range()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def _backfill(shop: Shop, span: Range = ALL, *, ports: Ports | None = None, control: Control = STEADY) -> Report:
    return shop.run(backfill(ports=ports or shop.ports(), terms=TERMS, span=span, control=control))


def _scans(shop: Shop) -> dict[str, Scan]:
    return {key: found for (_, key), (found, _) in shop.store.documents.items() if isinstance(found, Scan)}


def test_only_what_is_in_the_range_is_settled(shop: Shop) -> None:
    shop.fill(6, folder="a/")
    shop.fill(6, folder="b/")
    report = _backfill(shop, Range("a/", after=EPOCH - 4 * DAY, before=EPOCH - 2 * DAY))
    assert shop.outcomes() == dict.fromkeys(["a/03.jpg", "a/04.jpg"], Outcome.CLASSIFIED)
    assert shop.found() == {"a/03.jpg", "a/04.jpg"}
    assert (report.job, report.status, report.listed, report.classified, report.skipped) == ("backfill", "complete", 6, 2, 4)
    assert adds_up(report)


def test_a_backfill_leaves_the_place_of_the_sweeps_alone(shop: Shop) -> None:
    shop.fill(4)
    shop.sweep()
    before = _scans(shop)
    shop.later(1000)
    began = shop.loop.now()
    report = _backfill(shop)
    assert (report.unchanged, report.calls) == (4, 0)
    after = _scans(shop)
    assert before.items() <= after.items()
    (own,) = (scan for key, scan in after.items() if key not in before)
    assert own.checkpoint is None
    assert own.watermark == report.watermark == began


def test_what_a_sweep_from_now_left_out_is_taken_once(shop: Shop) -> None:
    shop.fill(5)
    shop.run(sweep(ports=shop.ports(), terms=TERMS, from_now=True))
    swept = shop.till.calls
    assert _backfill(shop).classified == 5 - swept
    assert _backfill(shop).unchanged == 5
    assert shop.till.calls == 5


@pytest.mark.parametrize("seed", range(12))
def test_a_sweep_and_a_backfill_at_once_never_pay_twice(shop: Shop, seed: int) -> None:
    shop.fill(15)

    async def both() -> None:
        sweeping = sweep(ports=shop.ports(seed=2 * seed), terms=TERMS)
        filling = backfill(ports=shop.ports(seed=2 * seed + 1), terms=TERMS, span=Range(after=EPOCH - 9 * DAY))
        reports = await asyncio.gather(sweeping, filling)
        assert all(report.status == "complete" and adds_up(report) for report in reports)
        assert min(report.classified for report in reports) > 0, "one came too late to meet the other"

    shop.run(both())
    shop.later(1000)
    shop.sweep()
    assert set(shop.outcomes().values()) == {Outcome.CLASSIFIED}
    assert shop.found() == set(shop.outcomes())
    assert shop.till.calls == len(shop.till.paid) == 15


def test_a_stopped_backfill_goes_on_where_it_was(shop: Shop) -> None:
    shop.fill(12)
    first = _backfill(shop, control=Control(seconds=1.5))
    assert first.status == "stopped"
    assert first.checkpoint is not None
    shop.source.begun.clear()
    shop.later(500)
    second = _backfill(shop)
    assert shop.source.begun == [first.checkpoint]
    assert second.status == "complete"
    assert second.watermark == EPOCH
    assert shop.till.calls == 12
    assert shop.found() == set(shop.source.blobs)


def test_it_stops_when_it_is_told_to(shop: Shop) -> None:
    shop.fill(12)
    report = _backfill(shop, control=Control(stopped=lambda: shop.till.calls >= 3))
    assert report.status == "stopped"
    assert 3 <= shop.till.calls < 12
    assert adds_up(report)


@pytest.mark.parametrize("span", [Range("0"), Range(after=EPOCH - 99 * DAY), Range(before=EPOCH + DAY), Range(stale=True)])
def test_another_range_has_a_checkpoint_of_its_own(shop: Shop, span: Range) -> None:
    shop.fill(12)
    _backfill(shop, control=Control(seconds=1.5))
    shop.source.begun.clear()
    report = _backfill(shop, span)
    assert report.status == "complete"
    assert shop.source.begun in ([None], [])


def test_another_filter_or_classifier_begins_anew(shop: Shop) -> None:
    shop.fill(12)
    _backfill(shop, control=Control(seconds=1.5))
    shop.source.begun.clear()
    shop.run(backfill(ports=shop.ports(), terms=replace(TERMS, scope="other"), span=ALL))
    shop.run(backfill(ports=shop.ports(till=Till("fake:2")), terms=TERMS, span=ALL))
    assert shop.source.begun == [None, None]


def test_a_folder_that_cannot_be_read_leaves_the_pass_incomplete(shop: Shop) -> None:
    shop.fill(3)
    shop.source.unread.add("00x")
    report = _backfill(shop)
    assert (report.status, report.unread, report.watermark) == ("partial", 1, None)


def test_stale_touches_only_what_the_change_touches(shop: Shop) -> None:
    shop.fill(5)
    shop.source.put("bad.jpg", b"bad", modified=EPOCH)
    shop.sweep()
    shop.run(forget(source=shop.source.key, name="00.jpg", shelf=shop.shelf))
    newer = Till("fake:2")
    shop.source.put("03.jpg", b"changed", modified=EPOCH)
    shop.source.delete("04.jpg")
    shop.source.put("05.jpg", b"never swept", modified=EPOCH)
    shop.source.put("06.jpg", b"swept anew", modified=EPOCH)
    shop.run(backfill(ports=shop.ports(till=newer), terms=TERMS, span=Range("06")))
    fresh = shop.record("06.jpg")
    shop.source.heads.clear()
    shop.source.begun.clear()

    report = _backfill(shop, Range(stale=True), ports=shop.ports(till=newer))
    assert (report.status, report.listed, report.classified, report.dead, report.gone) == ("complete", 5, 3, 1, 1)
    assert set(shop.source.heads) == {"01.jpg", "02.jpg", "03.jpg", "04.jpg", "bad.jpg"}
    assert shop.source.begun == [], "the ledger was to be listed, not the source"
    assert shop.record("06.jpg") == fresh
    assert shop.record("03.jpg").etag == shop.source.blobs["03.jpg"][0].etag
    assert "05.jpg" not in shop.outcomes()
    assert shop.record("00.jpg").outcome is Outcome.FORGOTTEN
    assert shop.found() == {"01.jpg", "02.jpg", "03.jpg", "06.jpg"}
    asked = {record.asked for record in shop.store.records.values() if record.source != KEEPSAKES}
    assert asked == {"fake:1", "fake:2"}, "the forgotten one keeps what it was asked by"

    again = _backfill(shop, Range(stale=True), ports=shop.ports(till=newer))
    assert again.listed == 0


def test_stale_within_dates_goes_by_the_recorded_change(shop: Shop) -> None:
    shop.fill(6)
    shop.sweep()
    report = _backfill(shop, Range(after=EPOCH - 3 * DAY, before=EPOCH, stale=True), ports=shop.ports(till=Till("fake:2")))
    assert report.classified == 3
    assert sorted(shop.source.heads) == ["01.jpg", "02.jpg", "03.jpg"]


def test_a_stopped_stale_pass_goes_on_where_it_was(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.store.BATCH", 2)
    shop.fill(12)
    shop.sweep()
    newer = Till("fake:2")
    first = _backfill(shop, Range(stale=True), ports=shop.ports(till=newer), control=Control(seconds=1.5))
    assert first.status == "stopped"
    assert 0 < first.classified < 12
    shop.later(1000)
    second = _backfill(shop, Range(stale=True), ports=shop.ports(till=newer))
    assert second.status == "complete"
    assert newer.calls == 12


def test_a_sweep_and_a_stale_pass_at_once_never_pay_twice(shop: Shop) -> None:
    shop.fill(10)
    shop.sweep()
    newer = Till("fake:2")
    terms = replace(TERMS, scope="so that the sweep lists everything")

    async def both() -> None:
        sweeping = sweep(ports=shop.ports(seed=1, till=newer), terms=terms)
        await asyncio.gather(sweeping, backfill(ports=shop.ports(seed=2, till=newer), terms=TERMS, span=Range(stale=True)))

    shop.run(both())
    shop.later(1000)
    shop.run(sweep(ports=shop.ports(till=newer), terms=terms))
    assert newer.calls == len(newer.paid) == 10
    assert {record.asked for record in shop.store.records.values() if record.source != KEEPSAKES} == {"fake:2"}


def test_the_calls_ahead_are_those_that_the_ledger_does_not_answer(shop: Shop) -> None:
    shop.fill(6)
    assert shop.run(calls_ahead(ports=shop.ports(), terms=TERMS, span=Range(after=EPOCH - 3 * DAY), enough=100)) == 4
    assert shop.run(calls_ahead(ports=shop.ports(), terms=TERMS, span=ALL, enough=2)) == 4, "it stops with the page that is enough"
    _backfill(shop, Range(after=EPOCH - 3 * DAY))
    assert shop.run(calls_ahead(ports=shop.ports(), terms=TERMS, span=ALL, enough=100)) == 2
    newer = shop.ports(till=Till("fake:2"))
    assert shop.run(calls_ahead(ports=newer, terms=TERMS, span=Range(stale=True), enough=100)) == 4
    assert shop.till.calls == 4


def test_what_is_ahead_of_a_stale_pass_is_listed_without_asking_the_source(shop: Shop) -> None:
    shop.fill(3)
    shop.sweep()

    async def names() -> list[str]:
        listing = ahead(source=shop.source, ledger=shop.store, asked="fake:2", taxonomy=NO_TAXONOMY, span=Range(stale=True))
        return [blob.name async for page in listing.pages() for blob in page.blobs]

    assert shop.run(names()) == ["00.jpg", "01.jpg", "02.jpg"]
    assert shop.source.heads == []
