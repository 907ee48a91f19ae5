"""Which vectors images get: the classifier's own, an embedder's, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from jobs.embed import Vectors, WithEmbeddings, WithoutEmbeddings
from jobs.errors import Misconfigured
from jobs.ports import Classifier, Embedder
from jobs.settings import Settings
from jobs.wiring import azure_vision, embedded
from jobs.wiring.kinds import Opener, choose, split

NONE = "none"
LENGTHS = {"onnx": 1280, "azure-vision": 1024}
"""Numbers in a vector of each kind of embedder."""
OWN = frozenset({"onnx"})
"""Kinds of classifiers whose analyses have vectors by themselves."""


@asynccontextmanager
async def _onnx(settings: Settings, location: str) -> AsyncIterator[Embedder]:
    async with embedded.onnx(settings, location) as model:
        yield Vectors(model)


EMBEDDERS: dict[str, Opener[Embedder]] = {"onnx": _onnx, "azure-vision": azure_vision.embeddings}


def length(settings: Settings) -> int:
    """Return how many numbers the vector of an image has, 0 where images get none: what an index must be made for."""
    if settings.embedder:
        return 0 if settings.embedder == NONE else LENGTHS[_known(settings)]
    kind, _ = _own(settings)
    return LENGTHS[kind] if kind in OWN else 0


@asynccontextmanager
async def joined(settings: Settings, opening: AbstractAsyncContextManager[Classifier]) -> AsyncIterator[Classifier]:
    """Open the classifier with the embedder that the settings name. The vectors of a cascade are those of its first one."""
    kind, own = _own(settings)
    async with opening as classifier:
        if settings.embedder in ("", own if kind in OWN else ""):
            yield classifier
        elif settings.embedder == NONE:
            yield WithoutEmbeddings(classifier) if kind in OWN else classifier
        else:
            opener, location = choose("embedder", settings.embedder, EMBEDDERS)
            async with opener(settings, location) as embedder:
                yield WithEmbeddings(classifier, embedder)


def is_local(settings: Settings) -> bool:
    """Say whether images are embedded on this machine, which costs nothing."""
    chosen = settings.embedder or settings.classifier
    return chosen != NONE and split("embedder", chosen)[0] == "onnx"


def local(settings: Settings) -> AbstractAsyncContextManager[Embedder]:
    """Return an opener for the local embedder, in one process; see `is_local`."""
    _, location = split("embedder", settings.embedder or settings.classifier)
    return _onnx(settings.model_copy(update={"workers": 1}), location)


def teacher(settings: Settings) -> AbstractAsyncContextManager[Embedder]:
    """Return an opener for what gives images their vectors, whatever that is. Raises Misconfigured where images get none."""
    kind, chosen = _own(settings)
    if settings.embedder:
        chosen = settings.embedder
    if chosen == NONE or (not settings.embedder and kind not in OWN):
        hint = "Set IMAGESWEEP_EMBEDDER=onnx:efficientnet-lite0, which costs nothing."
        raise Misconfigured("teach", "the examples", "images get no vectors here", hint=hint)
    opener, location = choose("embedder", chosen, EMBEDDERS)
    return opener(settings, location)


def embedder(settings: Settings) -> AbstractAsyncContextManager[Embedder]:
    """Return an opener for the embedder alone, to embed what is searched for. Raises Misconfigured where none is set."""
    opener, location = choose("embedder", settings.embedder, EMBEDDERS)
    return opener(settings, location)


def _own(settings: Settings) -> tuple[str, str]:
    """Return kind and setting of the classifier whose vectors images get where no embedder is set."""
    if settings.cascade:
        return split("cascade", settings.cascade)[0], settings.cascade
    return split("classifier", settings.classifier)[0], settings.classifier


def _known(settings: Settings) -> str:
    choose("embedder", settings.embedder, EMBEDDERS)
    return split("embedder", settings.embedder)[0]
