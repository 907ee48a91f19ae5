"""What crosses the border of a worker process, and its two entries. Light: the parent imports it and never loads a model.

Workers run apart from the sweep, so that a decoder which crashes or hangs on hostile bytes takes only its own process with it.
"""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.adapters.onnx_lane import Load, unload
from jobs.model import Analysis, Limits

if TYPE_CHECKING:
    from jobs.adapters.onnx_session import Session


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to begin: the model's folder, its verified name, and the bounds of what it may decode."""

    folder: Path
    answered: str
    limits: Limits
    max_pixels: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the image, as data: exceptions of ours do not cross a process border."""

    failure_class: str
    reason: str


_session: Session | None = None


def begin(setup: Setup) -> None:
    """Load the model into this process. Ctrl-C is the sweep's to answer, not ours."""
    global _session  # noqa: PLW0603 a worker process has one model for its life
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from jobs.adapters.onnx_session import Session  # noqa: PLC0415

    _session = Session(setup)


def analyse(load: Load) -> list[Analysis | Fault]:
    """Answer for each image of a batch, in order."""
    assert _session is not None
    return _session.analyse(unload(load))


def verify(folder: Path) -> str:
    """Return the fingerprint of a model folder, after checking its files against SHA256SUMS. Raises ValueError naming the file."""
    sums = (folder / "SHA256SUMS").read_text()
    for line in sums.splitlines():
        expected, name = line.split()
        with (folder / name).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise ValueError(f"{folder / name} has checksum {actual[:12]}…, expected {expected[:12]}…")
    return hashlib.sha256(sums.encode()).hexdigest()[:12]
