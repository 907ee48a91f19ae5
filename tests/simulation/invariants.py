"""What must hold: of the watermark at every moment, of everything once the world is quiet."""

from __future__ import annotations

import hashlib
from collections import Counter

from jobs.decide import KEEPSAKES
from jobs.model import Outcome, Record, Report, Scan, shown
from tests.fakes.classifier import answer
from tests.fakes.store import MemoryStore
from tests.simulation.shop import Service, Shelf, Shop


class Violation(AssertionError):
    """An invariant does not hold."""


def demand(holds: object, message: str) -> None:
    """Raise Violation unless `holds`."""
    if not holds:
        raise Violation(message)


def counts_add_up(report: Report) -> None:
    """Every version that was listed came to one outcome."""
    parts = (report.classified, report.reused, report.unchanged, report.skipped, report.deferred, report.dead, report.gone)
    demand(report.listed == sum(parts), f"{report.listed} listed, {sum(parts)} accounted for")


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


def watermark_passed_nothing(shop: Shop, store: MemoryStore, former: Scan | None, scan: Scan) -> None:
    """A watermark that moves moves forward, after a scan, past no version that the scan could see and that is not in the ledger.

    A deferred record is good for any version: when it is due, what is there then is settled.
    """
    if scan.watermark is None or (former and former.watermark == scan.watermark):
        return
    if former is None or former.checkpoint is None:
        raise Violation("the watermark moved without a scan")
    demand(former.watermark is None or scan.watermark > former.watermark, "the watermark moved back")
    begun = (former.checkpoint.started - shop.skew - shop.epoch).total_seconds()
    for name, (blob, _) in shop.blobs.items():
        if shop.since[name, blob.etag] < begun:
            record: Record | None = store.records.get(blob.id)
            settled = record is not None and (record.etag == blob.etag or record.outcome is Outcome.DEFERRED)
            demand(settled, f"the watermark {scan.watermark} passed {name} of {blob.modified}")
