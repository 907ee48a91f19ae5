"""Records to test with, and the laws' ways to make them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from jobs.model import (
    Analysis,
    Checkpoint,
    Claim,
    Facts,
    Failure,
    Lease,
    OpenPage,
    Outcome,
    Record,
    Report,
    Scan,
    Tag,
    blob_id,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = "folder:/photos"
ODD_NAMES = [
    "a",
    "a\0b",
    "a\nb",
    "a b",
    "a\"'; DROP TABLE records; --",
    "a%",
    "a-b",
    "a.jpg",
    "a/x",
    "a/\U0010ffff/x",
    "aB",
    "a_",
    "ab",
    "a\ud7ff",
    "a\ue000",
    "a\uffff",
    "a\U0001f600",
    "a\U0010ffff",
    "a\U0010ffffb",
    "B",
    "é",
    "e\u0301",
]


def record(name: str, **changes: object) -> Record:
    """Return a record that is only known by its listing, but for the changes."""
    plain = Record(blob_id(SOURCE, name), SOURCE, name, "e1", NOON, 1000)
    return replace(plain, **changes)  # type: ignore[arg-type]  # the caller's own fields


def analysis(embedding: bytes | None = None, answered: str = "model 1") -> Analysis:
    """Return an analysis with a tag and the given embedding."""
    return Analysis((Tag("hen", 0.75),), "a hen", 0.5, Facts(640, 480, "JPEG", ("red",), taken=NOON), answered, embedding)


def classified(name: str, content: str, *, asked: str = "asked 1", embedding: bytes | None = None) -> Record:
    """Return a record whose bytes had the hash `content` and were analysed."""
    found = analysis(embedding)
    return record(name, outcome=Outcome.CLASSIFIED, asked=asked, content_hash=content, analysis=found, analysed="e1", rev=1)


def deferred(name: str, next_try: datetime | None, failure_class: str = "transient") -> Record:
    """Return a record that is to be tried again."""
    return record(name, outcome=Outcome.DEFERRED, failure=Failure(failure_class, "slow", 2, next_try))


texts = st.text(st.characters(codec="utf-8"), max_size=20)
_zones = st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])
times = st.datetimes(timezones=_zones)
_shares = st.floats(0, 1)
_maybe = st.none()
_facts = st.builds(
    Facts,
    width=st.integers(0, 2**40),
    height=st.integers(0, 2**40),
    format=texts,
    colours=st.lists(texts, max_size=3).map(tuple),
    frames=st.integers(1, 9),
    taken=_maybe | times,
    camera=_maybe | texts,
    latitude=_maybe | st.floats(-90, 90),
    longitude=_maybe | st.floats(-180, 180),
    sketch=texts,
)
_analyses = st.builds(
    Analysis,
    tags=st.lists(st.builds(Tag, texts, _shares), max_size=3).map(tuple),
    caption=texts,
    caption_confidence=_shares,
    facts=_facts,
    answered=texts,
    embedding=_maybe,
)
records = st.builds(
    Record,
    id=texts,
    source=texts,
    name=texts,
    etag=texts,
    modified=times,
    size=st.integers(0, 2**60),
    asked=texts,
    outcome=_maybe | st.sampled_from(Outcome),
    content_hash=_maybe | texts,
    analysis=_maybe | _analyses,
    analysed=_maybe | texts,
    failure=_maybe | st.builds(Failure, texts, texts, st.integers(1, 99), _maybe | times),
    claim=_maybe | st.builds(Claim, texts, texts, texts, times),
    rev=st.integers(0, 2**60),
    run_id=texts,
    settled=_maybe | times,
    unpublished=_maybe | texts,
    group=texts,
    version=_maybe | texts,
)
_counts = st.integers(0, 2**60)
_checkpoints = st.builds(Checkpoint, times, _maybe | times, texts, _maybe | texts, _counts)
documents = st.one_of(
    st.builds(Scan, _maybe | times, texts, _maybe | _checkpoints, _maybe | times, _counts),
    st.builds(Lease, texts, _counts, times),
    st.builds(OpenPage, texts, st.lists(texts, max_size=5).map(tuple)),
    st.builds(
        Report, texts, texts, texts, texts, times, _counts, seconds=st.floats(0, 1e9), watermark=_maybe | times, message=texts
    ),
)
