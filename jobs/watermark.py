"""Watermark and scan: where a scan begins, and what a complete one proves. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from jobs.model import Checkpoint, Scan


def begin(scan: Scan, *, now: datetime, scope: str, lookback: timedelta, from_now: bool = False) -> Scan:
    """Freeze a new scan: its start, and the oldest change that it looks at.

    A changed scope, no watermark, or one that lies ahead of the source's clock starts a full scan, but never before `from_now`.
    """
    floor = now if from_now and scan.watermark is None and scan.from_now is None else scan.from_now
    trusted = scan.watermark is not None and scan.watermark <= now and scan.scope == scope
    lower = scan.watermark - lookback if trusted and scan.watermark is not None else None
    if floor is not None:
        lower = floor if lower is None else max(lower, floor)
    return replace(scan, from_now=floor, checkpoint=Checkpoint(started=now, lower=lower, scope=scope))


def complete(scan: Scan) -> Scan:
    """Return the progress after a whole listing: the watermark moves to the scan's start unless something was left unread."""
    checkpoint = scan.checkpoint
    if checkpoint is None or checkpoint.unread:
        return replace(scan, checkpoint=None)
    watermark = checkpoint.started if scan.watermark is None else max(scan.watermark, checkpoint.started)
    return replace(scan, watermark=watermark, scope=checkpoint.scope, checkpoint=None)
