"""The records that jobs, ports and adapters speak. All are frozen; all times are aware and in UTC."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


def blob_id(source: str, name: str) -> str:
    """Return the identity of a blob: 64 hex digits over the source's key and the name, legal as a Cosmos id and a Search key."""
    return hashlib.sha256(f"{source}\0{name}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Blob:
    """One version of a blob, as a listing or a HEAD tells it.

    `name` is the path below the source with forward slashes, always encodable as UTF-8, and ordered by its UTF-8 bytes.
    `content_type` and `content_hash` (SHA-256 or MD5, as `sha256:...` or `md5:...`, lower-case hex) are what its owner says of it,
    None when nothing is said. `archived` says that its bytes cannot be read now, and why. `properties` are (name, value) pairs
    that it came with: metadata, tags, parts of its name; ascending.
    """

    source: str
    name: str
    etag: str
    modified: datetime
    size: int
    content_type: str | None = None
    content_hash: str | None = None
    archived: str | None = None
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """The identity of the blob, whatever its version."""
        return blob_id(self.source, self.name)


@dataclass(frozen=True, slots=True)
class Odd:
    """A name in a listing that is no blob to settle: a device, a folder link, or a folder that could not be read.

    `unread` is true when blobs may lie behind it that this listing did not show: such a scan is not complete.
    """

    name: str
    reason: str
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, ascending by the bytes of the name. `last` is the name to go on after; a page may be empty."""

    blobs: tuple[Blob, ...]
    odd: tuple[Odd, ...] = ()
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A label and how sure the model is of it, from 0 to 1."""

    name: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pixels and their file say by themselves, the same for every classifier.

    `width` and `height` are in pixels as shown (after EXIF orientation); `colours` are names, most common first;
    `latitude` and `longitude` are in degrees; `taken` is the camera's own time, read as UTC where it names no zone. `sketch` is
    what near-duplicates have in common, as hex digits (see `jobs.sketch`), empty where no pixel was looked at.
    """

    width: int
    height: int
    format: str
    colours: tuple[str, ...] = ()
    frames: int = 1
    taken: datetime | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    sketch: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the image as shown, from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Region:
    """Something that was found in one part of an image: an object's name, a person, or the caption of that part."""

    name: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text that was read, with the corners (x, y) of its outline, in pixels of the image as shown."""

    text: str
    confidence: float
    outline: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Crop:
    """The best part of an image for a given ratio of width to height."""

    ratio: float
    box: Box


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a classifier answered about some bytes.

    `tags` descend by confidence. `embedding` is little-endian float32, L2-normalised; `answered` is the model version that replied.
    `regions` are captions of parts. What a classifier does not look for stays empty.
    """

    tags: tuple[Tag, ...]
    caption: str
    caption_confidence: float
    facts: Facts
    answered: str
    embedding: bytes | None = field(default=None, repr=False)
    objects: tuple[Region, ...] = ()
    people: tuple[Region, ...] = ()
    regions: tuple[Region, ...] = ()
    text: tuple[Line, ...] = ()
    crops: tuple[Crop, ...] = ()


class Outcome(StrEnum):
    """How one blob version was settled."""

    CLASSIFIED = "classified"
    REUSED = "reused"
    DEFERRED = "deferred"
    DEAD = "dead"
    GONE = "gone"
    FORGOTTEN = "forgotten"
    """Removed on a person's word, and never to be taken again; a listing counts it as skipped."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version is dead or deferred: `attempts` made so far, and for a deferred one when it is due again."""

    failure_class: str
    reason: str
    attempts: int = 1
    next_try: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who is about to pay for which version, asked how, until when by the store's clock."""

    owner: str
    etag: str
    asked: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said of one label of an image: that it is `added`, is `removed`, or stays, `pinned`, whatever is answered.

    `content_hash` is of the bytes that the person looked at; `by` is whatever is known of the person.
    """

    label: str
    says: Literal["added", "removed", "pinned"]
    content_hash: str
    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger knows of one blob.

    `etag`, `modified` and `size` name the version that `outcome` is about (`outcome` is None while only claimed).
    `analysis` is true of the bytes of `analysed`, which is an older etag while a newer version is deferred.
    `properties` are those of the blob. `categories` are a business's own, by the taxonomy whose fingerprint is `derived`; both
    are empty without an analysis. `group` is the id of the first of the near-duplicates that it is one of (see `jobs.alike`), empty
    for an image that is alone. `corrections` are what people said of its labels (see `jobs.corrections`). `rev` grows with
    every change of what the index should show. `version` is the store's own token for conditional writes, None for a record that
    is not stored.
    """

    id: str
    source: str
    name: str
    etag: str
    modified: datetime
    size: int
    asked: str = ""
    outcome: Outcome | None = None
    content_hash: str | None = None
    analysis: Analysis | None = None
    analysed: str | None = None
    failure: Failure | None = None
    claim: Claim | None = None
    rev: int = 0
    run_id: str = ""
    settled: datetime | None = None
    unpublished: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    categories: tuple[str, ...] = ()
    derived: str = ""
    group: str = ""
    corrections: tuple[Correction, ...] = ()
    version: str | None = None


def shown(record: Record) -> bool:
    """Say whether the index should hold a document for this record."""
    return record.analysis is not None and record.outcome not in (Outcome.DEAD, Outcome.GONE, Outcome.FORGOTTEN)


def standing(record: Record) -> tuple[int, str | None]:
    """Return what another publish of the same record changes: who removed a refused document has marked the record."""
    return record.rev, record.unpublished


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The place inside an unfinished scan: every name up to `after` is stored and published. The rest is frozen at its start.

    `started` is the scan's start by the storage service's clock; `lower` the oldest change it looks at (None: all).
    """

    started: datetime
    lower: datetime | None
    scope: str
    after: str | None = None
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """Progress of the sweeps over one source and prefix. `fence` is the lease token of its last writer."""

    watermark: datetime | None = None
    scope: str = ""
    checkpoint: Checkpoint | None = None
    from_now: datetime | None = None
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The timed right to sweep one source. `token` grows with every new owner; `expires` is by the store's clock."""

    owner: str
    token: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class OpenPage:
    """The ids that a page has begun to store and that are not yet checkpointed. `taken` is the run that took it over, if any."""

    owner: str
    ids: tuple[str, ...]
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """The bytes of one blob version, on their way to a classifier; `blob` is that version, where there is one."""

    name: str
    data: bytes = field(repr=False)
    blob: Blob | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a classifier takes: formats by their Pillow names, sides in pixels (inclusive), encoded size in bytes."""

    formats: frozenset[str]
    min_side: int
    max_side: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a look ahead said of a run before it began: calls at most, their cost, and seconds (None: unknown).

    `whole` is false when it stopped counting at some number that was enough to know. `images` are those that the calls are for.
    """

    calls: int
    cost: float
    seconds: float | None = None
    whole: bool = True
    images: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """What was spent in one period by all runs over one store, or is set apart for calls that one of them may make yet.

    `nanos` are billionths of the unit of the prices' currency. `mark` tells each write from every other.
    """

    calls: int = 0
    nanos: int = 0
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """What one process has of a quota, and asks for, in calls a second; it ends at `expires`, by the store's clock."""

    owner: str
    rate: float
    wants: float
    expires: datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """Who shares the quota of one resource. `mark` tells each write from every other."""

    shares: tuple[Share, ...] = ()
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did. `listed` is the sum of the seven counts after it, always; `seconds` is wall time.

    `calls` are the requests to paid services, and the images that a free classifier was asked about; `cost` is theirs, at the
    prices of the first tier. `saved` are the paid calls that a cascade made unnecessary. `estimate` was made before the run, where
    one was. `goes_on` is when a run that a budget or a window stopped may go on.
    `ru` are the request units that the store was charged meanwhile, 0 where it charges none.
    `rederived` are those of the `unchanged` whose categories or properties were brought up to date, which costs no call.
    """

    run_id: str
    job: str
    source: str
    status: str
    started: datetime
    listed: int = 0
    classified: int = 0
    reused: int = 0
    unchanged: int = 0
    skipped: int = 0
    deferred: int = 0
    dead: int = 0
    gone: int = 0
    rederived: int = 0
    retried: int = 0
    published: int = 0
    unpublished: int = 0
    removed: int = 0
    calls: int = 0
    unknown_calls: int = 0
    throttled: int = 0
    saved: int = 0
    unread: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    cost: float = 0.0
    ru: float = 0.0
    watermark: datetime | None = None
    checkpoint: str | None = None
    message: str = ""
    estimate: Estimate | None = None
    goes_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """The part of a round that is about one source, by its key.

    `since` is the source's own time when the round first came to it (None: not yet); the leg is `done` when a complete scan began
    at or after that. `report` is the sum of its slices so far.
    """

    source: str
    since: datetime | None = None
    done: bool = False
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One sweep over some sources that many calls do between them, a slice each: who asked for it and how far it is.

    `turn` is the number of the slice that is next: a message that names an earlier one is out of date. `begun` is the store's time
    when this pass over the sources began; `until` asks for another pass after it, for what was written meanwhile. `idle` counts
    the slices since the last one that got anywhere. `touched` is the last sign of life, or when the next is due. `status` is
    `queued` or `running` until it is one of a report's; then `message` says why.
    """

    id: str
    status: str
    asked: datetime
    begun: datetime
    touched: datetime
    legs: tuple[Leg, ...]
    turn: int = 0
    until: datetime | None = None
    idle: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A new index that is filled beside the one in use: whoever publishes writes to both for as long as this is there.

    `fresh` names the new one. From `switching` on it may have taken the place. `failed` is why it never will: then publishers leave
    it alone. `done` of `total` records have been sent to it so far; `touched` is the last sign of life, by the store's clock.
    """

    fresh: str
    run_id: str
    begun: datetime
    touched: datetime
    step: Literal["filling", "comparing", "switching"] = "filling"
    done: int = 0
    total: int = 0
    failed: str = ""
