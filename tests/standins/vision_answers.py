"""What the AI Vision stand-in sees: the local model's view of a picture, or one made of the bytes' hash for benches."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.model import Analysis, Limits
from tests.standins.vision_rules import FORMATS, MAX_BYTES, MAX_SIDE, Asked, invalid

LENGTH = 1024
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class View:
    """What was seen in one picture; `vector` has LENGTH numbers of no particular norm."""

    tags: tuple[tuple[str, float], ...]
    caption: tuple[str, float]
    vector: NDArray[np.float32]


class Eyes:
    """Looks at pictures, each content once. `fast` does not look: it answers from the hash, in microseconds."""

    def __init__(self, *, fast: bool) -> None:
        self.fast = fast
        self._seen: OrderedDict[str, View] = OrderedDict()
        self._turn = threading.Lock()

    def look(self, data: bytes, digest: str) -> View:
        with self._turn:
            view = self._seen.get(digest)
            if view is None:
                view = self._seen[digest] = invented(digest) if self.fast else self._viewed(data)
                if len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
            return view

    def imagine(self, text: str) -> NDArray[np.float32]:
        """Return the mean of the pictures seen whose tags or captions share a word with the text, else a vector of the text."""
        words = set(re.findall(r"\w+", text.lower()))
        known = [view.vector for view in list(self._seen.values()) if words & _words(view)]
        return np.mean(known, axis=0, dtype=np.float32) if known else _noise(text)

    def _viewed(self, data: bytes) -> View:
        (found,) = self._model.analyse([data])
        if not isinstance(found, Analysis):
            raise invalid("Image format is not valid.", "InvalidImageFormat")
        assert found.embedding is not None
        vector = np.frombuffer(found.embedding, "<f4") @ self._projection
        return View(tuple((tag.name, tag.confidence) for tag in found.tags), (found.caption, found.caption_confidence), vector)

    @cached_property
    def _model(self) -> Any:
        from jobs.adapters.onnx_model import fingerprint  # noqa: PLC0415 the fast one works without the model
        from jobs.adapters.onnx_session import Session  # noqa: PLC0415
        from jobs.adapters.onnx_worker import Setup  # noqa: PLC0415

        folder, answered = fingerprint("efficientnet-lite0")
        return Session(Setup(folder, answered, Limits(FORMATS, 1, MAX_SIDE, MAX_BYTES), 300_000_000))

    @cached_property
    def _projection(self) -> NDArray[np.float32]:
        """Random directions, which keep what is near near."""
        return np.random.default_rng(1024).standard_normal((1280, LENGTH), dtype=np.float32)


def _words(view: View) -> set[str]:
    return set(re.findall(r"\w+", " ".join([view.caption[0], *(name for name, _ in view.tags)]).lower()))


def _noise(text: str) -> NDArray[np.float32]:
    return np.random.default_rng(list(text.encode())).standard_normal(LENGTH, dtype=np.float32)


def invented(digest: str) -> View:
    """Return the view that some content has without being looked at."""
    tags = tuple((f"tag {digest[at : at + 2]}", round(0.9 - at / 20, 2)) for at in range(0, 10, 2))
    return View(tags, (f"a picture of {digest[:8]}", 0.8), _noise(digest))


def answer(view: View, asked: Asked, size: tuple[int, int], model: str) -> Mapping[str, Any]:
    """Return the JSON of an analysis; where the local model knows nothing, it is what the service says of plain pictures."""
    width, height = size
    whole = {"x": 0, "y": 0, "w": width, "h": height}
    text, sure = view.caption
    best = view.tags[:1]
    parts: dict[str, Any] = {
        "tags": {"values": [{"name": name, "confidence": share} for name, share in view.tags]},
        "caption": {"text": text, "confidence": sure},
        "denseCaptions": {"values": [{"text": text, "confidence": sure, "boundingBox": whole}]},
        "objects": {"values": [{"boundingBox": whole, "tags": [{"name": name, "confidence": share}]} for name, share in best]},
        "people": {"values": [{"boundingBox": whole, "confidence": share} for name, share in view.tags if name == "person"]},
        "read": {"blocks": []},
        "smartCrops": {"values": [_crop(ratio, size) for ratio in asked.ratios or (width / height,)]},
    }
    found = {f"{feature}Result": parts[feature] for feature in asked.features}
    return {"modelVersion": model, "metadata": {"width": width, "height": height}} | found


def _crop(ratio: float, size: Sequence[int]) -> dict[str, Any]:
    width, height = size
    across, down = min(width, round(height * ratio)), min(height, round(width / ratio))
    box = {"x": (width - across) // 2, "y": (height - down) // 2, "w": across, "h": down}
    return {"aspectRatio": round(ratio, 2), "boundingBox": box}
