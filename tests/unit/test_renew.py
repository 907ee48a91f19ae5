"""A changed taxonomy: new categories from stored tags, without a call, and nothing lost on the way to the index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import decide
from jobs.audit import audit
from jobs.backfill import Range, ahead, backfill, calls_ahead
from jobs.errors import Transient
from jobs.forget import forget
from jobs.model import Blob, Outcome, Page, Record, Report
from jobs.plan import OTHERS, PREFIXES, Part, Plan, plan
from jobs.run import Terms
from jobs.sweep import sweep
from jobs.taxonomy import Taxonomy, categories, parse
from jobs.transfer import export, import_
from jobs.work import STEADY, Control, Ports
from tests.simulation.loop import EPOCH
from tests.simulation.process import Dead
from tests.unit.shop_kit import TERMS, Shop, Till, adds_up, opened


def taxonomy(version: int, category: str, confidence: float = 0.4) -> Taxonomy:
    """Return a taxonomy in which all that the fake classifier answers is of one category, if it is sure enough."""
    rule = f"{{category: {category}, any: [thing], confidence: {confidence}}}"
    return parse(f"name: shop\nversion: {version}\nrules:\n  - {rule}\n", "shop.yaml")


THINGS, STUFF, NOTHING = taxonomy(1, "things"), taxonomy(2, "stuff"), taxonomy(3, "nothing", 0.6)
THINGS_AGAIN = taxonomy(4, "things")
STALE = Range(stale=True)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


def under(chosen: Taxonomy) -> Terms:
    return replace(TERMS, taxonomy=chosen)


def _sweep(shop: Shop, chosen: Taxonomy, *, ports: Ports | None = None, control: Control = STEADY) -> Report:
    report = shop.run(sweep(ports=ports or shop.ports(), terms=under(chosen), control=control))
    assert adds_up(report)
    return report


def _stale(shop: Shop, chosen: Taxonomy, *, ports: Ports | None = None) -> Report:
    report = shop.run(backfill(ports=ports or shop.ports(), terms=under(chosen), span=STALE))
    assert adds_up(report)
    return report


def _swept(shop: Shop, number: int = 4) -> list[str]:
    names = shop.fill(number)
    assert _sweep(shop, THINGS).classified == number
    return names


def _agrees(shop: Shop, chosen: Taxonomy) -> None:
    """Every record has the categories of a taxonomy, and the index shows them, with their embeddings."""
    for record in shop.store.records.values():
        if record.analysis is None or record.source == decide.KEEPSAKES:
            assert (record.categories, record.derived) == ((), "")
            continue
        assert (record.categories, record.derived) == (categories(chosen, record.analysis), chosen.fingerprint)
        document = shop.index.documents[record.id]
        assert (document.rev, document.categories) == (record.rev, record.categories)
        assert document.embedding == record.analysis.embedding is not None


def test_what_is_stored_has_categories(shop: Shop) -> None:
    names = shop.fill(2)
    shop.source.put("copy.jpg", shop.source.blobs[names[0]][1])
    report = _sweep(shop, THINGS)
    assert (report.classified, report.reused, report.rederived) == (2, 1, 0)
    assert {record.categories for record in shop.store.records.values()} == {("things",)}
    _agrees(shop, THINGS)


def test_a_sweep_that_meets_settled_images_derives_them_anew(shop: Shop) -> None:
    names = _swept(shop)
    before = shop.record(names[0])
    report = _sweep(shop, STUFF)
    assert (report.listed, report.unchanged, report.rederived, report.calls) == (4, 4, 1, 0), "the look-back holds one of them"
    after = shop.record(names[0])
    assert (after.rev, after.categories) == (before.rev + 1, ("stuff",))
    assert (after.settled, after.run_id, after.analysis) == (before.settled, before.run_id, before.analysis)


def test_a_stale_backfill_derives_all_of_them_without_reading_or_asking_for_one(shop: Shop) -> None:
    _swept(shop)
    shop.source.heads.clear()
    shop.source.read = None  # type: ignore[method-assign,assignment]
    report = _stale(shop, STUFF)
    assert (report.listed, report.unchanged, report.rederived, report.published, report.calls) == (4, 4, 4, 4, 0)
    assert shop.source.heads == []
    assert shop.till.calls == 4
    _agrees(shop, STUFF)
    assert _stale(shop, STUFF).listed == 0


def test_only_what_was_asked_otherwise_is_paid_for(shop: Shop) -> None:
    names = _swept(shop)
    for name in names[:2]:
        shop.change(name, asked="fake:0")
    ports = shop.ports()
    assert shop.run(calls_ahead(ports=ports, terms=under(STUFF), span=STALE, enough=100)) == 2
    listing = ahead(source=shop.source, ledger=shop.store, asked="fake:1", taxonomy=STUFF, span=STALE)
    assert sorted(blob.name for page in shop.run(_pages(listing)) for blob in page.blobs) == names
    report = _stale(shop, STUFF)
    assert (report.listed, report.classified + report.reused, report.unchanged, report.rederived) == (4, 2, 2, 2)
    assert report.calls == 2
    _agrees(shop, STUFF)


async def _pages(source: Any) -> list[Page]:
    return [page async for page in source.pages()]


def test_the_index_is_spared_what_it_does_not_show(shop: Shop) -> None:
    names = _swept(shop)
    before = shop.record(names[0])
    report = _stale(shop, THINGS_AGAIN)
    assert (report.rederived, report.published) == (4, 0)
    assert shop.record(names[0]).rev == before.rev
    _agrees(shop, THINGS_AGAIN)


def test_no_taxonomy_takes_the_categories_away(shop: Shop) -> None:
    _swept(shop)
    assert _stale(shop, NOTHING).rederived == 4
    _agrees(shop, NOTHING)
    assert _stale(shop, TERMS.taxonomy).rederived == 4
    _agrees(shop, TERMS.taxonomy)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_crash_between_store_and_index_is_mended_by_the_takeover(shop: Shop, where: str) -> None:
    names = _swept(shop)
    shop.index.documents[shop.record(names[0]).id]  # it is shown as it was
    publish = shop.index.publish

    async def dying(records: Sequence[Record]) -> Sequence[str | None]:
        if where == "after":
            await publish(records)
        raise Dead

    shop.index.publish = dying  # type: ignore[method-assign]
    with pytest.raises((Dead, BaseExceptionGroup)):
        _stale(shop, STUFF)
    shop.index.publish = publish  # type: ignore[method-assign]
    assert any(record.derived == STUFF.fingerprint for record in shop.store.records.values()), "some were stored"
    shop.later(TERMS.lease_seconds + 1)
    _stale(shop, STUFF)
    _agrees(shop, STUFF)


def test_what_moves_under_our_hands_is_derived_all_the_same(shop: Shop) -> None:
    names = _swept(shop)
    write, first = shop.store.write, [True]

    async def meddled(records: Sequence[Record]) -> Sequence[Record | None]:
        if first.pop() if first else False:
            for record in records:
                shop.change(record.name, version="moved", unpublished="a reason")
        return await write(records)

    shop.store.write = meddled  # type: ignore[method-assign]
    assert _stale(shop, STUFF).rederived == 4
    assert {shop.record(name).unpublished for name in names} == {None}
    _agrees(shop, STUFF)


def test_what_another_settles_meanwhile_stands(shop: Shop) -> None:
    names = _swept(shop, 1)
    write, first = shop.store.write, [True]

    async def meddled(records: Sequence[Record]) -> Sequence[Record | None]:
        if first.pop() if first else False:
            shop.change(names[0], version="moved", outcome=Outcome.DEFERRED)
        return await write(records)

    shop.store.write = meddled  # type: ignore[method-assign]
    assert _stale(shop, STUFF).rederived == 0
    assert shop.record(names[0]).derived == THINGS.fingerprint


def test_the_index_goes_on_showing_an_older_version_by_the_new_taxonomy(shop: Shop) -> None:
    (name,) = _swept(shop, 1)
    shop.source.put(name, b"other")

    async def read(*_: Any, **__: Any) -> bytes:
        raise Transient("read", name, "slow")

    shop.source.read = read  # type: ignore[method-assign]
    assert _sweep(shop, STUFF).deferred == 1
    record = shop.record(name)
    assert (record.outcome, record.categories) == (Outcome.DEFERRED, ("stuff",))
    _agrees(shop, STUFF)


def test_what_shows_nothing_has_no_categories(shop: Shop) -> None:
    names = _swept(shop, 3)
    shop.change(names[0], properties=(("claim", "K7"),))
    forgotten = shop.run(forget(source=shop.source.key, name=names[0], shelf=shop.shelf))
    assert (forgotten.categories, forgotten.derived, forgotten.properties) == ((), "", ())
    shop.source.put(names[1], b"bad")
    shop.source.delete(names[2])
    shop.later(1000)
    shop.run(audit(ports=shop.ports(), terms=under(THINGS), repair=True, brake=1.0))
    outcomes = {Outcome.FORGOTTEN, Outcome.DEAD, Outcome.GONE}
    assert {record.outcome for record in shop.store.records.values() if record.source != decide.KEEPSAKES} == outcomes
    _agrees(shop, THINGS)


def test_an_audit_finds_categories_of_another_taxonomy_and_mends_them_for_free(shop: Shop) -> None:
    names = _swept(shop)
    dry = shop.run(audit(ports=shop.ports(), terms=under(STUFF)))
    assert (dry.outdated, dry.found, dry.stale, dry.examples["outdated"]) == (4, 4, 0, tuple(names))
    assert shop.record(names[0]).derived == THINGS.fingerprint
    mended = shop.run(audit(ports=shop.ports(), terms=under(STUFF), repair=True))
    assert (mended.repaired["outdated"], mended.report.rederived, mended.report.calls) == (4, 4, 0)
    assert adds_up(mended.report)
    _agrees(shop, STUFF)
    assert shop.run(audit(ports=shop.ports(), terms=under(STUFF))).found == 0


def test_what_is_imported_gets_the_categories_that_are_in_use_here(shop: Shop, tmp_path: Path) -> None:
    _swept(shop)
    shop.run(export(ledger=shop.store, sources=[shop.source.key], path=tmp_path / "ledger.jsonl"))
    with opened() as other:
        asyncio.run(import_(ledger=other.store, path=tmp_path / "ledger.jsonl", taxonomy=STUFF))
        assert {record.categories for record in other.store.records.values()} == {("stuff",)}
        assert {record.derived for record in other.store.records.values()} == {STUFF.fingerprint}


def test_new_properties_of_an_unchanged_blob_reach_store_and_index(shop: Shop) -> None:
    (name,) = _swept(shop, 1)
    blob, data = shop.source.blobs[name]
    shop.source.blobs[name] = (replace(blob, properties=(("season", "ss26"),)), data)
    report = _sweep(shop, THINGS)
    assert (report.unchanged, report.rederived, report.calls) == (1, 1, 0)
    record = shop.record(name)
    assert (record.properties, record.rev) == ((("season", "ss26"),), 2)
    assert shop.index.documents[record.id].properties == ("season=ss26",)
    assert _sweep(shop, THINGS).rederived == 0
    assert _stale(shop, STUFF).rederived == 1
    assert shop.record(name).properties == (("season", "ss26"),)


def test_a_stale_backfill_that_was_stopped_begins_anew_under_another_taxonomy(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.store.BATCH", 1)
    _swept(shop)
    stop = Control(stopped=lambda: any(one.derived == STUFF.fingerprint for one in shop.store.records.values()))
    terms = replace(under(STUFF), pages_in_flight=1)
    stopped = shop.run(backfill(ports=shop.ports(), terms=terms, span=STALE, control=stop))
    assert (stopped.status, stopped.rederived) == ("stopped", 1)
    assert _stale(shop, NOTHING).rederived == 4, "the one that was done as well"
    _agrees(shop, NOTHING)


# The plan


def _plan(shop: Shop, chosen: Taxonomy, **options: Any) -> Plan:
    store = shop.store
    ports = {"source": shop.source, "ledger": store, "state": store, "clock": store, "terms": under(chosen)}
    result = shop.run(plan(**({"classifier": shop.till, "read": False} | ports | options)))
    counts = (result.new, result.changed, result.stale, result.duplicate, result.unreadable)
    assert result.listed == sum(counts) + result.archived + result.deferred + result.unchanged + result.skipped
    return result


def test_the_plan_says_what_a_changed_taxonomy_touches(shop: Shop) -> None:
    _swept(shop)
    assert _touched(_plan(shop, THINGS)) == (0, 0, 0, 0, 0)
    assert _touched(_plan(shop, STUFF)) == (0, 1, 0, 3, 0)
    assert _stale(shop, STUFF).rederived == 4
    assert _touched(_plan(shop, STUFF)) == (0, 0, 0, 0, 0)


def test_the_plan_says_what_a_changed_model_touches_and_costs(shop: Shop) -> None:
    _swept(shop)
    newer = Till("fake:2")
    newer.price = 0.25
    result = _plan(shop, STUFF, classifier=newer)
    assert _touched(result) == (1, 0, 3, 0, 0.75)
    assert (result.calls, result.cost) == (1, 0.25)
    assert not newer.paid
    assert _stale(shop, STUFF, ports=shop.ports(till=newer)).calls == 4


def _touched(result: Plan) -> tuple[float, ...]:
    return (result.stale, result.rederive, result.older_stale, result.older_rederive, result.older_cost)


def test_the_plan_counts_by_prefix_when_it_is_asked_to(shop: Shop) -> None:
    shop.fill(3, folder="a/")
    _sweep(shop, THINGS)
    shop.fill(2, folder="b/c/")
    shop.fill(1)
    shop.source.put("a/00.jpg", b"changed")
    result = _plan(shop, STUFF, by_prefix=True)
    assert result.by_prefix == {"": Part(new=1), "a/": Part(changed=1, rederive=2), "b/": Part(new=1)}
    assert result.new == 2, "the other one is older than the sweep looks"
    assert _plan(shop, STUFF).by_prefix == {}


def test_the_prefixes_that_are_counted_are_bounded(shop: Shop) -> None:
    for number in range(PREFIXES + 5):
        shop.source.put(f"{number:05}/x.jpg", f"{number}".encode())
    counted = _plan(shop, THINGS, by_prefix=True).by_prefix
    assert len(counted) == PREFIXES + 1
    assert counted[OTHERS] == Part(new=5)


def test_a_guard_looks_up_nothing_that_is_older_than_the_sweep_looks(shop: Shop) -> None:
    _swept(shop)
    looked: list[str] = []
    look_up = shop.store.look_up

    async def watched(ids: Sequence[str], *, vectors: bool = False) -> Any:
        looked.extend(ids)
        return await look_up(ids, vectors=vectors)

    shop.store.look_up = watched  # type: ignore[method-assign]
    _plan(shop, STUFF, enough=10)
    assert len(looked) == 1


def test_archived_images_are_waited_for_in_the_plan(shop: Shop) -> None:
    (name,) = shop.fill(1)
    blob, data = shop.source.blobs[name]
    shop.source.blobs[name] = (replace(blob, archived="archived"), data)
    result = _plan(shop, THINGS, read=True)
    assert (result.archived, result.calls) == (1, 0)


def test_properties_come_with_what_is_recorded() -> None:
    blob = Blob("s", "n", "e", EPOCH, 1, properties=(("a", "b"),))
    record = Record(blob.id, "s", "n", "e", EPOCH, 1, properties=blob.properties)
    assert decide.recorded(record) == blob
