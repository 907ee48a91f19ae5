"""The samples, as the local model sees them, are found by both back ends alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_a_hundred_queries_find_the_same_in_both_back_ends() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.agree", "samples"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "differs" not in done.stdout
