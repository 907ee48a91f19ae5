"""Compare source, store and index in name order, a batch of each in memory at a time. Reads only, and decides nothing.

Names are compared as text: code points have the order of the UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from jobs.errors import Transient
from jobs.model import Blob, Odd, Outcome, Record, Scan, shown
from jobs.ports import Index, Ledger, Source
from jobs.retry import Policy, retry
from jobs.taxonomy import Taxonomy, outdated

T = TypeVar("T")
Batches = AsyncGenerator[Sequence[tuple[str, T]], None]


class Kind(StrEnum):
    """What may be wrong with a name. `MOVED` ones are among the missing as well, and the name they had among the orphans."""

    MISSING = "missing"
    STALE = "stale"
    ORPHANED_STORE = "orphaned_store"
    ORPHANED_INDEX = "orphaned_index"
    UNPUBLISHED = "unpublished"
    OUTDATED = "outdated"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Entry:
    """What source, store and index hold under one name; `document` is its id and rev."""

    name: str
    blob: Blob | None = None
    record: Record | None = None
    document: tuple[str, int] | None = None

    @property
    def held(self) -> bool:
        """Say whether store or index hold something of it; a tombstone is nothing."""
        return self.document is not None or (
            self.record is not None and self.record.outcome not in (None, Outcome.GONE, Outcome.FORGOTTEN)
        )


class Stream(Generic[T]):
    """One side of the comparison. `disorder` tells of the first name that did not come after the one before it.

    `opened` opens the side after a name. A passing fault opens it again there, as often as the policy says.
    """

    def __init__(self, label: str, opened: Callable[[str | None], Batches[T]], policy: Policy) -> None:
        self.disorder: str | None = None
        self.count = 0
        self._label = label
        self._opened = opened
        self._policy = policy
        self._batches: Batches[T] | None = None
        self._batch: Sequence[tuple[str, T]] = ()
        self._at = 0
        self._last: str | None = None
        self._ended = False

    @property
    def empty(self) -> bool:
        """Say whether the batch in memory is used up and more may come."""
        return self._at == len(self._batch) and not self._ended

    @property
    def head(self) -> str | None:
        """The next name, None at the end."""
        return self._batch[self._at][0] if self._at < len(self._batch) else None

    async def fill(self) -> None:
        """Bring the next batch into memory. Raises what the port raises, Transient when it goes on failing."""
        while self.empty:
            batch = await retry(self._next, self._policy)
            if batch is None:
                self._ended = True
                return
            for name, _ in batch:
                if self._last is not None and name <= self._last and self.disorder is None:
                    self.disorder = f"{self._label} has {name!r} after {self._last!r}"
                self._last = name
            self._batch, self._at = batch, 0
            self.count += len(batch)

    def take(self, name: str) -> T | None:
        """Return what this side holds under a name, and go past it; None where its next name is another."""
        if self.head != name:
            return None
        self._at += 1
        return self._batch[self._at - 1][1]

    async def close(self) -> None:
        """Let go of the side."""
        if self._batches is not None:
            await self._batches.aclose()

    async def _next(self) -> Sequence[tuple[str, T]] | None:
        if self._batches is None:
            self._batches = self._opened(self._last)
        try:
            return await anext(self._batches, None)
        except Transient:
            self._batches = None
            raise


@dataclass(frozen=True, slots=True)
class Sides:
    """The three sides of a comparison, and what the listing could not see."""

    listing: Stream[Blob]
    ledger: Stream[Record]
    index: Stream[tuple[str, int]]
    hidden: Hidden

    @property
    def disorder(self) -> str | None:
        """What was first found out of order in each side, None while all are in order."""
        return "; ".join(side.disorder for side in (self.listing, self.ledger, self.index) if side.disorder) or None

    async def entries(self) -> AsyncGenerator[Entry]:
        """Yield every name that any side has, ascending as long as the sides are."""
        sides = (self.listing, self.ledger, self.index)
        try:
            while True:
                for side in sides:
                    if side.empty:
                        await side.fill()
                heads = [side.head for side in sides if side.head is not None]
                if not heads:
                    return
                name = min(heads)
                yield Entry(name, self.listing.take(name), self.ledger.take(name), self.index.take(name))
        finally:
            for side in sides:
                await side.close()


class Hidden:
    """The places that a listing could not read: nothing is known of what lies at or below them."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def add(self, odd: Sequence[Odd]) -> None:
        """Take what one page could not read."""
        self._names |= {one.name.rstrip("/") for one in odd if one.unread}

    def __len__(self) -> int:
        return len(self._names)

    def covers(self, name: str) -> bool:
        """Say whether a name lies at or below such a place."""
        if not self._names:
            return False
        parts = name.split("/")
        return not self._names.isdisjoint("/".join(parts[:length]) for length in range(len(parts) + 1))


def sides(*, source: Source, ledger: Ledger, index: Index, prefix: str, policy: Policy) -> Sides:
    """Open the three sides of a source below a prefix; nothing is read yet."""
    hidden = Hidden()

    async def blobs(after: str | None) -> Batches[Blob]:
        async for page in _closed(source.pages(after=after, prefix=prefix)):
            hidden.add(page.odd)
            yield [(blob.name, blob) for blob in page.blobs]

    listing = Stream("the listing", blobs, policy)
    return Sides(
        listing, stored(source.key, ledger, policy, prefix=prefix), indexed(source.key, index, policy, prefix=prefix), hidden
    )


def stored(source: str, ledger: Ledger, policy: Policy, *, prefix: str = "") -> Stream[Record]:
    """Open the store's side of a source."""

    async def records(after: str | None) -> Batches[Record]:
        async for batch in _closed(ledger.scan(source, prefix=prefix, after=after)):
            yield [(record.name, record) for record in batch]

    return Stream("the store", records, policy)


def indexed(source: str, index: Index, policy: Policy, *, prefix: str = "") -> Stream[tuple[str, int]]:
    """Open the index's side of a source: ids and revisions."""

    async def documents(after: str | None) -> Batches[tuple[str, int]]:
        async for batch in _closed(index.revisions(source)):
            yield [(name, (key, rev)) for name, key, rev in batch if name.startswith(prefix) and (after is None or name > after)]

    return Stream("the index", documents, policy)


async def _closed(stream: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Yield from a port's stream, which is closed with this one."""
    try:
        async for item in stream:
            yield item
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def judge(entry: Entry, *, now: datetime, hidden: bool, history: bool, taxonomy: Taxonomy) -> list[Kind]:
    """Say what is wrong with a name. `now` is the store's time, `taxonomy` what gives categories today.

    A version that is deferred or dead is settled; what is claimed is somebody's work in progress; what is forgotten stays out.
    `hidden` names are not judged by their absence, and `history` (see `Histories`) is not missed.
    """
    record, document = entry.record, entry.document
    forgotten = record is not None and record.outcome is Outcome.FORGOTTEN
    found: list[Kind] = []
    if not forgotten and not claimed(record, now):
        found += _between(entry.blob, record, hidden=hidden, history=history, taxonomy=taxonomy)
    if record is not None and shown(record):
        if document is None or document[1] != record.rev or record.unpublished is not None:
            found.append(Kind.UNPUBLISHED)
    elif document is not None and not hidden and Kind.MISSING not in found:
        found.append(Kind.ORPHANED_INDEX)
    return found


def _between(blob: Blob | None, record: Record | None, *, hidden: bool, history: bool, taxonomy: Taxonomy) -> list[Kind]:
    """Say what is wrong between source and store."""
    if record is None or record.outcome in (None, Outcome.GONE):
        return [Kind.MISSING] if blob is not None and not history else []
    if blob is None:
        return [] if hidden else [Kind.ORPHANED_STORE]
    if record.etag != blob.etag:
        return [Kind.STALE]
    return [Kind.OUTDATED] if outdated(record, taxonomy) else []


def claimed(record: Record | None, now: datetime) -> bool:
    """Say whether somebody is about to pay for a version."""
    return record is not None and record.claim is not None and record.claim.expires > now


class Histories:
    """What sweeps were told to leave out as history (`--from now`), by the prefix that each swept."""

    def __init__(self, scans: Mapping[str, Scan]) -> None:
        self._scans = scans

    def leave_out(self, blob: Blob) -> bool:
        """Say whether every sweep that lists this blob leaves it out."""
        covering = [scan for prefix, scan in self._scans.items() if blob.name.startswith(prefix)]
        return bool(covering) and all(scan.from_now is not None and blob.modified < scan.from_now for scan in covering)
