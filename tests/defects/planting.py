"""Plant a defect in a copy of the program, and see what kills it there."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from tempfile import TemporaryDirectory

from tests.defects.defect import FALLBACK, Defect

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
"""Seconds after which a killer is given up: a defect may also hang."""


class NotPlanted(Exception):
    """The text that a defect changes is not there exactly once: the catalogue is behind the code."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What killed a defect, with which message; `killer` is None when nothing did."""

    defect: Defect
    killer: str | None
    message: str
    seconds: float


@contextmanager
def copied(root: Path = ROOT) -> Iterator[Path]:
    """Copy what the killers run, compiled such that a planted change is always noticed."""
    with TemporaryDirectory(prefix="defects-") as folder:
        ignored = shutil.ignore_patterns("__pycache__", "models", "node_modules")
        for package in ("jobs", "search", "tests"):
            shutil.copytree(root / package, Path(folder, package), ignore=ignored)
        shutil.copy(root / "pyproject.toml", folder)
        for package in ("jobs", "search", "tests/fakes", "tests/simulation", "tests/defects"):
            compileall.compile_dir(Path(folder, package), quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        yield Path(folder)


def planted(defect: Defect, source: str) -> str:
    """Return the source with the defect. Raises NotPlanted."""
    for old, new in defect.edits:
        if source.count(old) != 1:
            raise NotPlanted(f"{defect.name}: {defect.file} has this text {source.count(old)} times, not once:\n{old}")
        source = source.replace(old, new)
    return source


def try_to_kill(defect: Defect, clean: Path, *, fallback: range = FALLBACK) -> Verdict:
    """Plant one defect in a copy of the clean copy, and run its killer; `fallback`: more worlds, if its own show nothing."""
    begun = time.monotonic()
    with TemporaryDirectory(prefix="defect-") as folder:
        home = Path(folder, "home")
        shutil.copytree(clean, home)
        target = home / defect.file
        target.write_text(planted(defect, target.read_text()))
        killer, message = _by_test(defect, home) if defect.test else _by_seeds(defect, home, fallback)
    return Verdict(defect, killer, message, time.monotonic() - begun)


def _by_seeds(defect: Defect, home: Path, fallback: range) -> tuple[str | None, str]:
    message = ""
    for seeds in dict.fromkeys((defect.seeds, fallback)):
        command = ["-m", "tests.defects.hunt", str(seeds.start), str(len(seeds)), defect.says]
        killed, message = _run(command, home)
        seed = re.match(r"seed (\d+): Violation: ", message)
        if killed and seed:
            return f"seed {seed[1]}", message[seed.end() :]
    return None, message


def _by_test(defect: Defect, home: Path) -> tuple[str | None, str]:
    failed, output = _run(["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", defect.test], home, killed=1)
    said = [line for line in output.splitlines() if re.search(defect.says, line)]
    return (defect.test, said[0]) if failed and said else (None, output[-500:])


def _run(command: list[str], home: Path, *, killed: int = 0) -> tuple[bool, str]:
    """Run Python in a copy; say whether it ended with the status that means killed, and what it printed last."""
    environment = os.environ | {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            [sys.executable, *command], cwd=home, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PATIENCE:.0f} s"
    return ended.returncode == killed, (ended.stdout.strip() or ended.stderr.strip()[-500:])
