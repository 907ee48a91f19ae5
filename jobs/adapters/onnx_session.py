"""The model itself: bytes in, analyses out. Imported by worker processes only; it is what makes them large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from jobs.adapters.onnx_worker import Fault, Setup
from jobs.adapters.vocabulary import Vocabulary
from jobs.errors import Rejected
from jobs.model import Analysis, Facts
from jobs.pixels import look

SIDE = 224
"""Pixels a side that the model looks at."""

Looked = tuple[Facts, NDArray[np.uint8]]


class Session:
    """One loaded model, for one thread."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._model: Any = onnxruntime.InferenceSession(
            str(setup.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._vocabulary = Vocabulary.load(setup.folder / "vocabulary.json.gz")

    def analyse(self, batch: Sequence[bytes]) -> list[Analysis | Fault]:
        """Answer for each image of a batch, in order. Of each it holds only the square that the model looks at."""
        looked = [self._look(data) for data in batch]
        good = [item for item in looked if not isinstance(item, Fault)]
        found = iter(self._infer(good) if good else ())
        return [item if isinstance(item, Fault) else next(found) for item in looked]

    def _look(self, data: bytes) -> Looked | Fault:
        try:
            return look(data, limits=self._setup.limits, max_pixels=self._setup.max_pixels, side=SIDE)
        except Rejected as error:
            return Fault(error.failure_class, error.cause)
        except MemoryError:
            return Fault("too-large", "decoding it takes more memory than there is")

    def _infer(self, good: Sequence[Looked]) -> list[Analysis]:
        probs, embeddings = self._model.run(["probs", "embedding"], {"image": np.stack([pixels for _, pixels in good])})
        embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        analyses = []
        for (facts, _), prob, embedding in zip(good, probs, embeddings, strict=True):
            tags = self._vocabulary.tags(prob)
            caption, confidence = self._vocabulary.caption(tags)
            vector = embedding.astype("<f4").tobytes()
            analyses.append(Analysis(tags, caption, confidence, facts, self._setup.answered, vector))
        return analyses
