"""Prepare: the first step towards an answer, whether or not who is asked prepares by itself."""

from __future__ import annotations

from functools import partial

from jobs.model import Analysis, Image
from jobs.ports import Classifier, Embedder, Preparing, PreparingEmbedder
from jobs.steps import Done, Door, Ready, Step


async def prepared(classifier: Classifier, image: Image) -> Step[Analysis]:
    """Return the first step towards an analysis; the one and only call of a classifier that does not prepare."""
    if isinstance(classifier, Preparing):
        return await classifier.prepare(image)
    return Ready(classifier.price, partial(_classified, classifier, image))


async def prepared_vector(embedder: Embedder, image: Image) -> Step[bytes]:
    """Return the first step towards a vector."""
    if isinstance(embedder, PreparingEmbedder):
        return await embedder.prepare(image)
    return Ready(embedder.price, partial(_embedded, embedder, image))


async def _classified(classifier: Classifier, image: Image, _: Door) -> Step[Analysis]:
    return Done(await classifier.classify(image))


async def _embedded(embedder: Embedder, image: Image, _: Door) -> Step[bytes]:
    return Done(await embedder.embed(image))
