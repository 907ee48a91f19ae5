"""Cascade: a free classifier first, the paid one only where that is unsure or names what is worth paying for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.errors import Rejected
from jobs.model import Analysis, Image, Limits
from jobs.ports import Classifier
from jobs.prepare import prepared
from jobs.steps import Done, Step, chained, finished


@dataclass(frozen=True, slots=True)
class Doubt:
    """When the first one is not believed: its best tag is less sure than `confidence`, or one of its tags is among `labels`.

    Labels are compared without regard to case.
    """

    confidence: float
    labels: frozenset[str] = frozenset()

    @property
    def asked(self) -> str:
        """The part of the fingerprint that is this rule's."""
        labels = ",".join(sorted(self.labels))
        return f"{self.confidence:g}" + (f"+{labels}" if labels else "")

    def about(self, analysis: Analysis) -> bool:
        """Say whether an analysis is not to be believed."""
        best = max((tag.confidence for tag in analysis.tags), default=0.0)
        return best < self.confidence or any(tag.name.casefold() in self.labels for tag in analysis.tags)


class Cascade:
    """Two classifiers as one. What the first one is sure of is its answer; all else is asked of the second one.

    `asked` names both and the rule: with another rule other images would have been paid for. `answered` of an analysis names the
    one that replied. `price` is that of the second one. An image that the first one refuses goes to the second, which may take
    what the first does not. Vectors are the first one's, whoever answers, so that all images can be compared.
    """

    def __init__(self, first: Classifier, second: Classifier, doubt: Doubt) -> None:
        self.asked = f"cascade:{first.asked}>{doubt.asked}>{second.asked}"
        self.price = second.price
        self.limits = _both(first.limits, second.limits)
        self._first = first
        self._second = second
        self._doubt = doubt

    async def classify(self, image: Image) -> Analysis:
        """Analyse one image."""
        return await finished(await self.prepare(image))

    async def prepare(self, image: Image) -> Step[Analysis]:
        """Return the answer of the first one where it is sure, which saves a call, else the request to the second one."""
        try:
            first = await self._first.classify(image)
        except Rejected:
            first = None
        if first is not None and not self._doubt.about(first):
            return Done(first, saved=int(self.price > 0))
        vector = first.embedding if first is not None else None

        async def with_vector(done: Done[Analysis]) -> Step[Analysis]:
            return Done(replace(done.answer, embedding=vector), done.saved)

        return await chained(await prepared(self._second, image), with_vector)


def _both(first: Limits, second: Limits) -> Limits:
    """Return what at least one of the two takes: each looks for itself."""
    return Limits(
        formats=first.formats | second.formats,
        min_side=min(first.min_side, second.min_side),
        max_side=max(first.max_side, second.max_side),
        max_bytes=max(first.max_bytes, second.max_bytes),
    )
