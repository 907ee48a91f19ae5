from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.backfill import Range, backfill
from jobs.decide import KEEPSAKES
from jobs.errors import Misconfigured, StorageFailed
from jobs.forget import forget
from jobs.model import Claim, Failure, Outcome, Record
from jobs.taxonomy import NO_TAXONOMY
from jobs.transfer import Imported, export, import_
from search.rebuild import rebuild
from tests.examples import NOON, SOURCE, analysis, classified, deferred, record, records
from tests.fakes.store import MemoryStore
from tests.simulation.loop import EPOCH
from tests.unit.shop_kit import TERMS, Shop, opened


@pytest.fixture
def shop() -> Iterator[Shop]:
    with opened() as shop:
        yield shop


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.transfer.BATCH", 2)


def _holding(*held: Record) -> MemoryStore:
    store = MemoryStore()
    asyncio.run(store.write([replace(one, version=None) for one in held]))
    return store


def _exported(path: Path, *held: Record) -> Path:
    sources = sorted({one.source for one in held} - {KEEPSAKES})
    asyncio.run(export(ledger=_holding(*held), sources=sources, path=path))
    return path


def _import(store: MemoryStore, path: Path) -> Imported:
    return asyncio.run(import_(ledger=store, path=path, taxonomy=NO_TAXONOMY))


def _held(store: MemoryStore) -> dict[str, Record]:
    return {one.name: replace(one, version=None) for one in store.records.values()}


@pytest.mark.parametrize("name", ["ledger.jsonl", "ledger.jsonl.gz"])
def test_what_was_paid_for_survives_the_move_to_another_store(shop: Shop, tmp_path: Path, name: str) -> None:
    shop.fill(6)
    shop.source.put("bad.jpg", b"bad", modified=EPOCH)
    shop.source.put("copy.jpg", b"0", modified=EPOCH)
    shop.source.put("was.jpg", b"an older version", modified=EPOCH)
    shop.sweep()
    moved_on = shop.source.put("was.jpg", b"a newer version")
    shop.run(backfill(ports=shop.ports(), terms=TERMS, span=Range("was")))
    shop.run(forget(source=shop.source.key, name="05.jpg", shelf=shop.shelf))
    paid, shown, former = shop.till.calls, shop.found(), shop.store
    exported = shop.run(export(ledger=shop.store, sources=[shop.source.key], path=tmp_path / name))
    assert exported == len(shop.store.records)

    shop.store = MemoryStore(shop.loop.now)
    assert shop.run(import_(ledger=shop.store, path=tmp_path / name, taxonomy=NO_TAXONOMY)) == Imported(imported=exported)
    assert {**shop.store.records}.keys() == former.records.keys()
    for key, one in former.records.items():
        assert replace(shop.store.records[key], version=None) == replace(one, version=None)
    swept = shop.sweep()
    assert (swept.listed, swept.unchanged, swept.skipped, swept.calls) == (9, 8, 1, 0)
    shop.source.put("again.jpg", b"an older version", modified=moved_on.modified)
    assert shop.sweep().reused == 1
    assert shop.till.calls == paid
    shop.index.documents.clear()
    shop.run(rebuild(ledger=shop.store, index=shop.index, sources=[shop.source.key]))
    assert shop.found() == shown | {"again.jpg"}


@given(st.lists(records, max_size=6, unique_by=lambda one: (one.source, one.name)), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_record_comes_through_whole_but_for_its_claim(held: list[Record], zipped: bool) -> None:  # noqa: FBT001
    held = list({one.id: one for one in held}.values())
    with TemporaryDirectory() as folder:
        path = _exported(Path(folder) / ("l.gz" if zipped else "l"), *held)
        store = MemoryStore()
        _import(store, path)
    expected = {one.id: replace(one, claim=None, version=None) for one in held}
    assert {key: replace(one, version=None) for key, one in store.records.items()} == expected


def test_embeddings_come_along(tmp_path: Path) -> None:
    store = MemoryStore()
    _import(store, _exported(tmp_path / "l", classified("a", "h", embedding=bytes(range(64)))))
    (one,) = store.records.values()
    assert one.analysis == analysis(bytes(range(64)))


def test_claims_stay_behind(tmp_path: Path) -> None:
    waiting = replace(deferred("a", NOON, "claimed"), claim=Claim("them", "e1", "asked 1", NOON))
    path = _exported(tmp_path / "l", waiting)
    assert b'"claim":null' in path.read_bytes()
    store = MemoryStore()
    _import(store, path)
    assert _held(store) == {"a": replace(waiting, claim=None)}


def test_a_claim_in_a_file_is_nobodys(tmp_path: Path) -> None:
    path = _exported(tmp_path / "l", deferred("a", NOON))
    claim = b'{"owner":"them","etag":"e1","asked":"asked 1","expires":"2099-01-01T00:00:00Z"}'
    path.write_bytes(path.read_bytes().replace(b'"claim":null', b'"claim":' + claim))
    store = MemoryStore()
    assert _import(store, path) == Imported(imported=1)
    assert _held(store)["a"].claim is None


def test_what_is_settled_here_stands_and_importing_twice_changes_nothing(tmp_path: Path) -> None:
    path = _exported(tmp_path / "l", classified("a", "h1"), record("b", outcome=Outcome.DEAD), classified("c", "h3"))
    store = _holding(replace(classified("a", "h1"), run_id="ours"), replace(classified("b", "h2"), run_id="ours"))
    assert _import(store, path) == Imported(imported=1, kept=2)
    before = store.records.copy()
    assert _import(store, path) == Imported(kept=3)
    assert store.records == before
    assert {one.name: one.run_id for one in store.records.values()} == {"a": "ours", "b": "ours", "c": ""}


@pytest.mark.parametrize(
    "theirs", [classified("a", "h"), record("a", outcome=Outcome.DEAD), record("a", outcome=Outcome.FORGOTTEN)]
)
@pytest.mark.parametrize("ours", [deferred("a", NOON), record("a")])
def test_what_is_not_settled_here_is_filled(tmp_path: Path, theirs: Record, ours: Record) -> None:
    store = _holding(replace(ours, rev=7))
    assert _import(store, _exported(tmp_path / "l", theirs)) == Imported(imported=1)
    assert _held(store)["a"] == replace(theirs, rev=8), "the index must see that it moved on"


@pytest.mark.parametrize(
    "ours",
    [
        replace(deferred("a", NOON), etag="newer"),
        replace(deferred("a", NOON), claim=Claim("them", "e1", "asked 1", NOON + timedelta(days=999))),
        replace(classified("a", "another"), etag="newer", analysed="newer"),
        record("a", outcome=Outcome.DEAD),
    ],
)
def test_what_is_not_filled_leaves_its_answer_under_its_hash(tmp_path: Path, ours: Record) -> None:
    store = _holding(ours)
    path = _exported(tmp_path / "l", classified("a", "paid", embedding=b"1234"))
    assert _import(store, path) == Imported(kept=1, answers=1)
    assert _held(store)["a"] == ours
    answers = asyncio.run(store.answers(["paid"], "asked 1"))
    assert answers["paid"].analysis == analysis(b"1234")
    assert _import(store, path) == Imported(kept=1)


def test_what_was_forgotten_here_is_not_brought_back(tmp_path: Path) -> None:
    store = _holding(record("a", outcome=Outcome.FORGOTTEN))
    assert _import(store, _exported(tmp_path / "l", classified("a", "h"))) == Imported(kept=1)
    assert len(store.records) == 1


def test_an_unsettled_record_does_not_replace_another(tmp_path: Path) -> None:
    ours = deferred("a", NOON)
    store = _holding(ours)
    theirs = replace(ours, failure=Failure("timeout", "slow", 4, NOON))
    assert _import(store, _exported(tmp_path / "l", theirs)) == Imported(kept=1)
    assert _held(store)["a"] == ours


def test_a_run_that_comes_in_between_is_not_overwritten(tmp_path: Path) -> None:
    class Racing(MemoryStore):
        async def look_up(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
            found = await super().look_up(*arguments, **options)  # type: ignore[arg-type]
            if not self.records:
                await self.write([classified("a", "ours")])
            return found

    store = Racing()
    assert _import(store, _exported(tmp_path / "l", classified("a", "h"))) == Imported(refused=1)
    assert _held(store)["a"].content_hash == "ours"


def test_a_name_that_comes_twice_counts_once(tmp_path: Path) -> None:
    path = _exported(tmp_path / "l", classified("a", "h"))
    header, line, _ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + line + line + b'{"count": 2}\n')
    assert _import(MemoryStore(), path) == Imported(imported=1, kept=1)


def _lines(tmp_path: Path) -> tuple[Path, list[bytes]]:
    path = _exported(tmp_path / "l", *(classified(f"{n}", f"h{n}") for n in range(3)))
    return path, path.read_bytes().splitlines(keepends=True)


def _refused(path: Path, kind: type[Exception], match: str) -> None:
    store = MemoryStore()
    with pytest.raises(kind, match=match):
        _import(store, path)
    assert store.records == {}


@pytest.mark.parametrize("left", [1, 2, 3, 4])
def test_a_file_that_was_cut_off_between_lines_is_refused_whole(tmp_path: Path, left: int) -> None:
    path, lines = _lines(tmp_path)
    path.write_bytes(b"".join(lines[:left]))
    _refused(path, StorageFailed, f"line {left + 1}: the file was cut off")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", ["l", "l.gz"])
def test_a_file_that_was_cut_off_anywhere_is_refused_whole(tmp_path: Path, share: float, name: str) -> None:
    path = _exported(tmp_path / name, *(classified(f"{n}", f"h{n}", embedding=b"1234") for n in range(50)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises((StorageFailed, Misconfigured)):
        _import(MemoryStore(), path)


@pytest.mark.parametrize(
    ("number", "line", "match"),
    [
        (3, b"{oops\n", "line 3: it is not JSON"),
        (3, b"[1]\n", "line 3: it is no record"),
        (3, b"[" * 200_000 + b"\n", "line 3: it is not JSON"),
        (3, b'{"schema": 1, "id": "x"}\n', "line 3: .*source: Field required"),
        (3, b'{"id": "x"}\n', "line 3: .*it names no schema"),
        (3, b"\xff\xfe\n", "line 3: it is not JSON"),
        (5, b'{"count": 2}\n', "line 5: it says 2 records, there are 3"),
        (3, b'{"count": 1}\n', "line 4: it goes on behind its end"),
    ],
)
def test_a_broken_line_is_named_and_nothing_is_written(tmp_path: Path, number: int, line: bytes, match: str) -> None:
    path, lines = _lines(tmp_path)
    lines[number - 1] = line
    path.write_bytes(b"".join(lines))
    _refused(path, StorageFailed, match)


def test_an_embedding_that_is_no_base64_is_named(tmp_path: Path) -> None:
    path = _exported(tmp_path / "l", classified("a", "h", embedding=b"1234"))
    path.write_bytes(path.read_bytes().replace(b"MTIzNA==", b"MTIz*A=="))
    _refused(path, StorageFailed, "line 2: its embedding")


def test_a_line_that_never_ends_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.transfer.LINE", 100)
    path, _ = _lines(tmp_path)
    _refused(path, StorageFailed, "line 2: it is longer than 100 bytes")


def test_a_newer_programs_file_is_refused(tmp_path: Path) -> None:
    path, lines = _lines(tmp_path)
    path.write_bytes(b"".join([b'{"imagesweep-ledger": 2}\n', *lines[1:]]))
    _refused(path, Misconfigured, "format 2")
    path.write_bytes(b"".join([lines[0], lines[1].replace(b'"schema":1', b'"schema":2'), *lines[2:]]))
    _refused(path, Misconfigured, "schema 2")


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"{}\n", b"name,outcome\n", b'{"imagesweep-ledger": "1"}\n'])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    _refused(path, Misconfigured, "no export")
    _refused(tmp_path / "none", Misconfigured, "no such file")


def test_fields_of_a_later_program_are_left_out(tmp_path: Path) -> None:
    path, lines = _lines(tmp_path)
    path.write_bytes(b"".join([lines[0], *(json.dumps({**json.loads(line), "later": 1}).encode() + b"\n" for line in lines[1:])]))
    assert _import(MemoryStore(), path) == Imported(imported=3)


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    class Failing(MemoryStore):
        async def look_up(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise StorageFailed("look up", "store", "the disk is broken")

    store = Failing()
    store.records = _holding(classified("a", "h")).records
    path = tmp_path / "l"
    path.write_text("an earlier export")
    with pytest.raises(StorageFailed, match="disk is broken"):
        asyncio.run(export(ledger=store, sources=[SOURCE], path=path))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("l", "an earlier export")]


def test_a_file_that_cannot_be_written_is_an_error_to_act_on(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="Choose a folder"):
        asyncio.run(export(ledger=MemoryStore(), sources=[], path=tmp_path / "none" / "l"))


def test_a_large_ledger_goes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Counting(MemoryStore):
        async def look_up(self, ids: object, **options: object) -> object:  # type: ignore[override]
            sizes.append(len(ids))  # type: ignore[arg-type]
            return await super().look_up(ids, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("jobs.transfer.BATCH", 4)
    path = _exported(tmp_path / "l.gz", *(classified(f"{n:02}", f"h{n}") for n in range(10)))
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 12
    store = Counting()
    assert _import(store, path) == Imported(imported=10)
    assert sizes == [4, 4, 2]
