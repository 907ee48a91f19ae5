from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import decide
from jobs.decide import Verdict
from jobs.model import Analysis, Blob, Claim, Facts, Failure, Limits, Outcome, Record, shown
from jobs.taxonomy import NO_TAXONOMY

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BLOB = Blob("memory:shop", "a.jpg", "v2", NOW, 100)
RECORD = Record(BLOB.id, BLOB.source, BLOB.name, "v2", NOW, 100, asked="fake:1")
ANALYSIS = Analysis((), "a thing", 0.5, Facts(1, 1, "JPEG"), "fake-1")
SECOND = timedelta(seconds=1)


def _deferred(next_try: datetime | None) -> Record:
    return replace(RECORD, outcome=Outcome.DEFERRED, failure=Failure("transient", "slow", 1, next_try))


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (None, Verdict.TAKE),
        (replace(RECORD, outcome=Outcome.CLASSIFIED), Verdict.UNCHANGED),
        (replace(RECORD, outcome=Outcome.REUSED), Verdict.UNCHANGED),
        (replace(RECORD, outcome=Outcome.DEAD), Verdict.UNCHANGED),
        (replace(RECORD, outcome=Outcome.GONE), Verdict.TAKE),
        (replace(RECORD, outcome=Outcome.CLASSIFIED, etag="v1"), Verdict.TAKE),
        (replace(RECORD, outcome=Outcome.CLASSIFIED, asked="fake:0"), Verdict.TAKE),
        (replace(RECORD, outcome=Outcome.DEAD, asked="fake:0"), Verdict.TAKE),
        (_deferred(NOW - SECOND), Verdict.TAKE),
        (_deferred(NOW), Verdict.TAKE),
        (_deferred(NOW + SECOND), Verdict.WAIT),
        (_deferred(None), Verdict.TAKE),
        (replace(_deferred(NOW + SECOND), etag="v1"), Verdict.TAKE),
    ],
)
def test_the_ledger_decides(record: Record | None, verdict: Verdict) -> None:
    assert decide.judge(BLOB, record, asked="fake:1", now=NOW) is verdict


def test_a_claim_is_a_deferral_that_is_due_when_it_expires() -> None:
    mark = Claim("me", "v2", "fake:1", NOW + SECOND)
    claimed = decide.claim(BLOB, None, mark, run_id="r")
    assert decide.judge(BLOB, claimed, asked="fake:1", now=NOW) is Verdict.WAIT
    assert decide.judge(BLOB, claimed, asked="fake:1", now=NOW + SECOND) is Verdict.TAKE


def test_a_claim_keeps_what_the_index_shows_of_the_older_version() -> None:
    old = replace(RECORD, etag="v1", outcome=Outcome.CLASSIFIED, analysis=ANALYSIS, analysed="v1", rev=3)
    claimed = decide.claim(BLOB, old, Claim("me", "v2", "fake:1", NOW), run_id="r")
    assert (shown(claimed), claimed.analysed, claimed.rev, claimed.etag) == (True, "v1", 3, "v2")


def test_attempts_belong_to_one_version() -> None:
    old = replace(_deferred(NOW), failure=Failure("transient", "slow", 4, NOW))
    mark = Claim("me", "v2", "fake:1", NOW)
    assert decide.claim(BLOB, old, mark, run_id="r").failure == Failure("claimed", "being classified by run r", 4, NOW)
    newer = replace(BLOB, etag="v3")
    again = decide.claim(newer, old, mark, run_id="r").failure
    assert again is not None
    assert again.attempts == 0


def test_the_revision_moves_only_with_what_the_index_shows() -> None:
    fresh = decide.claim(BLOB, None, Claim("me", "v2", "fake:1", NOW), run_id="r")
    assert decide.dead(fresh, "truncated", "cut off", now=NOW).rev == 0
    assert decide.gone(fresh, now=NOW).rev == 0
    assert decide.deferred(fresh, "transient", "slow", now=NOW).rev == 0
    done = decide.answered(fresh, ANALYSIS, content_hash="h", reused=False, now=NOW, taxonomy=NO_TAXONOMY)
    assert done.rev == 1
    assert decide.dead(done, "truncated", "cut off", now=NOW).rev == 2
    assert not shown(decide.dead(done, "truncated", "cut off", now=NOW))
    assert decide.gone(done, now=NOW).rev == 2


@given(st.integers(0, 10_000))
def test_the_distance_grows_to_a_day(attempts: int) -> None:
    assert timedelta(minutes=1) <= decide.distance(attempts) <= decide.distance(attempts + 1) <= timedelta(days=1)


def test_the_listing_alone_refuses_empty_and_oversized_files() -> None:
    limits = Limits(frozenset({"JPEG"}), 50, 16_000, 100)
    assert decide.refusal(BLOB, limits) is None
    assert decide.refusal(replace(BLOB, size=0), limits) == ("empty", "the file is empty")
    assert decide.refusal(replace(BLOB, size=101), limits) == (
        "too-large",
        "101 bytes, more than the 100 that the classifier takes",
    )
