"""What every ledger promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobs.model import Outcome, Record, blob_id
from tests.conftest import Run
from tests.contract.conftest import Store
from tests.examples import NOON, ODD_NAMES, SOURCE, analysis, classified, deferred, record

SECOND = timedelta(seconds=1)


async def written(store: Store, *records: Record) -> list[Record]:
    stored = await store.write(records)
    assert None not in stored
    return [one for one in stored if one is not None]


async def names(
    store: Store, *, outcomes: Sequence[Outcome] = (), due: datetime | None = None, prefix: str = "", after: str | None = None
) -> list[str]:
    batches = store.scan(SOURCE, outcomes=outcomes, due=due, prefix=prefix, after=after)
    return [record.name async for batch in batches for record in batch]


def bare(record: Record) -> Record:
    return replace(record, analysis=replace(record.analysis, embedding=None)) if record.analysis else record


def test_what_was_written_is_looked_up(store: Store, run: Run) -> None:
    cat, dog = run(written(store, classified("cat", "h1", embedding=b"\1\2"), deferred("dog", NOON)))
    found = run(store.look_up([dog.id, cat.id, blob_id(SOURCE, "cow")]))
    assert found == {cat.id: bare(cat), dog.id: dog}
    assert cat.version is not None


def test_looking_nothing_up_finds_nothing(store: Store, run: Run) -> None:
    assert run(store.look_up([])) == {}
    assert run(store.write([])) == []
    assert run(store.answers([], "asked 1")) == {}


def test_embeddings_come_only_when_asked_for(store: Store, run: Run) -> None:
    (cat,) = run(written(store, classified("cat", "h1", embedding=b"\1\2")))
    assert run(store.look_up([cat.id], vectors=True)) == {cat.id: cat}
    assert cat.analysis == analysis(b"\1\2")


def test_what_is_still_at_the_version_that_was_seen_is_left_out(store: Store, run: Run) -> None:
    old, same, new = run(written(store, classified("cat", "h1", embedding=b"\1\2"), deferred("dog", NOON), record("cow")))
    (moved,) = run(written(store, replace(old, etag="e2")))
    seen = {old.id: old.version, same.id: same.version, new.id: None, blob_id(SOURCE, "gone"): old.version}
    assert run(store.look_up(list(seen), seen=seen)) == {old.id: bare(moved), new.id: new}
    assert run(store.look_up([old.id], vectors=True, seen=seen)) == {old.id: moved}
    assert run(store.look_up([same.id], seen=seen)) == {}
    assert run(store.look_up([same.id], seen={})) == {same.id: same}


def test_a_record_is_created_once(store: Store, run: Run) -> None:
    (first,) = run(written(store, record("cat")))
    assert run(store.write([record("cat", etag="e2")])) == [None]
    assert run(store.look_up([first.id])) == {first.id: first}


def test_a_record_is_replaced_only_at_its_version(store: Store, run: Run) -> None:
    (first,) = run(written(store, record("cat")))
    (second,) = run(written(store, replace(first, rev=2)))
    assert second.version != first.version
    assert run(store.write([replace(first, rev=3)])) == [None]
    assert run(store.look_up([first.id])) == {first.id: second}


@pytest.mark.parametrize("version", ["7", "no version of this store", ""])
def test_a_version_of_a_record_that_is_not_there_loses(store: Store, run: Run, version: str) -> None:
    assert run(store.write([record("cat", version=version)])) == [None]
    assert run(names(store)) == []


def test_one_loser_does_not_sink_its_batch(store: Store, run: Run) -> None:
    (cat, _) = run(written(store, record("cat"), record("dog")))
    results = run(store.write([replace(cat, rev=1), record("dog", rev=1), record("cow", rev=1)]))
    assert [result and (result.name, result.rev) for result in results] == [("cat", 1), None, ("cow", 1)]
    assert {found.rev for found in run(store.look_up([cat.id, blob_id(SOURCE, "cow")])).values()} == {1}


def test_an_embedding_stays_while_its_analysis_stays(store: Store, run: Run) -> None:
    (cat,) = run(written(store, classified("cat", "h1", embedding=b"\1\2")))
    (kept,) = run(written(store, replace(bare(cat), outcome=Outcome.DEFERRED, etag="e2")))
    assert kept.analysis == analysis(b"\1\2")
    assert run(store.look_up([cat.id], vectors=True)) == {cat.id: kept}


def test_an_embedding_is_replaced(store: Store, run: Run) -> None:
    (cat,) = run(written(store, classified("cat", "h1", embedding=b"\1\2")))
    (new,) = run(written(store, replace(cat, analysis=analysis(b"\3\4"))))
    assert run(store.look_up([cat.id], vectors=True)) == {cat.id: new}
    assert new.analysis == analysis(b"\3\4")


@pytest.mark.parametrize(
    "change", [{"analysed": "e2"}, {"analysis": analysis(answered="model 2")}], ids=["of other bytes", "by another model"]
)
def test_an_embedding_goes_when_another_analysis_comes(store: Store, run: Run, change: dict[str, object]) -> None:
    (cat,) = run(written(store, classified("cat", "h1", embedding=b"\1\2")))
    (new,) = run(written(store, replace(bare(cat), **change)))  # type: ignore[arg-type]  # fields of the parameters
    assert new.analysis is not None
    assert new.analysis.embedding is None
    assert run(store.look_up([cat.id], vectors=True)) == {cat.id: new}


def test_an_embedding_goes_with_its_analysis(store: Store, run: Run) -> None:
    (cat,) = run(written(store, classified("cat", "h1", embedding=b"\1\2")))
    (gone,) = run(written(store, replace(cat, outcome=Outcome.GONE, analysis=None, analysed=None)))
    (back,) = run(written(store, replace(gone, outcome=Outcome.CLASSIFIED, analysis=analysis(), analysed="e1")))
    assert run(store.look_up([cat.id], vectors=True)) == {cat.id: back}
    assert back.analysis == analysis()


def test_answers_are_found_by_hash_and_question(store: Store, run: Run) -> None:
    reused = replace(classified("twin", "h2", embedding=b"\5"), outcome=Outcome.REUSED)
    cat, twin, *_ = run(
        written(store, classified("cat", "h1", embedding=b"\1"), reused, classified("dog", "h3", asked="asked 2"), record("cow"))
    )
    assert run(store.answers(["h1", "h2", "h3", "h4"], "asked 1")) == {"h1": cat, "h2": twin}


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": None},
        {"outcome": Outcome.DEFERRED},
        {"outcome": Outcome.DEAD},
        {"outcome": Outcome.GONE},
        {"analysis": None},
        {"etag": "e2"},
    ],
    ids=lambda changes: f"{next(iter(changes))}={next(iter(changes.values()))}",
)
def test_what_is_not_the_answer_of_those_bytes_answers_nothing(store: Store, run: Run, changes: dict[str, object]) -> None:
    (cat,) = run(written(store, classified("cat", "h1")))
    run(written(store, replace(cat, **changes)))  # type: ignore[arg-type]  # fields of the parameters
    assert run(store.answers(["h1"], "asked 1")) == {}


def test_of_many_twins_one_answers(store: Store, run: Run) -> None:
    run(written(store, *(classified(f"copy {number}", "h1") for number in range(5))))
    assert list(run(store.answers(["h1", "h1"], "asked 1"))) == ["h1"]


def test_a_scan_is_ordered_by_the_bytes_of_the_names(store: Store, run: Run) -> None:
    run(written(store, *map(record, ODD_NAMES)))
    assert run(names(store)) == sorted(ODD_NAMES, key=str.encode)


def test_a_scan_goes_on_behind_any_name(store: Store, run: Run) -> None:
    run(written(store, *map(record, ODD_NAMES)))
    ordered = sorted(ODD_NAMES, key=str.encode)
    for place, name in enumerate(ordered):
        assert run(names(store, after=name)) == ordered[place + 1 :]


def test_a_scan_is_limited_by_any_prefix(store: Store, run: Run) -> None:
    run(written(store, *map(record, ODD_NAMES)))
    for prefix in ["", *ODD_NAMES, "A", "a/", "\U0010ffff"]:
        assert run(names(store, prefix=prefix)) == [name for name in run(names(store)) if name.startswith(prefix)]
    assert run(names(store, prefix="a/", after="a")) == ["a/x", "a/\U0010ffff/x"]
    assert run(names(store, prefix="a/", after="a/x")) == ["a/\U0010ffff/x"]
    assert run(names(store, prefix="a/", after="b")) == []


def test_a_long_scan_shows_every_record_once_in_order(store: Store, run: Run) -> None:
    run(written(store, *(record(f"{number:05}") for number in reversed(range(1203)))))
    assert run(names(store)) == [f"{number:05}" for number in range(1203)]


def test_a_scan_shows_only_its_source_and_no_embeddings(store: Store, run: Run) -> None:
    (cat,) = run(written(store, classified("cat", "h1", embedding=b"\1\2")))
    other = "folder:/photos2"
    run(written(store, replace(record("cat"), source=other, id=blob_id(other, "cat"))))

    async def collect() -> list[Record]:
        return [one async for batch in store.scan(SOURCE) for one in batch]

    assert run(collect()) == [bare(cat)]


def test_a_scan_that_is_left_early_holds_nothing(store: Store, run: Run) -> None:
    run(written(store, *(record(f"{number:05}") for number in range(600))))

    async def first_then_write() -> Sequence[Record | None]:
        async for batch in store.scan(SOURCE):
            return await store.write([replace(batch[0], rev=1)])
        return []

    assert None not in run(first_then_write())


def test_a_scan_chooses_by_outcome(store: Store, run: Run) -> None:
    run(written(store, classified("a", "h1"), deferred("b", NOON), record("c", outcome=Outcome.DEAD), record("d")))
    assert run(names(store, outcomes=[Outcome.DEAD, Outcome.DEFERRED])) == ["b", "c"]
    assert run(names(store, outcomes=[Outcome.CLASSIFIED, Outcome.DEAD])) == ["a", "c"]
    assert run(names(store, outcomes=[Outcome.GONE])) == []


@pytest.mark.parametrize("outcomes", [(), (Outcome.DEFERRED,)])
def test_due_is_at_the_time_and_not_a_moment_before(store: Store, run: Run, outcomes: Sequence[Outcome]) -> None:
    run(written(store, deferred("now", NOON), deferred("later", NOON + SECOND), deferred("never", None), record("new")))
    assert run(names(store, due=NOON - timedelta(microseconds=1), outcomes=outcomes)) == []
    assert run(names(store, due=NOON, outcomes=outcomes)) == ["now"]
    assert run(names(store, due=NOON + SECOND, outcomes=outcomes)) == ["later", "now"]


def test_a_record_moves_with_its_outcome(store: Store, run: Run) -> None:
    (cat,) = run(written(store, deferred("cat", NOON)))
    run(written(store, replace(cat, outcome=Outcome.DEAD, failure=None)))
    assert run(names(store, outcomes=[Outcome.DEFERRED])) == []
    assert run(names(store, due=NOON)) == []
    assert run(names(store, outcomes=[Outcome.DEAD])) == ["cat"]


def test_the_tally_counts_by_outcome_and_class(store: Store, run: Run) -> None:
    run(
        written(
            store,
            classified("a", "h1"),
            classified("b", "h1"),
            deferred("c", NOON, "archived"),
            deferred("d", NOON, "changed"),
            record("e"),
        )
    )
    other = replace(record("f"), source="folder:/photos2")
    run(written(store, other))
    counts = {("classified", ""): 2, ("deferred", "archived"): 1, ("deferred", "changed"): 1, ("", ""): 1}
    assert run(store.tally(SOURCE)) == Counter(counts)
    assert run(store.tally("folder:/nowhere")) == {}


def test_the_sources_are_known(store: Store, run: Run) -> None:
    assert run(store.sources()) == []
    others = [
        replace(record("a"), id=f"{n}", source=source)
        for n, source in enumerate(["folder:/b", "answers", "folder:/b", "folder:/a"])
    ]
    run(store.write(others))
    assert run(store.sources()) == ["answers", "folder:/a", "folder:/b"]
