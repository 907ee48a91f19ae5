"""Embed: a classifier's analyses with the vectors of an embedder, as one classifier."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from jobs.errors import Rejected
from jobs.model import Analysis, Image, Limits
from jobs.ports import Classifier, Embedder

KEPT: Final = 1024
"""Halves of answers that are kept until their other halves come: a vector has four kilobytes, an analysis about as many."""


@dataclass(frozen=True, slots=True)
class Half:
    """What one of the two said of some content: an analysis, or a vector (None: the embedder will never take this image)."""

    said: Analysis | bytes | None


class WithEmbeddings:
    """A classifier whose analyses carry the embedder's vectors.

    The cheaper of the two is asked first, so that what fails for both is met for the lower price. Where the second one fails,
    what the first one said is kept by content, and the next try asks only for what is missing: a paid half is lost only with
    the process, or when more than KEPT contents wait for their other half. An image that only the embedder
    refuses is classified, and has no vector.
    """

    def __init__(self, classifier: Classifier, embedder: Embedder) -> None:
        self.asked = f"{classifier.asked}|{embedder.asked}"
        self.price = classifier.price + embedder.price
        self.limits: Limits = classifier.limits
        self._classifier = classifier
        self._embedder = embedder
        self._halves: OrderedDict[str, Half] = OrderedDict()
        self._first, self._second = (self._classify, self._embed)
        if embedder.price <= classifier.price:
            self._first, self._second = (self._embed, self._classify)

    async def classify(self, image: Image) -> Analysis:
        """Analyse and embed one image."""
        first = self._taken(image) or await self._first(image)
        try:
            second = await self._second(image)
        except Rejected:
            raise
        except BaseException:  # also when the call's time is up
            self._keep(image, first)
            raise
        analysis, vector = _told(first, second)
        return replace(analysis, embedding=vector)

    async def _classify(self, image: Image) -> Half:
        return Half(await self._classifier.classify(image))

    async def _embed(self, image: Image) -> Half:
        try:
            return Half(await self._embedder.embed(image))
        except Rejected:
            return Half(None)

    def _taken(self, image: Image) -> Half | None:
        """Take out the half that was kept for some content. Nothing is hashed while nothing is kept."""
        return self._halves.pop(_digest(image), None) if self._halves else None

    def _keep(self, image: Image, half: Half) -> None:
        self._halves[_digest(image)] = half
        if len(self._halves) > KEPT:
            self._halves.popitem(last=False)


class WithoutEmbeddings:
    """A classifier whose vectors are left out."""

    def __init__(self, classifier: Classifier) -> None:
        self.asked = f"{classifier.asked}|none"
        self.price = classifier.price
        self.limits: Limits = classifier.limits
        self._classifier = classifier

    async def classify(self, image: Image) -> Analysis:
        """Analyse one image."""
        return replace(await self._classifier.classify(image), embedding=None)


class Vectors:
    """The embedder that a classifier is by the way: its own vectors, without its tags."""

    def __init__(self, classifier: Classifier) -> None:
        self.asked = classifier.asked
        self.price = classifier.price
        self.limits: Limits = classifier.limits
        self._classifier = classifier

    async def embed(self, image: Image) -> bytes:
        """Embed one image. Raises Rejected when the classifier has no vector for it."""
        vector = (await self._classifier.classify(image)).embedding
        if vector is None:
            raise Rejected("embed", image.name, f"{self.asked} embeds nothing", failure_class="format")
        return vector


def _digest(image: Image) -> str:
    return hashlib.sha256(image.data).hexdigest()


def _told(*halves: Half) -> tuple[Analysis, bytes | None]:
    (analysis,) = (half.said for half in halves if isinstance(half.said, Analysis))
    (vector,) = (half.said for half in halves if not isinstance(half.said, Analysis))
    return analysis, vector
