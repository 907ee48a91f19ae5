"""What an audit finds, and what it mends."""

from __future__ import annotations

from dataclasses import replace

from jobs import decide
from jobs.compare import Entry, Kind, judge
from jobs.model import Blob, Outcome, Record, blob_id
from jobs.taxonomy import NO_TAXONOMY
from tests.fakes.classifier import answer
from tests.fakes.source import KEY
from tests.simulation.loop import EPOCH
from tests.unit.audit_kit import OLD, Shop, counts, mended, virtually, whole


@virtually
async def test_a_consistent_world_has_no_findings(shop: Shop) -> None:
    shop.put("a-b.jpg", "a.jpg", "a/x.jpg", "é.jpg", "\U0001f600.jpg", "\uffff.jpg")
    await shop.sweep()
    shop.loop.moment += 7
    result = await shop.audit()
    assert (counts(result), result.compared, result.blobs, result.records, result.documents) == ({}, 6, 6, 6, 6)
    assert result.report.job == "audit"
    assert not result.braked
    assert result.disorder is None
    stored = [one for (kind, _), (one, _) in shop.store.documents.items() if kind == "Report"]
    assert result.report in stored


@virtually
async def test_what_no_sweep_sees_is_missing_and_is_settled(shop: Shop) -> None:
    shop.put("a.jpg")
    await shop.sweep()
    shop.put("b.jpg")
    result = await shop.audit()
    assert counts(result) == {"missing": 1}
    assert result.examples["missing"] == ("b.jpg",)
    assert blob_id(KEY, "b.jpg") not in shop.store.records
    result = await shop.audit(repair=True)
    assert mended(result) == {"missing": 1}
    assert result.report.classified == 1
    await whole(shop)


@virtually
async def test_a_tombstone_of_what_is_there_again_is_missing(shop: Shop) -> None:
    shop.put("a.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    await shop.audit(repair=True)
    shop.put("a.jpg")
    assert counts(await shop.audit()) == {"missing": 1}
    await shop.audit(repair=True)
    assert shop.calls == 1
    await whole(shop)


@virtually
async def test_an_overwritten_blob_with_an_old_time_is_stale(shop: Shop) -> None:
    shop.put("a.jpg")
    await shop.sweep()
    shop.source.put("a.jpg", b"img other", modified=OLD)
    assert counts(await shop.audit()) == {"stale": 1}
    assert mended(await shop.audit(repair=True)) == {"stale": 1}
    assert shop.record("a.jpg").analysis == answer(b"img other")
    await whole(shop)


@virtually
async def test_what_is_no_image_by_name_is_read_only_by_a_repair(shop: Shop) -> None:
    shop.source.put("notes.txt", b"words", modified=OLD)
    shop.source.put("photo", b"\xff\xd8\xff\xe0 img", modified=OLD)
    assert counts(await shop.audit()) == {}
    result = await shop.audit(repair=True)
    assert (counts(result), mended(result)) == ({"missing": 1}, {"missing": 1})
    assert result.report.skipped == 1
    assert blob_id(KEY, "notes.txt") not in shop.store.records


@virtually
async def test_history_that_the_sweeps_leave_out_is_not_missing(shop: Shop) -> None:
    shop.put("old.jpg")
    shop.loop.moment += 10
    await shop.sweep(from_now=True)
    assert counts(await shop.audit()) == {}
    shop.loop.moment += 10
    shop.source.put("new.jpg", b"img new")
    assert counts(await shop.audit()) == {"missing": 1}


@virtually
async def test_a_deleted_image_leaves_store_and_index(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    result = await shop.audit()
    assert counts(result) == {"orphaned_store": 1}
    assert shop.record("a.jpg").outcome is Outcome.CLASSIFIED
    result = await shop.audit(repair=True)
    assert mended(result) == {"orphaned_store": 1}
    assert (result.report.gone, result.report.removed) == (1, 1)
    assert shop.record("a.jpg").outcome is Outcome.GONE
    assert not [key for kind, key in shop.store.documents if kind == "OpenPage"]
    await whole(shop)


@virtually
async def test_a_document_without_a_record_goes(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.delete("a.jpg")
    shop.drop_record("a.jpg")
    assert counts(await shop.audit()) == {"orphaned_index": 1}
    assert mended(await shop.audit(repair=True)) == {"orphaned_index": 1}
    await whole(shop)


@virtually
async def test_an_absent_an_old_and_a_refused_document_are_published(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    await shop.sweep()
    shop.drop_document("a.jpg")
    shop.change("b.jpg", rev=7)
    shop.change("c.jpg", unpublished="too long")
    assert counts(await shop.audit()) == {"unpublished": 3}
    result = await shop.audit(repair=True)
    assert mended(result) == {"unpublished": 3}
    assert (shop.calls, shop.record("c.jpg").unpublished) == (4, None)
    await whole(shop)


@virtually
async def test_a_lost_store_is_filled_again_without_emptying_the_index(shop: Shop) -> None:
    names = [f"{number:03}.jpg" for number in range(30)]
    shop.put(*names)
    await shop.sweep()
    for name in names:
        shop.drop_record(name)
    result = await shop.audit()
    assert (counts(result), result.braked) == ({"missing": 30}, False)
    await shop.audit(repair=True)
    await whole(shop)


@virtually
async def test_a_document_does_not_outlive_the_settling_of_a_bad_image(shop: Shop) -> None:
    shop.put("a.jpg")
    await shop.sweep()
    shop.drop_record("a.jpg")
    shop.source.put("a.jpg", b"bad", modified=OLD)
    await shop.audit(repair=True)
    assert shop.record("a.jpg").outcome is Outcome.DEAD
    await whole(shop)


@virtually
async def test_what_is_settled_but_not_shown_is_no_finding(shop: Shop) -> None:
    shop.source.put("bad.jpg", b"bad", modified=OLD)
    shop.put("later.jpg")
    await shop.sweep()
    shop.change("later.jpg", outcome=Outcome.DEFERRED, claim=None)
    assert shop.record("bad.jpg").outcome is Outcome.DEAD
    assert counts(await shop.audit()) == {}


@virtually
async def test_what_is_forgotten_stays_out(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    for name in ("a.jpg", "b.jpg"):
        record = decide.forgotten(shop.record(name), now=shop.loop.now())
        shop.store.records[record.id] = record
    shop.source.delete("a.jpg")
    shop.source.put("b.jpg", b"img another", modified=OLD)
    assert counts(await shop.audit()) == {"orphaned_index": 2}
    await shop.audit(repair=True)
    assert {one.outcome for one in shop.store.records.values()} == {Outcome.FORGOTTEN}
    assert shop.calls == 2
    await whole(shop)


@virtually
async def test_a_moved_image_costs_no_call(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg", "c.jpg")
    await shop.sweep()
    shop.rename("b.jpg", "z.jpg")
    shop.rename("c.jpg", "0.jpg")
    result = await shop.audit()
    assert counts(result) == {"missing": 2, "orphaned_store": 2, "moved": 2}
    assert result.found == 4
    result = await shop.audit(repair=True)
    assert mended(result) == {"missing": 2, "orphaned_store": 2, "moved": 2}
    assert (shop.calls, result.report.reused, result.report.calls) == (3, 2, 0)
    await whole(shop)


@virtually
async def test_a_copy_of_what_is_still_there_is_not_moved(shop: Shop) -> None:
    shop.put("a.jpg", "b.jpg")
    await shop.sweep()
    shop.source.put("copy.jpg", shop.source.blobs["a.jpg"][1], modified=OLD)
    shop.source.delete("b.jpg")
    assert counts(await shop.audit()) == {"missing": 1, "orphaned_store": 1}
    assert counts(await shop.audit(repair=True)) == {"missing": 1, "orphaned_store": 1}


@virtually
async def test_the_answer_outlives_a_deletion(shop: Shop) -> None:
    shop.put("a.jpg")
    await shop.sweep()
    data = shop.source.blobs["a.jpg"][1]
    shop.source.delete("a.jpg")
    await shop.audit(repair=True)
    shop.source.put("b.jpg", data)
    await shop.sweep()
    assert shop.calls == 1


def test_the_judgement_of_one_name() -> None:
    blob = Blob(KEY, "a.jpg", "v1", OLD, 9)
    record = Record(blob.id, KEY, "a.jpg", "v1", OLD, 9, "fake:1", Outcome.CLASSIFIED, "h", answer(b"img"), "v1", rev=2)

    def of(entry: Entry, *, hidden: bool = False, history: bool = False) -> list[Kind]:
        return judge(entry, now=EPOCH, hidden=hidden, history=history, taxonomy=NO_TAXONOMY)

    fine = Entry("a.jpg", blob, record, (blob.id, 2))
    assert of(fine) == []
    assert of(replace(fine, record=None)) == [Kind.MISSING]
    assert of(replace(fine, record=None), history=True) == [Kind.ORPHANED_INDEX]
    assert of(replace(fine, blob=None)) == [Kind.ORPHANED_STORE]
    assert of(replace(fine, blob=None), hidden=True) == []
    assert of(Entry("a.jpg", document=(blob.id, 2))) == [Kind.ORPHANED_INDEX]
    assert of(Entry("a.jpg", document=(blob.id, 2)), hidden=True) == []
    assert of(replace(fine, record=replace(record, outcome=None, analysis=None))) == [Kind.MISSING]
    assert of(Entry("a.jpg", None, replace(record, outcome=Outcome.GONE, analysis=None))) == []
