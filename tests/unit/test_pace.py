from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pace import SLACK, Pace, Pacing

LATENCY = 0.3
ECHO = 0.02


def play(pace: Pace, serve: Callable[[float], float | None], *, until: float) -> list[float]:
    """Call as fast as the pace lets until the end; `serve` answers None, or the Retry-After of a refusal (0: none)."""
    now, starts = 0.0, []
    ends: list[tuple[float, float, float | None]] = []
    while now < until:
        at = pace.admit(now)
        if at <= now:
            starts.append(now)
            refused = serve(now)
            heapq.heappush(ends, (now + (LATENCY if refused is None else ECHO), now, refused))
            continue
        now = min(at, ends[0][0] if ends else math.inf)
        while ends and ends[0][0] <= now:
            _, started, refused = heapq.heappop(ends)
            if refused is None:
                pace.answered(now, started)
            else:
                pace.throttled(now, started, refused or None)
    return starts


def seconds_of(quota: Callable[[float], float], *, told: bool = True) -> Callable[[float], float | None]:
    """Serve so many calls in each second of the clock."""
    taken: dict[int, int] = {}

    def serve(now: float) -> float | None:
        second = int(now)
        if taken.get(second, 0) >= quota(now):
            return 1.0 if told else 0.0
        taken[second] = taken.get(second, 0) + 1
        return None

    return serve


def always(_: float) -> float | None:
    return None


def most_in(starts: list[float], window: float) -> int:
    """Return the largest number of starts in any window of this length."""
    most, first = 0, 0
    for last, at in enumerate(starts):
        while starts[first] <= at - window:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(st.floats(0.5, 200), st.floats(0.05, 12), st.randoms(use_true_random=False))
def test_no_window_holds_more_calls_than_the_configured_ceiling_allows(most: float, window: float, rng: random.Random) -> None:
    pace = Pace(concurrency=500, most=most)
    now, starts = 0.0, []
    while now < 15:
        at = pace.admit(now)
        if at <= now:
            starts.append(now)
            pace.answered(now, now)
        else:
            now = at + rng.expovariate(200)
    assert most_in(starts, window) <= most * (window + SLACK) + 1 + 1e-6


def test_calls_start_evenly_and_an_idle_time_is_no_credit() -> None:
    pace = Pace(concurrency=100, most=10)
    starts = play(pace, always, until=0.95)
    assert starts == pytest.approx([index / 10 for index in range(10)])
    now = pace.admit(0.95)
    assert pace.admit(now) == now
    assert pace.admit(60.0) == 60.0
    assert pace.admit(60.0) == pytest.approx(60.1)


@given(st.lists(st.tuples(st.floats(0, 5), st.one_of(st.none(), st.floats(-10, 100))), min_size=1, max_size=40), st.integers(1, 50))
def test_nothing_is_admitted_before_any_retry_after_is_over(refusals: list[tuple[float, float | None]], flying: int) -> None:
    pace = Pace(concurrency=flying)
    now, held, in_flight = 0.0, -math.inf, []
    for gap, retry_after in refusals:
        now += gap
        while pace.admit(now) <= now:
            assert now >= held
            in_flight.append(now)
        if in_flight:
            pace.throttled(now, in_flight.pop(0), retry_after)
            held = max(held, now + (retry_after or 0))


@given(st.integers(1, 60))
def test_one_round_trip_of_refusals_makes_one_cut(refused: int) -> None:
    heard: list[Pacing] = []
    pace = Pace(concurrency=100, most=1000, told=heard.append)
    starts = [at for at in (index / 1000 for index in range(refused)) if pace.admit(at + 1e-9) <= at + 1e-9]
    before = pace.rate
    for started in starts:
        pace.throttled(0.2, started + 1e-9)
    assert [pacing.why for pacing in heard] == ["refused"]
    assert pace.rate == pytest.approx(before * 0.99)
    assert pace.refused == len(starts)


def test_refusals_that_come_after_the_pause_of_calls_from_before_it_are_no_news() -> None:
    pace = Pace(concurrency=10, most=100)
    for at in (0.0, 0.01, 0.02):
        assert pace.admit(at) == at
    pace.throttled(0.05, 0.0)
    trial = pace.admit(0.05)
    assert pace.admit(trial) == trial
    assert pace.admit(trial + 0.2) == trial + 0.2
    rate = pace.rate
    pace.throttled(trial + 0.21, 0.01)
    pace.throttled(trial + 0.22, 0.02, 5.0)
    assert pace.rate == rate
    assert pace.admit(trial + 0.23) == pytest.approx(trial + 5.22)


def test_a_refusal_of_a_call_that_started_after_the_cut_cuts_again_and_deeper() -> None:
    pace = Pace(concurrency=10, most=100)
    assert pace.admit(0.0) == 0.0
    pace.throttled(0.05, 0.0)
    first = pace.rate
    trial = pace.admit(0.05)
    assert pace.admit(trial) == trial
    pace.answered(trial + 0.04, trial)
    again = pace.admit(trial + 0.2)
    assert again == trial + 0.2
    pace.throttled(again + 0.05, again)
    assert pace.rate == pytest.approx(first * 0.98)


def test_a_pause_without_retry_after_is_tried_out_by_one_call_at_a_time_and_grows() -> None:
    pace = Pace(concurrency=10, most=100)
    starts = play(pace, lambda now: None if now > 20 else 0.0, until=20.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts[3:])]
    assert len(starts) < 16
    assert gaps == pytest.approx(sorted(gaps))
    assert gaps[-1] < 5


@pytest.mark.parametrize("retry_after", [0.0, -5.0, None])
def test_a_retry_after_in_the_past_is_as_good_as_none(retry_after: float | None) -> None:
    pace = Pace(concurrency=10, most=100)
    pace.admit(0.0)
    pace.throttled(0.02, 0.0, retry_after)
    assert 0.1 < pace.admit(0.02) < 0.5


def test_a_rate_is_found_and_used_without_knowing_the_quota() -> None:
    pace = Pace(concurrency=100, first=10)
    starts = play(pace, seconds_of(lambda _: 40), until=120)
    assert 0.97 * 40 * 60 < sum(1 for at in starts if at >= 60) <= 41 * 60
    assert pace.refused / pace.started < 0.01


@pytest.mark.parametrize("told", [True, False])
def test_a_halved_quota_is_followed_within_seconds(told: bool) -> None:  # noqa: FBT001
    pace = Pace(concurrency=100, first=10)
    play(pace, seconds_of(lambda now: 40 if now < 100 else 20, told=told), until=125)
    assert 15 < pace.rate < 21


@pytest.mark.parametrize("told", [True, False])
def test_a_doubled_quota_is_found_within_a_look_and_a_climb(told: bool) -> None:  # noqa: FBT001
    pace = Pace(concurrency=100, first=10)
    play(pace, seconds_of(lambda now: 20 if now < 100 else 40, told=told), until=100 + 85 + 25)
    assert 37 < pace.rate < 41


def test_a_climb_grows_steeper_and_stops_at_the_configured_ceiling() -> None:
    heard: list[Pacing] = []
    pace = Pace(concurrency=500, most=100, told=heard.append)
    play(pace, seconds_of(lambda now: 10 if now < 60 else 1000), until=60 + 85 + 30)
    assert pace.rate == 100
    assert max(pacing.rate for pacing in heard) == 100
    steps = list(itertools.takewhile(lambda pacing: pacing.why == "rose", reversed(heard)))
    assert 5 < len(steps) < 12


def test_a_quota_that_stays_is_looked_past_seldom() -> None:
    heard: list[Pacing] = []
    pace = Pace(concurrency=100, first=10, told=heard.append)
    play(pace, seconds_of(lambda _: 20), until=600)
    assert sum(pacing.why == "refused" for pacing in heard) <= 600 / 40


def test_a_rate_that_is_not_used_is_not_raised() -> None:
    pace = Pace(concurrency=100, first=10)
    now = 0.0
    for _ in range(200):
        now = max(now + 0.5, pace.admit(now + 0.5))
        pace.answered(now, now)
    assert pace.rate == 10


def test_nothing_is_paced_before_a_first_refusal_when_no_rate_is_given() -> None:
    pace = Pace(concurrency=50)
    assert [pace.admit(1.0) for _ in range(51)] == [1.0] * 50 + [math.inf]
    for _ in range(50):
        pace.answered(1.1, 1.0)
    assert pace.limit == 50
    pace.admit(1.2)
    pace.throttled(1.3, 1.2, 1.0)
    assert pace.rate < math.inf
    assert pace.admit(1.3) == pytest.approx(2.3)


def test_as_many_calls_are_in_flight_as_rate_and_latency_ask_for() -> None:
    pace = Pace(concurrency=1000, most=10)
    started = [at for at in (index / 10 for index in range(5)) if pace.admit(at) <= at]
    for at in started:
        pace.answered(at + 2.0, at)
    assert pace.limit == pytest.approx(10 * 2.0 * 2 + 4)
    stalled, now = 0, 10.0
    while (at := pace.admit(now)) < math.inf:
        stalled, now = stalled + (at <= now), max(at, now)
    assert stalled == 44
    pace.dropped()
    assert pace.admit(now + 1) == now + 1


def test_headers_bound_the_calls_until_the_window_ends() -> None:
    pace = Pace(concurrency=100, most=100)
    pace.admit(0.0)
    pace.answered(0.1, 0.0)
    pace.told(0.1, 6, 3.0)
    starts = []
    now = 0.1
    while (at := pace.admit(now)) < 3.1:
        if at <= now:
            starts.append(now)
        now = max(at, now)
    assert len(starts) == 6
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) > 0.4
    assert at == pytest.approx(3.1)


def test_headers_that_leave_nothing_stop_the_calls_until_the_window_ends() -> None:
    pace = Pace(concurrency=100, most=100)
    pace.told(5.0, 0, 30.0)
    assert pace.admit(5.0) == 35.0
    pace.told(40.0, 0, -3.0)
    assert pace.admit(40.0) == 40.0


BAD: list[dict[str, float]] = [
    {"most": 0.0},
    {"most": -1.0},
    {"most": math.nan},
    {"most": math.inf},
    {"first": 0.0},
    {"first": -3.0},
    {"first": math.nan},
    {"concurrency": 0},
]


@pytest.mark.parametrize("wrong", BAD)
def test_numbers_that_are_not_positive_are_refused(wrong: dict[str, float]) -> None:
    given_: dict[str, float] = {"concurrency": 8} | wrong
    with pytest.raises(ValueError, match="positive"):
        Pace(**given_)  # type: ignore[arg-type]


def test_the_hook_is_told_what_changed() -> None:
    heard: list[Pacing] = []
    pace = Pace(concurrency=10, first=10, told=heard.append)
    play(pace, seconds_of(lambda _: 20), until=20)
    assert {pacing.why for pacing in heard} == {"rose", "refused", "resumed"}
    first = next(pacing for pacing in heard if pacing.why == "refused")
    assert first.ceiling is not None
    assert first.ceiling > first.rate
    assert 0 < first.refused_share < 0.1
