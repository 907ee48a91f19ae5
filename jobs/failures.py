"""Failures: dead letters and deferred blobs, by class, with examples and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jobs.model import Outcome, Record
from jobs.ports import Ledger

HINTS = {
    "empty": "Upload the file again.",
    "not-an-image": "The name says image, the bytes do not: rename it, or upload the right file.",
    "truncated": "The upload was cut off: upload the file again.",
    "unreadable": "The decoder refuses it: open it in an editor and save it again.",
    "too-small": "Nothing to do, unless a larger one exists.",
    "too-large": "Scale it down, or raise IMAGESWEEP_MAX_MB or IMAGESWEEP_MAX_MEGAPIXELS and sweep again.",
    "format": "Convert it to JPEG, PNG or WebP.",
    "crash": "It crashed the decoder and may be hostile: look at it before you keep it.",
    "hang": "Decoding it took too long: scale it down, or raise IMAGESWEEP_DECODE_SECONDS.",
    "changed": "It was overwritten while it was read; the next sweep takes the new version.",
    "claimed": "A run is at it, or was; it is due again when the claim ends.",
    "interrupted": "The run stopped before its turn; the next sweep takes it.",
    "forbidden": "This process may not read it: give it the right to.",
    "timeout": "The classifier did not answer in time; it is tried again.",
    "throttled": "The service's quota was used up; it is tried again.",
    "unreachable": "The service could not be reached; it is tried again.",
    "refused": "The service refused it and did not say why in words known here: see its reason.",
    "bad-answer": "The service answered what is no answer; it is tried again.",
    "transient": "A passing fault; it is tried again.",
}


@dataclass(slots=True)
class FailureGroup:
    """One class of dead letters or deferred blobs: how many, some of them, and what to do."""

    outcome: Outcome
    failure_class: str
    hint: str
    count: int = 0
    next_try: datetime | None = None
    examples: list[Record] = field(default_factory=list)


async def failures(
    *, ledger: Ledger, source: str, failure_class: str | None = None, prefix: str = "", examples: int = 3
) -> Sequence[FailureGroup]:
    """Group what failed, the most frequent first; `examples` of each class are kept, in the order of their names."""
    groups: dict[tuple[Outcome, str], FailureGroup] = {}
    async for batch in ledger.scan(source, outcomes=[Outcome.DEAD, Outcome.DEFERRED], prefix=prefix):
        for record in batch:
            if record.failure is None or record.outcome is None or failure_class not in (None, record.failure.failure_class):
                continue
            key = (record.outcome, record.failure.failure_class)
            group = groups.setdefault(key, FailureGroup(*key, HINTS.get(key[1], "See its reason.")))
            group.count += 1
            if len(group.examples) < examples:
                group.examples.append(record)
            due = record.failure.next_try
            group.next_try = min((time for time in (due, group.next_try) if time), default=None)
    return sorted(groups.values(), key=lambda group: (-group.count, group.outcome, group.failure_class))
