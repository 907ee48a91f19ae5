"""Embed: a classifier's analyses with the vectors of an embedder, as one classifier."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from jobs.errors import Rejected
from jobs.model import Analysis, Image, Limits
from jobs.ports import Classifier, Embedder
from jobs.prepare import prepared, prepared_vector
from jobs.steps import Done, Door, Ready, Step, chained, finished

KEPT: Final = 1024
"""Halves of answers that are kept until their other halves come: a vector has four kilobytes, an analysis about as many."""


@dataclass(frozen=True, slots=True)
class Half:
    """What one of the two said of some content: an analysis, or a vector (None: the embedder will never take this image)."""

    said: Analysis | bytes | None


class WithEmbeddings:
    """A classifier whose analyses carry the embedder's vectors.

    The cheaper of the two is asked first, so that what fails for both is met for the lower price; what either refuses by itself
    is refused before any of them is paid. A half that was paid for is kept by content until the other one is there, and the next
    try asks only for what is missing: it is lost only with the process, or when more than KEPT contents wait for their other
    half. An image that only the embedder refuses is classified, and has no vector.
    """

    def __init__(self, classifier: Classifier, embedder: Embedder) -> None:
        self.asked = f"{classifier.asked}|{embedder.asked}"
        self.price = classifier.price + embedder.price
        self.limits: Limits = classifier.limits
        self._classifier = classifier
        self._embedder = embedder
        self._halves: OrderedDict[str, Half] = OrderedDict()

    async def classify(self, image: Image) -> Analysis:
        """Analyse and embed one image."""
        return await finished(await self.prepare(image))

    async def prepare(self, image: Image) -> Step[Analysis]:
        """Return the requests to both, one after the other; only to one of them where the other's half was kept."""
        kept = self._taken(image)
        ours = kept is not None and isinstance(kept.said, Analysis)
        analysis = Done(kept) if kept and ours else await self._classifying(image)
        vector = Done(kept) if kept and not ours else await self._embedding(image)
        first, second = sorted((vector, analysis), key=_left)
        paid = kept is not None or (isinstance(first, Ready) and first.price > 0)
        return await chained(first, partial(self._then, image, second, paid))

    async def _then(self, image: Image, second: Step[Half], paid: bool, first: Done[Half]) -> Step[Analysis]:  # noqa: FBT001 by partial
        if paid:
            self._keep(image, first.answer)
        return await chained(second, partial(self._joined, image, first))

    async def _joined(self, image: Image, first: Done[Half], second: Done[Half]) -> Step[Analysis]:
        self._taken(image)
        analysis, vector = _told(first.answer, second.answer)
        return Done(replace(analysis, embedding=vector), first.saved + second.saved)

    async def _classifying(self, image: Image) -> Step[Half]:
        async def half(done: Done[Analysis]) -> Step[Half]:
            return Done(Half(done.answer), done.saved)

        return await chained(await prepared(self._classifier, image), half)

    async def _embedding(self, image: Image) -> Step[Half]:
        try:
            return _forgiving(await prepared_vector(self._embedder, image))
        except Rejected:
            return Done(Half(None))

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
        return await finished(await self.prepare(image))

    async def prepare(self, image: Image) -> Step[Analysis]:
        """Return the requests of the classifier."""

        async def bare(done: Done[Analysis]) -> Step[Analysis]:
            return Done(replace(done.answer, embedding=None), done.saved)

        return await chained(await prepared(self._classifier, image), bare)


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


def _left(step: Step[Half]) -> float:
    """Return what a step costs yet; what is there already comes before all else."""
    return step.price if isinstance(step, Ready) else -1.0


def _forgiving(step: Step[bytes]) -> Step[Half]:
    """Return the steps to a vector, or to none when the embedder refuses the image."""
    if isinstance(step, Done):
        return Done(Half(step.answer))
    ready = step

    async def make(door: Door) -> Step[Half]:
        try:
            return _forgiving(await ready.make(door))
        except Rejected:
            return Done(Half(None))

    return Ready(ready.price, make, ready.doors)


def _digest(image: Image) -> str:
    return hashlib.sha256(image.data).hexdigest()


def _told(*halves: Half) -> tuple[Analysis, bytes | None]:
    (analysis,) = (half.said for half in halves if isinstance(half.said, Analysis))
    (vector,) = (half.said for half in halves if not isinstance(half.said, Analysis))
    return analysis, vector
