"""What the jobs need from the outside. The docstrings are the contracts; `tests/contract` runs them over every adapter."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar, runtime_checkable

from jobs.model import (
    Account,
    Analysis,
    Blob,
    Image,
    Lease,
    Limits,
    OpenPage,
    Outcome,
    Page,
    Quota,
    Rebuild,
    Record,
    Report,
    Round,
    Scan,
)
from jobs.steps import Step

Document = Scan | Lease | OpenPage | Report | Round | Account | Quota | Rebuild
D = TypeVar("D", Scan, Lease, OpenPage, Report, Round, Account, Quota, Rebuild)


class Source(Protocol):
    """Where the blobs are. `key` names account and container (or folder), not the prefix: it is part of every id.

    `prefix` is what all names of the source begin with: two sources with one key may each be a part of it.
    """

    key: str
    prefix: str

    def pages(self, *, after: str | None = None, prefix: str = "") -> AsyncGenerator[Page, None]:
        """List the blobs whose names come after `after`, in ascending order of the names' UTF-8 bytes, page by page.

        Never holds more than a page in memory. Pages may be short or empty; only the end of the iterator is the end.
        Whatever is there from before the listing began until it ended is listed once; what comes or goes meanwhile may
        be listed or not. What cannot be read is reported as `Odd` with `unread`, and the listing goes on.
        Raises Misconfigured when the source is not there or may not be read at all, Transient for a passing fault.
        """
        ...

    async def read(self, blob: Blob, *, limit: int | None = None) -> bytes:
        """Return the bytes of exactly this version, or its first `limit` bytes.

        Raises Changed when the blob is another version now (or became one while it was read), Gone when it is not there,
        Rejected when this one blob may not or cannot be read for good, Transient for a passing fault.
        """
        ...

    async def head(self, name: str) -> Blob | None:
        """Return the version that is there now, None when there is none."""
        ...

    async def now(self) -> datetime:
        """Return the time by the clock that stamps the blobs."""
        ...


@runtime_checkable
class Linker(Protocol):
    """What some sources can besides: let another service fetch a blob by itself."""

    async def read_url(self, blob: Blob, minutes: float) -> str:
        """Return an address by which whoever holds it can read this one blob, and do nothing else, for so many minutes.

        It is a secret. What is read there is the version that is there then: whoever needs this one checks the etag afterwards.
        Raises Misconfigured when this identity may not let others read, Transient for a passing fault.
        """
        ...


class Classifier(Protocol):
    """What turns bytes into an analysis. `asked` is the fingerprint that decides payment; `price` is per call, 0 when free."""

    asked: str
    limits: Limits
    price: float

    async def classify(self, image: Image) -> Analysis:
        """Analyse one image; concurrent calls are expected and may be batched inside.

        Raises Rejected for a fault of the image, Transient for a passing fault (`unknown` when it may have been billed),
        Refused or Misconfigured for a fault that every other image would meet as well. Does not retry.
        """
        ...


@runtime_checkable
class Preparing(Protocol):
    """What a classifier may be beside: one that does what costs nothing before it asks a service."""

    async def prepare(self, image: Image) -> Step[Analysis]:
        """Return the answer where none needs to be asked for it, else the first request, ready to be made.

        Raises Rejected for what is not worth asking about; else as `Classifier.classify` does.
        """
        ...


@runtime_checkable
class PreparingEmbedder(Protocol):
    """The same of an embedder."""

    async def prepare(self, image: Image) -> Step[bytes]:
        """Return the first request for a vector, ready to be made. Raises Rejected for what is not worth asking about."""
        ...


class Embedder(Protocol):
    """What turns bytes into a vector of likeness. `asked`, `price` and `limits` are as a classifier's."""

    asked: str
    limits: Limits
    price: float

    async def embed(self, image: Image) -> bytes:
        """Return the embedding: little-endian float32, L2-normalised, of the same length for every image.

        Fails as `Classifier.classify` does, and does not retry either.
        """
        ...


class Ledger(Protocol):
    """The records, one for each blob id."""

    async def look_up(
        self, ids: Sequence[str], *, vectors: bool = False, seen: Mapping[str, str | None] | None = None
    ) -> Mapping[str, Record]:
        """Return the records that exist, by id, in one query; embeddings are left out unless `vectors`.

        Those that are still at the version that `seen` names for them are left out too, and cost next to nothing.
        """
        ...

    async def answers(self, hashes: Sequence[str], asked: str) -> Mapping[str, Record]:
        """Return for each content hash one record whose bytes had that hash and were analysed as `asked`, embedding included.

        An analysis is found by `asked` of the record that holds it; a hash without one is left out.
        """
        ...

    async def write(self, records: Sequence[Record]) -> Sequence[Record | None]:
        """Write each record if the stored one is still at `record.version` (None: if there is none), durably, in order.

        Returns for each record what is stored, embedding included, with its new version, or None where it lost: one loser does
        not sink the others. No id may come twice in one call. An analysis without embedding keeps the stored one while
        `analysed` and `analysis.answered` stay.
        """
        ...

    def scan(
        self,
        source: str,
        *,
        outcomes: Sequence[Outcome] = (),
        due: datetime | None = None,
        prefix: str = "",
        after: str | None = None,
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Stream a source's records in ascending order of the names' UTF-8 bytes, in batches, without embeddings.

        `outcomes` chooses (empty: all), `due` keeps only those whose next try is at or before it, `after` is exclusive.
        """
        ...


class Tally(Protocol):
    """Counts over the ledger."""

    async def tally(self, source: str) -> Mapping[tuple[str, str], int]:
        """Return the number of records by (outcome, failure class); the class is empty where there is no failure."""
        ...

    async def sources(self) -> Sequence[str]:
        """Return the keys of all sources that have records, ascending."""
        ...


class State(Protocol):
    """Small documents that say how far the runs are: scans, leases, open pages, reports, rounds, accounts, quotas, rebuilds.

    Every write is conditional, so that whoever lost its right is refused.
    """

    async def get(self, kind: type[D], key: str) -> tuple[D, str] | None:
        """Return the document and its version, None when there is none."""
        ...

    async def put(self, key: str, document: Document, version: str | None) -> str:
        """Write the document if it is still at `version` (None: if there is none); return the new version.

        Raises Conflict otherwise. Durable when it returns.
        """
        ...

    async def remove(self, kind: type[Document], key: str, version: str | None = None) -> None:
        """Remove the document, if it is at `version` where one is given; absent is fine. Raises Conflict otherwise."""
        ...

    async def list(self, kind: type[D], prefix: str, *, last: int | None = None) -> Sequence[tuple[str, D, str]]:
        """Return (key, document, version) of the keys that begin with `prefix`, ascending; only the `last` so many if given."""
        ...


class Clock(Protocol):
    """A clock that several processes share: the store's."""

    async def now(self) -> datetime:
        """Return the store's time; leases and claims expire by it."""
        ...


@runtime_checkable
class Metered(Protocol):
    """What a store may be beside: one whose requests are charged."""

    def spent(self) -> float:
        """Return the request units (RU) that were charged since it was opened, failed requests included; it only grows."""
        ...


@runtime_checkable
class Checked(Protocol):
    """What every part can be beside: one that proves itself before it is needed."""

    async def check(self) -> str:
        """Return one fact about the part in use, after asking it what shows that it may do all that a sweep asks of it.

        Costs nothing that is paid for by the call, and changes nothing. Fails as the part's other operations do.
        """
        ...


class Index(Protocol):
    """The projection of the store that people search."""

    async def publish(self, records: Sequence[Record]) -> Sequence[str | None]:
        """Replace whole documents by those of these records, in a batch; searchable when it returns, or soon after.

        Records carry their embeddings. Returns None for each document that is durably there, else the reason why the index
        will never take it. Raises Transient or StorageFailed when the batch as a whole failed: then any part may be there.
        """
        ...

    async def remove(self, ids: Sequence[str]) -> None:
        """Remove these documents; absent ones are fine."""
        ...

    def revisions(self, source: str) -> AsyncGenerator[Sequence[tuple[str, str, int]], None]:
        """Stream (name, id, rev) of every document of a source, ascending by the names' UTF-8 bytes."""
        ...


class Generations(Protocol):
    """The indexes that there are of one name: the one in use, and others beside it."""

    async def in_use(self) -> str | None:
        """Return the name of the one that the name leads to now, None where there is none."""
        ...

    async def beside(self) -> Sequence[str]:
        """Return the names of all others: one that is being filled, and what was left over."""
        ...

    def opened(self, name: str) -> AbstractAsyncContextManager[Index]:
        """Open one of those beside, or the one in use by its name, to write to it; never makes one.

        Raises Misconfigured where there is none of this name.
        """
        ...


class Succession(Protocol):
    """How one index takes the place of another.

    `propagation` is how many seconds after a switch some of the requests may still be led to the former one.
    """

    propagation: float

    async def make(self) -> str:
        """Make a new, empty index beside the one in use; return its name, which no other ever had.

        Raises Misconfigured where nothing could take the place.
        """
        ...

    async def switch(self, name: str) -> None:
        """Let this one be the one in use, and the former one be beside it: in one step, so that one of them is there always.

        Raises StorageFailed or Misconfigured where it is not there or not whole: then nothing has changed.
        """
        ...

    async def drop(self, name: str) -> None:
        """Delete one of those beside, to the last of it; absent is fine. What is in use is never deleted.

        Raises a SweepError when it cannot be deleted; then it is there still.
        """
        ...


class Life(Generations, Succession, Protocol):
    """Both in one."""
