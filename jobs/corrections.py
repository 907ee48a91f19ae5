"""What people said of an image's labels, laid over what its classifier said. Pure.

A correction is kept apart from the analysis, so it outlives every new answer about the same bytes; it is about these bytes, so it
says nothing of others that come to have the same name, and is never copied to another image.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from jobs.errors import Misconfigured
from jobs.model import Analysis, Correction, Record, Tag

Said = Literal["added", "removed", "pinned"]
LONGEST = 100
"""Characters of a label."""

MOST = 100
"""Corrections of one image."""


def standing(record: Record) -> Mapping[str, Correction]:
    """Return the corrections that are about the bytes that the record's analysis is about, by label."""
    return {one.label: one for one in record.corrections if record.content_hash in (None, one.content_hash)}


def seen(record: Record) -> Analysis | None:
    """Return the analysis as people see it: without the labels that were removed, with those that were added or pinned.

    What a person said is certain. Objects lose a removed name as well; the rest is as the classifier said it.
    """
    analysis, said = record.analysis, standing(record)
    if analysis is None or not said:
        return analysis
    sure = tuple(Tag(label, 1.0) for label, one in said.items() if one.says != "removed")
    rest = tuple(tag for tag in analysis.tags if tag.name not in said)
    objects = tuple(one for one in analysis.objects if one.name not in said or said[one.name].says != "removed")
    return replace(analysis, tags=(*sure, *rest), objects=objects)


def corrected(record: Record, label: str, says: Said | None, *, by: str, now: datetime) -> Record:
    """Return the record with one more thing said of a label, None to take back what was said; the last word on a label counts.

    Raises Misconfigured for what is no label, for an image without an analysis, and beyond MOST corrections.
    """
    if record.analysis is None or record.content_hash is None:
        raise Misconfigured("correct", record.name, "it has no answer that could be corrected", hint="Sweep it first.")
    name = _label(label, record.name)
    kept = tuple(one for one in record.corrections if one.label != name or one.content_hash != record.content_hash)
    if says is not None:
        kept = (*kept, Correction(name, says, record.content_hash, now, by))
    if len(kept) > MOST:
        raise Misconfigured("correct", record.name, f"it has {MOST} corrections already", hint="Take some back.")
    return record if kept == record.corrections else replace(record, corrections=kept, rev=record.rev + 1)


def _label(label: str, name: str) -> str:
    found = " ".join(unicodedata.normalize("NFC", label).split())
    if not 0 < len(found) <= LONGEST or any(unicodedata.category(character) in ("Cc", "Cs") for character in found):
        raise Misconfigured("correct", name, f"{label[:LONGEST]!r} is no label", hint=f"A label has 1 to {LONGEST} characters.")
    return found
