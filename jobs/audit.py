"""Audit: compare source, store and index name by name, and mend what differs. For what a scan by time cannot see.

One pass compares; what it finds is kept on disk, looked at again, and mended: what is missing before what is orphaned, so that
a moved image can be found under one name or the other at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from jobs.choose import within
from jobs.compare import Entry, Histories, Kind, Sides, judge, sides
from jobs.errors import SweepError
from jobs.findings import Finding, Findings
from jobs.mend import confirm, delete, guess_moved, renew_found, republish, settle_found
from jobs.model import Report, Scan, blob_id
from jobs.retry import retry
from jobs.run import Terms
from jobs.sniff import named_image
from jobs.work import STEADY, Control, Ports, Work, conduct

FLOOR = 10
"""Deletions that no brake holds back."""

_STEP = 1000


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found and mended. `found` is the sum of the kinds but `moved`, whose names are among the others already.

    `missing`: an image in the source that the store does not know. `stale`: known as another version. `orphaned_store`: a record
    without a blob. `orphaned_index`: a document without a record to show. `unpublished`: a record whose document is absent,
    at another revision, or refused. `outdated`: a record with categories of another taxonomy, mended without a call. `moved`:
    missing ones with an orphan's bytes, whose answer is copied; in a dry audit the least there are. `unlisted` blobs are there
    though the listing did not show them: they came meanwhile or are chosen out, and are left to the sweeps.

    `repaired` and `examples` go by kind. `braked` says that the deletions are more than the brake allows, `disorder` which
    names came out of order. `rate` is names compared a second. `compared` names are `blobs`, `records` and `documents` merged.
    """

    report: Report
    message: str
    compared: int
    blobs: int
    records: int
    documents: int
    missing: int
    stale: int
    orphaned_store: int
    orphaned_index: int
    unpublished: int
    outdated: int
    moved: int
    unlisted: int
    repaired: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]
    braked: bool
    disorder: str | None
    rate: float

    @property
    def found(self) -> int:
        """How many findings there are in all."""
        return self.missing + self.stale + self.orphaned_store + self.orphaned_index + self.unpublished + self.outdated


async def audit(
    *, ports: Ports, terms: Terms, prefix: str = "", repair: bool = False, brake: float = 0.05, control: Control = STEADY
) -> Audit:
    """Compare one source, below a prefix, with the store and the index; mend what differs if `repair`.

    Without `repair` nothing is changed but the reports. `brake` is the share of the images in store and index that one audit
    may delete, 0 to 1; when more than that (and than `FLOOR`) would go, nothing is deleted and the rest is mended. What the
    listing could not read, and all below it, is never deleted; nothing is when a side is out of order. The report's status is
    `complete`, `partial` (some of the source could not be read), `stopped`, `misconfigured`, or `failed` (also: disorder, or a
    repair that was braked); its counts are of what was settled. Raises LeaseHeld when another audit is at it.
    """
    prefix = within(ports.source, prefix)
    terms = terms if repair else replace(terms, window=None)
    with Findings() as found:
        body = partial(_audit, found=found, prefix=prefix, repair=repair, brake=brake)
        key = f"audit|{ports.source.key}|{prefix}"
        report = await conduct("audit", body, ports=ports, key=key, terms=terms, control=control)
        return _result(report, found)


async def _audit(work: Work, *, found: Findings, prefix: str, repair: bool, brake: float) -> str:
    if not await _compare(work, found, prefix=prefix) or not await confirm(work, found):
        return "stopped"
    if found.disorder is None:
        found.braked = _brake(found, brake)
    if not await (_mend(work, found) if repair else _look(work, found)):
        return "stopped"
    if found.disorder is not None:
        hint = "Nothing was deleted, and the numbers may be too high."
        raise SweepError("audit", work.ports.source.key, f"names came out of order: {found.disorder}", hint=hint)
    if repair and found.braked is not None:
        raise SweepError("delete", work.ports.source.key, found.braked, hint="Nothing was deleted; the rest is mended.")
    if found.unsure is not None:
        raise found.unsure
    return "partial" if found.hidden else "complete"


async def _look(work: Work, found: Findings) -> bool:
    await guess_moved(work, found)
    return work.run.admits()


async def _mend(work: Work, found: Findings) -> bool:
    whole = await settle_found(work, found) and await renew_found(work, found)
    if found.braked is None and found.disorder is None:
        whole = whole and await delete(work, found)
    return whole and await republish(work, found)


def _brake(found: Findings, brake: float) -> str | None:
    """Say why nothing may be deleted, None when it may."""
    if found.deletions <= max(brake * found.held, FLOOR):
        return None
    share = found.deletions / found.held
    return (
        f"{found.deletions:,} of {found.held:,} images in store and index would be deleted ({share:.0%}), and the brake allows "
        f"{brake:.0%}: if they are really gone, run imagesweep audit --repair --brake 1"
    )


async def _compare(work: Work, found: Findings, *, prefix: str) -> bool:
    """Go through all names once and list what is wrong; say whether the end was reached."""
    ports, run = work.ports, work.run
    scans = await retry(partial(ports.state.list, Scan, f"{ports.source.key}|"), run.terms.retry)
    histories = Histories({key.removeprefix(f"{ports.source.key}|"): scan for key, scan, _ in scans})
    three = sides(source=ports.source, ledger=ports.ledger, index=ports.index, prefix=prefix, policy=run.terms.retry)
    now = run.now()
    begun = asyncio.get_running_loop().time()
    async with aclosing(three.entries()) as entries:
        async for entry in entries:
            if found.compared % _STEP == 0 and not run.admits():
                return False
            found.compared += 1
            found.held += entry.held
            run.counts.seen += 1
            history = entry.record is None and entry.blob is not None and histories.leave_out(entry.blob)
            hidden = three.hidden.covers(entry.name)
            for kind in judge(entry, now=now, hidden=hidden, history=history, taxonomy=run.terms.taxonomy):
                _keep(found, entry, kind, source=ports.source.key)
    _close(work, found, three, seconds=asyncio.get_running_loop().time() - begun)
    return True


def _close(work: Work, found: Findings, three: Sides, *, seconds: float) -> None:
    found.blobs, found.records, found.documents = three.listing.count, three.ledger.count, three.index.count
    found.disorder, found.seconds = three.disorder, seconds
    found.hidden = work.run.counts.unread = len(three.hidden)


def _keep(found: Findings, entry: Entry, kind: Kind, *, source: str) -> None:
    """List a finding. Orphans are counted when they have been looked at again, doubtful blobs when they have been read."""
    about = entry.blob or entry.record
    content_hash = entry.record.content_hash if entry.record else None
    key = entry.document[0] if entry.document else blob_id(source, entry.name)
    finding = Finding(entry.name, key, about.size if about else 0, content_hash, entry.document is not None)
    if kind is Kind.MISSING and entry.record is None and entry.document is None and not named_image(entry.name):
        found.doubtful.add(finding)
        return
    if kind not in found.orphans:
        found.note(kind, entry.name)
    found.lists[kind].add(finding)


def _result(report: Report, found: Findings) -> Audit:
    return Audit(
        report=report,
        message=report.message or found.braked or "",
        compared=found.compared,
        blobs=found.blobs,
        records=found.records,
        documents=found.documents,
        missing=found.found[Kind.MISSING],
        stale=found.found[Kind.STALE],
        orphaned_store=found.found[Kind.ORPHANED_STORE],
        orphaned_index=found.found[Kind.ORPHANED_INDEX],
        unpublished=found.found[Kind.UNPUBLISHED],
        outdated=found.found[Kind.OUTDATED],
        moved=found.found[Kind.MOVED],
        unlisted=found.unlisted,
        repaired={kind.value: found.repaired[kind] for kind in Kind},
        examples={kind.value: tuple(names) for kind, names in found.examples.items()},
        braked=found.braked is not None,
        disorder=found.disorder,
        rate=round(found.compared / found.seconds, 1) if found.seconds > 0 else 0.0,
    )
