"""The command line survives being killed at any moment: smaller runs of `python -m tests.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.azure import azure
from tests.kills.harness import run_kills
from tests.kills.program import PHASES
from tests.kills.stage import Embedded


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_sweep_survives_kills_in_every_phase(tmp_path: Path) -> None:
    outcome = run_kills(Embedded.at(tmp_path / "home"), 2 * len(PHASES), 300, 1, say=print)
    assert outcome.violations == []
    assert outcome.kills == 2 * len(PHASES)
    assert set(outcome.hits) >= set(PHASES)
    assert outcome.repeats <= outcome.bound


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(240)
def test_a_sweep_on_the_azure_profile_survives_kills(tmp_path: Path) -> None:
    with azure(tmp_path / "home") as stage:
        outcome = run_kills(stage, 6, 120, 1, often=6, say=print)
    assert outcome.violations == []
    assert set(outcome.hits) == {"claim", "answer", "store", "publish", "checkpoint", "outside"}
    assert outcome.paid_twice is not None
    assert outcome.paid_twice <= outcome.repeats <= outcome.bound
