from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rehearsal import __main__ as rehearsal
from tests.rehearsal.prompter import Prompter, Wrong

ROOT = Path(__file__).parents[2]


def _rehearse(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.rehearsal"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=290, check=False
    )


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_the_rehearsal_passes() -> None:
    rehearsal.installed()
    done = _rehearse()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1].startswith("The rehearsal passed: ")


@pytest.mark.slow
def test_without_node_it_says_what_to_install(tmp_path: Path) -> None:
    done = _rehearse(PATH=str(tmp_path))
    assert done.returncode == 2, done
    assert "install Node 20 or later" in done.stdout.splitlines()[-1]
    assert not done.stderr


@pytest.fixture
def prompter(tmp_path: Path) -> Prompter:
    return Prompter(tmp_path, {}, lambda _: None)


def test_what_does_not_come_as_expected_ends_it(prompter: Prompter) -> None:
    prompter.expect("calls", 3, 3)
    with pytest.raises(Wrong, match="calls: 3 was expected, and 4 was seen"):
        prompter.expect("calls", 4, 3)
    assert prompter.expected == 1


@pytest.mark.slow
def test_a_command_that_fails_ends_it_with_what_it_said(prompter: Prompter) -> None:
    with pytest.raises(Wrong, match=r"(?s)exit status 2 and said:.*imagesweep: open"):
        prompter.run("status")
    assert prompter.run("check", status=2)
