"""What one worker process does: decode, look and infer, a batch at a time.

Runs apart from the sweep, so that a decoder which crashes or hangs on hostile bytes takes only its own process with it.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.adapters.vocabulary import Vocabulary
from jobs.errors import Rejected
from jobs.model import Analysis, Facts, Limits
from jobs.pixels import look

SIDE = 224
"""Pixels a side that the model looks at."""

GROUP = 4
"""Images inferred at once: as fast as eight on one thread, in half the memory."""

Looked = tuple[Facts, NDArray[np.uint8]]


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


_session: Any = None
_vocabulary: Vocabulary | None = None
_setup: Setup | None = None


def begin(setup: Setup) -> None:
    """Load the model into this process. Ctrl-C is the sweep's to answer, not ours."""
    global _session, _vocabulary, _setup  # noqa: PLW0603 a worker process has one model for its life
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import onnxruntime  # noqa: PLC0415 the parent never needs it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    _session = onnxruntime.InferenceSession(str(setup.folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    _vocabulary = Vocabulary.load(setup.folder / "vocabulary.json.gz")
    _setup = setup


def analyse(batch: Sequence[bytes]) -> list[Analysis | Fault]:
    """Answer for each image of a batch, in order. Holds only `GROUP` decoded images at a time."""
    answers: list[Analysis | Fault] = []
    for begin in range(0, len(batch), GROUP):
        looked = [_look(data) for data in batch[begin : begin + GROUP]]
        good = [item for item in looked if not isinstance(item, Fault)]
        found = iter(_infer(good) if good else ())
        answers += [item if isinstance(item, Fault) else next(found) for item in looked]
    return answers


def _look(data: bytes) -> Looked | Fault:
    assert _setup is not None
    try:
        return look(data, limits=_setup.limits, max_pixels=_setup.max_pixels, side=SIDE)
    except Rejected as error:
        return Fault(error.failure_class, error.cause)
    except MemoryError:
        return Fault("too-large", "decoding it takes more memory than there is")


def _infer(good: Sequence[Looked]) -> list[Analysis]:
    assert _vocabulary is not None
    assert _setup is not None
    probs, embeddings = _session.run(["probs", "embedding"], {"image": np.stack([pixels for _, pixels in good])})
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    analyses = []
    for (facts, _), prob, embedding in zip(good, probs, embeddings, strict=True):
        tags = _vocabulary.tags(prob)
        caption, confidence = _vocabulary.caption(tags)
        analyses.append(Analysis(tags, caption, confidence, facts, _setup.answered, embedding.astype("<f4").tobytes()))
    return analyses


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
