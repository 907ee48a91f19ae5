"""Transactional batches: what goes together, and who wins when one operation sinks a batch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.adapters.cosmos_batch import Intent, Refused, batches, intents, operations_of, settle
from jobs.adapters.cosmos_items import Item, bucket, record_of, vector_id
from jobs.model import Outcome, Record
from tests.examples import classified, record

OURS = "ours"


@dataclass
class Partition:
    """One partition of a container as the service keeps it: batches are all or nothing.

    `lost_answers` so many batches take effect and are then sent a second time, as a client does whose answer was lost.
    """

    items: dict[str, Item] = field(default_factory=dict)
    sent: list[int] = field(default_factory=list)
    lost_answers: int = 0
    etags: count[int] = field(default_factory=count)

    async def execute(self, batch: Sequence[Intent]) -> Sequence[Mapping[str, Any]] | Refused:
        answer = self.attempt(batch)
        if self.lost_answers and not isinstance(answer, Refused):
            self.lost_answers -= 1
            answer = self.attempt(batch)
        return answer

    def attempt(self, batch: Sequence[Intent]) -> Sequence[Mapping[str, Any]] | Refused:
        operations = operations_of(batch)
        self.sent.append(len(operations))
        after, results = dict(self.items), []
        for number, (verb, values, conditions) in enumerate(operations):
            key = values[0]["id"] if isinstance(values[0], dict) else values[0]
            stored = after.get(key)
            expected = conditions.get("if_match_etag")
            if (stored is not None) if verb == "create" else verb != "upsert" and stored is None:
                return Refused(number)
            if expected is not None and stored is not None and expected != stored["_etag"]:
                return Refused(number)
            results.append({"eTag": None, "resourceBody": stored})
            if verb == "delete":
                del after[key]
            elif verb != "read":
                after[key] = {**values[-1], "_etag": f"e{next(self.etags)}"}
                results[-1] = {"eTag": after[key]["_etag"], "resourceBody": after[key]}
        self.items = after
        return results

    async def read(self, keys: Sequence[str]) -> Mapping[str, Item]:
        return {key: self.items[key] for key in keys if key in self.items}

    def write(self, *records: Record, by: str = OURS) -> list[Record | None]:
        found = list(intents(records, by))
        settled = asyncio.run(settle(found, execute=self.execute, read=self.read))
        return [settled.get(number) for number in range(len(records))]

    def stored(self, key: str) -> Record:
        return record_of(self.items[key])


def written(partition: Partition, *records: Record, by: str = "theirs") -> list[Record]:
    stored = partition.write(*records, by=by)
    assert None not in stored
    return [one for one in stored if one is not None]


@given(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)))
def test_losers_sink_nobody_and_cost_one_round_all_together(created: set[int], changed: set[int]) -> None:
    partition = Partition()
    fresh = [record(str(number)) for number in range(30)]
    base = written(partition, *(replace(one, id=f"old{one.id}") for one in fresh))
    written(partition, *(fresh[number] for number in created), *(replace(base[number], rev=5) for number in changed))
    partition.sent.clear()
    results = partition.write(*fresh, *(replace(one, rev=9) for one in base))
    lost = [number for number, one in enumerate(results) if one is None]
    assert lost == sorted(created) + [30 + number for number in sorted(changed)]
    assert len(partition.sent) <= 2
    assert all(partition.stored(one.id) == one for one in results if one is not None)


def test_a_batch_whose_answer_was_lost_is_known_by_its_token() -> None:
    partition = Partition(lost_answers=1)
    results = partition.write(record("a"), record("b"))
    assert results == [partition.stored(record("a").id), partition.stored(record("b").id)]


def test_what_another_wrote_after_our_lost_answer_is_theirs() -> None:
    partition = Partition()
    (ours,) = written(partition, record("a"), by=OURS)
    written(partition, replace(ours, rev=2), by="theirs")
    assert partition.write(record("a"), record("b")) == [None, partition.stored(record("b").id)]


def test_the_same_words_by_another_hand_are_not_ours() -> None:
    partition = Partition()
    written(partition, record("a"))
    assert partition.write(record("a")) == [None]


def test_a_version_of_another_store_is_not_even_sent() -> None:
    partition = Partition()
    assert partition.write(record("a", version="7")) == [None]
    assert partition.sent == []


def test_the_sdk_eats_the_conditions_of_an_operation_and_the_next_attempt_has_them_again() -> None:
    partition = Partition()
    (stored,) = written(partition, record("a"))
    (intent,) = intents([replace(stored, rev=2)], OURS)
    for _ in range(2):
        ((verb, _, conditions),) = operations_of([intent])
        assert (verb, conditions.pop("if_match_etag")) == ("replace", "e0")


def test_an_embedding_that_was_kept_is_returned_also_after_a_lost_answer() -> None:
    partition = Partition()
    (cat,) = written(partition, classified("cat", "h1", embedding=b"\1\2"))
    assert cat.analysis is not None
    bare = replace(cat, outcome=Outcome.DEFERRED, etag="e2", analysis=replace(cat.analysis, embedding=None))
    partition.lost_answers = 1
    (kept,) = partition.write(bare)
    assert kept is not None
    assert kept.analysis == cat.analysis


@pytest.mark.parametrize("change", [{"etag": "e2"}, {"analysis": None, "analysed": None}], ids=["kept", "dropped"])
def test_a_missing_embedding_does_not_keep_its_record_from_being_written(change: dict[str, object]) -> None:
    partition = Partition()
    cat, dog = written(partition, classified("cat", "h1", embedding=b"\1\2"), record("dog"))
    del partition.items[vector_id(cat.id)]
    assert cat.analysis is not None
    bare = replace(cat, analysis=replace(cat.analysis, embedding=None))
    results = partition.write(replace(bare, **change), replace(dog, rev=1))  # type: ignore[arg-type]  # fields of the parameters
    assert results == [partition.stored(cat.id), partition.stored(dog.id)]
    assert partition.items[cat.id]["vector"] == ""


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 40)), max_size=40))
def test_batches_hold_one_partition_and_no_more_than_they_may(wanted: list[tuple[int, bool, int]]) -> None:
    records = [
        replace(classified(str(number), "h", embedding=b"\1" if vector else None), id=f"{part:02x}{number}")
        for number, (part, vector, _) in enumerate(wanted)
    ]
    sized = [replace(one, size=size) for one, (_, _, size) in zip(intents(records, OURS), wanted, strict=True)]
    made = list(batches(sized, operations=7, size=50))
    assert sorted(one.number for batch in made for one in batch) == list(range(len(records)))
    for batch in made:
        assert len({bucket(one.record.id) for one in batch}) == 1
        assert len(operations_of(batch)) <= 7
        assert sum(one.size for one in batch) <= 50


def test_no_batch_is_begun_for_what_still_fits() -> None:
    same = [replace(record(str(number)), id=f"00{number}") for number in range(205)]
    assert [len(batch) for batch in batches(intents(same, OURS))] == [100, 100, 5]


def test_the_size_is_that_of_the_bytes_on_the_wire_or_more() -> None:
    caption = "Ein Huhn \N{SNOWMAN} " * 400
    hen = classified("ü" * 50, "h1", embedding=b"\1" * 5120)
    assert hen.analysis is not None
    (intent,) = intents([replace(hen, analysis=replace(hen.analysis, caption=caption))], OURS)
    sent = sum(len(on_the_wire(values[-1])) for _, values, _ in intent.operations())
    assert sent <= intent.size < sent + 5_000


def on_the_wire(item: Item) -> str:
    return json.dumps(item, separators=(",", ":"))
