"""A few scenarios of the bench, by one seed each: what the pace promises holds where quotas are enforced as real ones are."""

from __future__ import annotations

import random

import pytest

from bench.throttle.clients import Client, FixedRate, ours
from bench.throttle.scenarios import SCENARIOS, Scenario
from bench.throttle.simulate import oracle, recovery, simulate

NAMED = {scenario.name: scenario for scenario in SCENARIOS}


def share(scenario: Scenario, client: Client | None = None, *, seed: int = 7) -> tuple[float, float]:
    """Return what was served against the oracle, and the share refused."""
    outcome = simulate(scenario, lambda _: client or ours(), seed)
    return outcome.served.total() / sum(oracle(scenario, outcome)), outcome.refused_share


@pytest.mark.parametrize(
    ("name", "used", "refused"),
    [
        ("bucket, told", 0.98, 0.005),
        ("tight bucket, untold", 0.97, 0.005),
        ("second, told", 0.96, 0.003),
        ("second, untold", 0.97, 0.005),
        ("sliding 10 s, told", 0.965, 0.0015),
        ("minute, told", 0.985, 0.005),
        ("second, halved", 0.89, 0.005),
        ("second, doubled", 0.87, 0.005),
        ("sliding 10 s, doubled", 0.945, 0.006),
        ("bucket, another tenant for a third", 0.94, 0.007),
        ("second, 8 workers", 0.93, 0.012),
    ],
)
def test_the_quota_is_used_and_hardly_tripped(name: str, used: float, refused: float) -> None:
    ours_used, ours_refused = share(NAMED[name])
    assert ours_used >= used
    assert ours_refused <= refused


@pytest.mark.parametrize("name", ["second, halved", "bucket, halved", "sliding 10 s, halved"])
def test_a_halved_quota_is_recovered_from_within_a_minute(name: str) -> None:
    scenario = NAMED[name]
    outcome = simulate(scenario, lambda _: ours(), 7)
    assert recovery(scenario, outcome)[0] < 60


@pytest.mark.parametrize("name", ["bucket, told", "second, told", "sliding 10 s, told", "minute, told"])
def test_the_service_enforces_its_quota(name: str) -> None:
    used, refused = share(NAMED[name], FixedRate(random.Random(1), 40.0))
    assert used <= 1.002
    assert refused > 0.03


def test_the_same_seed_is_the_same_run() -> None:
    scenario = NAMED["second, noisy latency"]
    assert share(scenario, seed=3) == share(scenario, seed=3)
    assert share(scenario, seed=3) != share(scenario, seed=4)


def test_a_quota_of_a_few_calls_a_minute_is_found_after_its_first_minute() -> None:
    used, refused = share(NAMED["minute, free tier"])
    assert used > 0.94
    assert refused < 0.01
