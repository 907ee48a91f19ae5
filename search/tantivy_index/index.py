"""The Tantivy index as the jobs and the searchers see it. All its work runs in threads of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from tantivy import Index, IndexWriter, Searcher

from jobs.errors import Misconfigured, Transient
from jobs.model import Record
from search.checks import check
from search.document import SearchDocument, document
from search.query import Query, Results, filters
from search.tantivy_index.answer import answer
from search.tantivy_index.files import Busy, Change, Stamp, opened, reloaded, stamp, translated, write
from search.tantivy_index.likeness import likest
from search.tantivy_index.revisions import Revision, revisions
from search.tantivy_index.schema import VERSION, fill, unfit
from search.tantivy_index.vectors import append

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds to wait for another process that publishes, before that is a passing fault."""

_BATCH = 1000
_SHORTEST, _LONGEST = 0.02, 0.5


class TantivyIndex:
    """An index in a folder, by the contracts of `jobs.ports.Index` and `search.query.Searcher`.

    Several processes may publish in turn, and any number may search meanwhile: what one has published, every other finds at
    its next query. One thread writes and one reads, so that a search never waits for a merge, nor the event loop for either.
    """

    def __init__(
        self,
        path: Path,
        index: Index,
        *,
        read_only: bool,
        patience: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._path = path
        self._index = index
        self._seen: Stamp = ()
        self._read_only = read_only
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._writing = ThreadPoolExecutor(1, "tantivy-write")
        self._reading = ThreadPoolExecutor(1, "tantivy-read")

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        """Replace the documents of these records in one commit: all of them are there on return, or none where it raises."""
        if not records:
            return []
        reasons, documents = await self._do(self._writing, partial(_fitting, records))
        if documents:
            await self._write(partial(_replace, self._path, documents))
        return reasons

    async def remove(self, ids: Sequence[str]) -> None:
        """Remove these documents in one commit."""
        if ids:
            await self._write(partial(_delete, ids))

    async def revisions(self, source: str) -> AsyncGenerator[Sequence[Revision]]:
        """Stream (name, id, rev) of one state of the index, ascending by the names' bytes."""
        with ExitStack() as stack:
            searcher = await self._do(self._reading, self._searcher)
            sort = partial(revisions, searcher, self._index.schema, source, stack)
            found = await self._do(self._reading, sort)
            while batch := await self._do(self._reading, lambda: list(islice(found, _BATCH))):
                yield batch

    async def search(self, query: Query) -> Results:
        """Answer one query from what any process has published so far; raises Misconfigured for one that makes no sense."""
        check(query)
        return await self._do(self._reading, lambda: answer(self._searcher(), self._index.schema, query))

    async def check(self) -> str:
        """Count the documents; raises Misconfigured where the folder may not be written to."""
        if not os.access(self._path, os.W_OK):
            raise Misconfigured("check", str(self._path), "it may not be written to", hint="Give this user the right to.")
        number = await self._do(self._reading, lambda: self._searcher().num_docs)
        return f"schema {VERSION}, {number:,} documents"

    async def similar(self, vector: bytes, query: Query) -> Results:
        """Return the images most like a vector, of those that a query narrows down to by its filters."""
        check(query)
        narrowed = filters(query)
        return await self._do(self._reading, lambda: self._likest(vector, narrowed))

    async def close(self) -> None:
        """Let what is under way come to its end."""
        await asyncio.to_thread(self._writing.shutdown)
        await asyncio.to_thread(self._reading.shutdown)

    def _likest(self, vector: bytes, narrowed: Query) -> Results:
        """Look again where another index took the place meanwhile: the rows of its vectors are not those of the documents."""
        while True:
            place = self._path.stat().st_ino
            try:
                found = likest(self._searcher(), self._index.schema, self._path, vector, narrowed)
            except IndexError:
                if self._path.stat().st_ino == place:
                    raise
                continue
            if self._path.stat().st_ino == place:
                return found

    def _searcher(self) -> Searcher:
        if stamp(self._path) != self._seen:
            self._seen = reloaded(self._index, self._path)
        return self._index.searcher()

    async def _write(self, change: Change) -> None:
        """Make a change as soon as no other task and no other process is at it."""
        if self._read_only:
            raise Misconfigured("publish", str(self._path), "the index was opened to be read only")
        async with self._turn:
            deadline, delay = self._clock() + self._patience, _SHORTEST
            while True:
                try:
                    return await self._do(self._writing, partial(self._commit, change))
                except Busy:
                    if self._clock() >= deadline:
                        cause = f"another process has been writing for {self._patience:g} seconds"
                        raise Transient("publish", str(self._path), cause, failure_class="locked") from None
                await self._sleep(delay)
                delay = min(delay * 2, _LONGEST)

    def _commit(self, change: Change) -> None:
        """Make a change durable, and leave the merges that it started to the time after it: one that fails is tried again."""
        merged = write(self._path, change)
        try:
            self._writing.submit(merged)
        except RuntimeError:  # closing: whoever called has given up waiting
            merged()

    async def _do(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        operation = "publish" if thread is self._writing else "search"
        return await asyncio.get_running_loop().run_in_executor(thread, partial(_translating, operation, self._path, work))


@asynccontextmanager
async def open_tantivy(
    path: Path,
    *,
    read_only: bool = False,
    make: bool = True,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[TantivyIndex]:
    """Open the index in a folder, made anew where there is none unless `read_only`, or not to `make` one.

    Raises Misconfigured where there is nothing to read, something else, or an index of another version; StorageFailed where
    it is damaged. `patience` is how many seconds a write waits for another process.
    """
    opening = await asyncio.to_thread(opened, path, read_only=read_only, make=make)
    index = TantivyIndex(path, opening, read_only=read_only, patience=patience, clock=clock, sleep=sleep)
    try:
        yield index
    finally:
        await index.close()


def _translating(operation: str, path: Path, work: Callable[[], T]) -> T:
    with translated(operation, path):
        return work()


def _fitting(records: Sequence[Record]) -> tuple[Sequence[str | None], Sequence[SearchDocument]]:
    """Return for each record the reason why it never fits, and the documents of those that do."""
    reasons: list[str | None] = []
    documents: list[SearchDocument] = []
    for record in records:
        shown = document(record) if record.analysis else None
        reason = unfit(shown) if shown else "it has no analysis"
        reasons.append(reason)
        if shown and reason is None:
            documents.append(shown)
    return reasons, documents


def _replace(path: Path, documents: Sequence[SearchDocument], writer: IndexWriter) -> None:
    """Add documents while the writer's own thread indexes those before."""
    rows = append(path, [one.embedding for one in documents])
    for one, row in zip(documents, rows, strict=True):
        writer.delete_documents_by_term("id", one.id)
        writer.add_document(fill(one, row))


def _delete(ids: Sequence[str], writer: IndexWriter) -> None:
    for key in ids:
        writer.delete_documents_by_term("id", key)
