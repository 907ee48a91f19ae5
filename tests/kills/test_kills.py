"""The command line survives being killed at any moment: a smaller run of `python -m tests.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.harness import run_kills
from tests.kills.program import PHASES


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_sweep_survives_kills_in_every_phase(tmp_path: Path) -> None:
    outcome = run_kills(2 * len(PHASES), 300, 1, tmp_path / "home", print)
    assert outcome.violations == []
    assert outcome.kills == 2 * len(PHASES)
    assert set(outcome.hits) >= set(PHASES)
    assert outcome.repeats <= outcome.bound
