"""Two thousand worlds; `make simulate SEEDS=100000` for more. A violation names the seed that replays it."""

from __future__ import annotations

import os

import pytest

from tests.simulation.__main__ import many, simulate
from tests.simulation.hazards import missing

SEEDS = int(os.environ.get("SEEDS", "2000"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_world_breaks_a_promise_and_every_hazard_fires() -> None:
    outcome = many(SEEDS)
    assert outcome.seeds == SEEDS
    assert outcome.violations == []
    assert missing(outcome.hazards) == []


def test_a_seed_makes_the_same_world_every_time() -> None:
    first, second = simulate(7), simulate(7)
    assert first.hazards == second.hazards
    assert first.violations == second.violations == []
