"""A store in memory: Ledger, Tally, State and Clock by the same contracts as the real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from jobs.errors import Conflict
from jobs.model import Outcome, Record
from jobs.ports import D, Document

BATCH = 500


class MemoryStore:
    """Holds records with their embeddings, and documents, in dictionaries. Nothing awaits inside, so every call is atomic."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.records: dict[str, Record] = {}
        self.documents: dict[tuple[str, str], tuple[Document, str]] = {}
        self._clock = clock
        self._versions = count(1)

    async def look_up(
        self, ids: Sequence[str], *, vectors: bool = False, seen: Mapping[str, str | None] | None = None
    ) -> Mapping[str, Record]:
        known = seen or {}
        found = {key: self.records[key] for key in ids if key in self.records and self.records[key].version != known.get(key)}
        return found if vectors else {key: _bare(record) for key, record in found.items()}

    async def answers(self, hashes: Sequence[str], asked: str) -> Mapping[str, Record]:
        answering = (record for record in self.records.values() if record.asked == asked and _answers(record))
        wanted = set(hashes)
        return {record.content_hash: record for record in answering if record.content_hash in wanted}

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        return [self._write(record) for record in records]

    def _write(self, record: Record) -> Record | None:
        former = self.records.get(record.id)
        if record.version != (former.version if former else None):
            return None
        stored = replace(_keeping(record, former), version=str(next(self._versions)))
        self.records[record.id] = stored
        return stored

    async def scan(
        self,
        source: str,
        *,
        outcomes: Sequence[Outcome] = (),
        due: datetime | None = None,
        prefix: str = "",
        after: str | None = None,
    ) -> AsyncGenerator[Sequence[Record], None]:
        def chosen(record: Record) -> bool:
            return (
                record.source == source
                and (not outcomes or record.outcome in outcomes)
                and (due is None or _due(record, due))
                and record.name.startswith(prefix)
                and (after is None or record.name > after)
            )

        while batch := sorted(filter(chosen, self.records.values()), key=lambda record: record.name.encode())[:BATCH]:
            yield [_bare(record) for record in batch]
            after = batch[-1].name

    async def tally(self, source: str) -> Mapping[tuple[str, str], int]:
        return Counter(
            (record.outcome or "", record.failure.failure_class if record.failure else "")
            for record in self.records.values()
            if record.source == source
        )

    async def sources(self) -> Sequence[str]:
        return sorted({record.source for record in self.records.values()})

    async def get(self, kind: type[D], key: str) -> tuple[D, str] | None:
        found = self.documents.get((kind.__name__, key))
        return (_as(kind, found[0]), found[1]) if found else None

    async def put(self, key: str, document: Document, version: str | None) -> str:
        self._check("put", type(document).__name__, key, version)
        new = str(next(self._versions))
        self.documents[type(document).__name__, key] = (document, new)
        return new

    async def remove(self, kind: type[Document], key: str, version: str | None = None) -> None:
        if version is not None and (kind.__name__, key) in self.documents:
            self._check("remove", kind.__name__, key, version)
        self.documents.pop((kind.__name__, key), None)

    async def list(self, kind: type[D], prefix: str, *, last: int | None = None) -> Sequence[tuple[str, D, str]]:
        keys = sorted(key for of, key in self.documents if of == kind.__name__ and key.startswith(prefix))
        chosen = keys if last is None else keys[max(0, len(keys) - last) :]
        return [(key, _as(kind, self.documents[kind.__name__, key][0]), self.documents[kind.__name__, key][1]) for key in chosen]

    async def now(self) -> datetime:
        return self._clock()

    def _check(self, operation: str, kind: str, key: str, version: str | None) -> None:
        found = self.documents.get((kind, key))
        if (found[1] if found else None) != version:
            raise Conflict(operation, f"{kind} {key}", "it was changed meanwhile")


def _as(kind: type[D], document: Document) -> D:
    assert isinstance(document, kind)
    return document


def _bare(record: Record) -> Record:
    return replace(record, analysis=replace(record.analysis, embedding=None)) if record.analysis else record


def _keeping(record: Record, former: Record | None) -> Record:
    """Give an analysis without embedding the stored one, when it is of the same bytes and the same answer."""
    ours, theirs = record.analysis, former.analysis if former else None
    if ours is None or ours.embedding is not None or former is None or theirs is None:
        return record
    same = record.analysed == former.analysed and ours.answered == theirs.answered
    return replace(record, analysis=replace(ours, embedding=theirs.embedding)) if same else record


def _answers(record: Record) -> bool:
    settled = record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED)
    return settled and record.analysis is not None and record.analysed == record.etag


def _due(record: Record, due: datetime) -> bool:
    return record.failure is not None and record.failure.next_try is not None and record.failure.next_try <= due
