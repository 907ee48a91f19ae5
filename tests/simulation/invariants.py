"""What must hold: of the watermark, the leases and the open pages at every moment, of everything once the world is quiet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from jobs.budget import NANOS, PERIODS
from jobs.decide import KEEPSAKES
from jobs.hashes import key_of
from jobs.model import Account, Image, Lease, OpenPage, Outcome, Record, Report, Scan, shown
from tests.fakes.classifier import answer
from tests.fakes.store import MemoryStore
from tests.simulation.shop import LOCKED, Service, Shelf, Shop


class Violation(AssertionError):
    """An invariant does not hold."""


def demand(holds: object, message: str) -> None:
    """Raise Violation unless `holds`."""
    if not holds:
        raise Violation(message)


# At every moment


def progress_moves_forward(former: Scan | None, scan: Scan) -> None:
    """Neither the watermark nor the fence moves back, nor the checkpoint of one and the same scan."""
    if former is None:
        return
    if former.watermark is not None:
        demand(scan.watermark is not None and scan.watermark >= former.watermark, "the watermark moved back")
    demand(scan.fence >= former.fence, "a scan was written by one who had lost the lease")
    old, new = former.checkpoint, scan.checkpoint
    if old is not None and new is not None and old.started == new.started and old.after is not None:
        demand(new.after is not None and new.after >= old.after, "the checkpoint moved back")


def watermark_passed_nothing(shop: Shop, store: MemoryStore, scan: Scan, *, passed: float) -> None:
    """A watermark that moves leaves every version that the scan could see settled, or its blob deferred."""
    for name, (blob, _) in shop.blobs.items():
        if shop.since[name, blob.etag] < passed:
            record = store.records.get(blob.id)
            demand(_settled_or_deferred(record, blob.etag), f"the watermark {scan.watermark} passed {name} of {blob.modified}")


def checkpoint_passed_nothing(shop: Shop, store: MemoryStore, scan: Scan) -> None:
    """A checkpoint has left every version that was there when its scan began settled, or its blob deferred, but what is unread."""
    checkpoint = scan.checkpoint
    if checkpoint is None or checkpoint.after is None:
        return
    begun = shop.true_seconds(checkpoint.started)
    for name, (blob, _) in shop.blobs.items():
        unread = checkpoint.unread and name.startswith(LOCKED)
        if name <= checkpoint.after and shop.since[name, blob.etag] < begun and not unread:
            settled = _settled_or_deferred(store.records.get(blob.id), blob.etag)
            demand(settled, f"the checkpoint {checkpoint.after} passed {name} of {blob.modified}")


def stays_settled(shop: Shop, record: Record, *, passed: float | None) -> None:
    """No write takes back what a watermark vouched for: what it passed is settled as what it is, or deferred."""
    found = shop.blobs.get(record.name)
    if passed is not None and found is not None and shop.since[record.name, found[0].etag] < passed:
        message = f"{record.name} was passed by the watermark, and is {record.outcome} as {record.etag} instead of {found[0].etag}"
        demand(_settled_or_deferred(record, found[0].etag), message)


def newest_version_stands(shop: Shop, former: Record | None, record: Record) -> None:
    """Whoever knew an older version stores nothing about it over a record of the version that is there."""
    found = shop.blobs.get(record.name)
    if former is None or found is None or former.etag != found[0].etag or record.outcome is Outcome.DEFERRED:
        return
    message = f"{record.name} was known as {former.etag}, which it is, and was stored as {record.outcome} as {record.etag}"
    demand(record.etag == former.etag, message)


def _settled_or_deferred(record: Record | None, etag: str) -> bool:
    """Say whether nothing is left to a listing: a deferred blob is asked for as it is then, whatever version was deferred."""
    if record is None or record.outcome in (None, Outcome.GONE):
        return False
    return record.etag == etag or record.outcome is Outcome.DEFERRED


def lease_is_respected(key: str, former: Lease, lease: Lease, *, now: datetime) -> None:
    """Nobody takes a lease before it ends, and every new owner has a higher token."""
    demand(former.expires <= now, f"{lease.owner} took the lease {key} from {former.owner} {former.expires - now} before its end")
    demand(lease.token > former.token, f"the token of the lease {key} did not grow")


def call_is_covered(run: str, leases: Iterable[Lease], *, now: datetime, call_seconds: float) -> None:
    """No call begins unless a lease of its run outlives the call's deadline."""
    end = now + timedelta(seconds=call_seconds)
    demand(any(lease.expires >= end for lease in leases), f"run {run} made a call without a lease that outlives it")


def call_is_claimed(run: str, image: Image, asked: str, claims: set[tuple[str, str]]) -> None:
    """No call begins unless its run has claimed the blob, and its bytes for all processes."""
    demand((run, image.name) in claims, f"run {run} made a call for {image.name} that it had not claimed")
    content = key_of(hashlib.sha256(image.data).hexdigest(), asked)
    demand((run, content) in claims, f"run {run} made a call for the bytes of {image.name} that it had not claimed")


def call_is_accounted_for(run: str, store: MemoryStore, *, called: int) -> None:
    """No call begins before it is counted: neither the days nor the months ever say less than what was called."""
    for period in PERIODS:
        accounts = [one for (_, key), (one, _) in store.documents.items() if isinstance(one, Account) and key.startswith(period)]
        counted = sum(account.calls for account in accounts)
        demand(counted >= called, f"run {run} made call {called}, the accounts of each {period} say {counted}")
        demand(all(account.nanos == account.calls * NANOS for account in accounts), "an account's money is not that of its calls")


def index_shows_what_is_not_open(store: MemoryStore, index: Shelf, ids: Iterable[str] | None = None) -> None:
    """What is stored (of `ids`, else all of it) is shown, or marked as refused, or in an open page that a takeover publishes."""
    for key in (store.records.keys() if ids is None else set(ids)) - opened(store):
        record = store.records.get(key)
        if record is None or record.source == KEEPSAKES:
            continue
        document = index.documents.get(key)
        rev = document and document.rev
        right = (rev == record.rev or record.unpublished is not None) if shown(record) else document is None
        demand(
            right, f"{record.name} is stored as {record.outcome} at revision {record.rev}, the index shows {rev}, no page is open"
        )


def opened(store: MemoryStore) -> set[str]:
    """Return the ids on open pages: what was stored and may not be published yet."""
    return {key for page, _ in store.documents.values() if isinstance(page, OpenPage) for key in page.ids}


# Of every report


def counts_add_up(report: Report) -> None:
    """Every version that was listed came to one outcome."""
    parts = (report.classified, report.reused, report.unchanged, report.skipped, report.deferred, report.dead, report.gone)
    demand(report.listed == sum(parts), f"{report.listed} listed, {sum(parts)} accounted for")


# Once the world is quiet


def nothing_was_given_back(store: MemoryStore) -> None:
    """A sweep that calls itself complete has taken what the slices before it had no time for."""
    left = [one.name for one in store.records.values() if one.failure is not None and one.failure.failure_class == "interrupted"]
    demand(not left, f"a sweep called itself complete, and left {', '.join(left)} to the next")


def nothing_is_left_behind(shop: Shop, store: MemoryStore) -> None:
    """A sweep that completed has finished the pages that sweeps before it left open, and has tried again what was deferred."""
    for record in store.records.values():
        waits = record.outcome is Outcome.DEFERRED and (record.failure is None or record.failure.failure_class != "archived")
        demand(not waits, f"{record.name} was due, and is still deferred: {record.failure}")
    left = [key for kind, key in store.documents if kind == OpenPage.__name__ and key.startswith(f"{shop.key}||")]
    demand(not left, f"pages were not taken over: {left}")


def everything_is_settled(shop: Shop, store: MemoryStore) -> None:
    """Each live version is classified, or dead for its own fault; each record without a blob is a tombstone."""
    for name, (blob, data) in shop.blobs.items():
        record = store.records.get(blob.id)
        if record is None:
            raise Violation(f"{name} is lost")
        demand(record.etag == blob.etag, f"{name} is settled as {record.etag}, it is {blob.etag}")
        expected = {Outcome.DEAD} if data.startswith(b"bad") else {Outcome.CLASSIFIED, Outcome.REUSED}
        demand(record.outcome in expected, f"{name} is {record.outcome}: {record.failure}")
    for record in store.records.values():
        if record.source != KEEPSAKES and record.name not in shop.blobs:
            demand(record.outcome is Outcome.GONE, f"{record.name} is deleted, its record is {record.outcome}")


def results_are_true(shop: Shop, store: MemoryStore) -> None:
    """Each analysis is that of the bytes, and of the model, which its record names."""
    contents = {hashlib.sha256(data).hexdigest(): data for data in shop.history.values()}
    for record in store.records.values():
        if record.analysis is None:
            continue
        kept = record.source == KEEPSAKES
        data = contents[record.content_hash or ""] if kept else shop.history[record.name, record.analysed or ""]
        demand(record.analysis == answer(data, record.analysis.answered), f"{record.name} has the answer of other bytes")
        if record.outcome in (Outcome.CLASSIFIED, Outcome.REUSED):
            demand(record.analysis.answered == record.asked, f"{record.name} was asked {record.asked}, has another's answer")


def index_shows_the_store(store: MemoryStore, index: Shelf) -> None:
    """The index is the projection of the store, at the newest revisions."""
    shows = {record.id: record.rev for record in store.records.values() if shown(record) and record.source != KEEPSAKES}
    has = {key: document.rev for key, document in index.documents.items()}
    demand(shows == has, f"the store shows {sorted(shows.values())}, the index {sorted(has.values())}")


def payment_is_bounded(shop: Shop, service: Service, *, bound: int) -> None:
    """Good bytes are paid once for each model, bad ones once for each version; crashes may repeat a bounded number."""
    versions = Counter(hashlib.sha256(data).hexdigest() for data in shop.history.values())
    bad = {hashlib.sha256(data).hexdigest() for data in shop.history.values() if data.startswith(b"bad")}
    repeats = sum(max(0, number - (versions[data] if data in bad else 1)) for (_, data), number in service.paid.items())
    demand(repeats <= bound, f"{repeats} calls repeated, {bound} may be")
