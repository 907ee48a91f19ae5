"""A classifier that answers from the bytes, and counts what it was paid for."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from jobs.errors import Rejected
from jobs.model import Analysis, Facts, Image, Limits, Tag

LIMITS = Limits(frozenset({"JPEG"}), 50, 16_000, 1_000_000)


def answer(data: bytes, answered: str = "fake-1") -> Analysis:
    """Return the one true analysis of some bytes."""
    digest = hashlib.sha256(data).hexdigest()
    vector = np.frombuffer(bytes.fromhex(digest[:32]), dtype=np.uint8).astype("<f4").tobytes()
    return Analysis(
        (Tag(f"tag-{digest[:4]}", 0.9), Tag("thing", 0.5)), f"a {digest[:8]}", 0.9, Facts(640, 480, "JPEG"), answered, vector
    )


class FakeClassifier:
    """Bytes that begin with `bad` are no image; every other call costs one."""

    def __init__(self, *, asked: str = "fake:1", price: float = 1.0) -> None:
        self.asked = asked
        self.price = price
        self.limits = LIMITS
        self.paid: Counter[str] = Counter()

    async def classify(self, image: Image) -> Analysis:
        self.paid[hashlib.sha256(image.data).hexdigest()] += 1
        if image.data.startswith(b"bad"):
            raise Rejected("classify", image.name, "the bytes are not those of an image", failure_class="not-an-image")
        return answer(image.data)
