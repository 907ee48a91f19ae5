from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Rejected, Transient
from jobs.retry import Policy, backoff, retry
from tests.simulation.loop import VirtualLoop, run_virtually


@given(st.integers(1, 1000), st.floats(0, 1))
def test_backoff_stays_between_nothing_and_its_cap(attempt: int, jitter: float) -> None:
    assert 0 <= backoff(attempt, Policy(cap=20), jitter=jitter) <= 20


def test_the_ceiling_doubles() -> None:
    assert [backoff(n, Policy(base=1, cap=10), jitter=1) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 10]


def test_what_the_service_asks_is_the_least() -> None:
    assert backoff(1, Policy(base=0.5), jitter=0, asked=7) == 7


def _tries(errors: list[Exception], policy: Policy) -> tuple[object, int, float]:
    async def world() -> tuple[object, int, float]:
        left = list(errors)
        calls = 0

        async def call() -> str:
            nonlocal calls
            calls += 1
            if left:
                raise left.pop(0)
            return "answer"

        try:
            result: object = await retry(call, policy, random=lambda: 1.0)
        except Exception as error:  # noqa: BLE001 the test looks at whatever came
            result = error
        return result, calls, asyncio.get_running_loop().time()

    return run_virtually(world(), VirtualLoop())


def test_passing_faults_are_tried_again_until_the_attempts_are_spent() -> None:
    fault = Transient("read", "a", "status 503")
    assert _tries([fault] * 2, Policy(attempts=3, base=1))[:2] == ("answer", 3)
    assert _tries([fault] * 3, Policy(attempts=3, base=1))[:2] == (fault, 3)


def test_no_attempt_begins_after_the_deadline() -> None:
    fault = Transient("read", "a", "status 429", retry_after=30)
    result, calls, time = _tries([fault] * 9, Policy(attempts=9, seconds=60, base=0))
    assert (result, calls, time) == (fault, 3, 60)


@pytest.mark.parametrize("error", [Rejected("classify", "a", "no image", failure_class="format"), RuntimeError("a bug")])
def test_everything_else_is_raised_at_once(error: Exception) -> None:
    assert _tries([error], Policy())[:2] == (error, 1)
