"""The parts that are AI Vision's: classifier and embedder. The SDK is imported where one of them is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

from jobs import prices
from jobs.errors import Misconfigured
from jobs.ports import Classifier, Embedder
from jobs.prices import Tariff
from jobs.settings import Settings, several
from jobs.wiring import azure_blob
from jobs.wiring.kinds import split

if TYPE_CHECKING:
    from jobs.adapters.azure_vision_image import Preparation
    from jobs.adapters.azure_vision_links import Linking, Links

_MEGABYTE = 1_000_000


@asynccontextmanager
async def vision(settings: Settings, location: str) -> AsyncIterator[Classifier]:
    """Open an AI Vision resource as a classifier."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from jobs.adapters.azure_vision import Question, features, open_azure_vision  # noqa: PLC0415

    asked = features(several(settings.vision_features))
    question = Question(asked, settings.vision_language, settings.vision_model, settings.vision_gender_neutral)
    price = prices.load(settings.prices).of("azure-vision", asked)
    preparation = _preparation(settings, colours=settings.vision_colours)
    async with (
        credential(settings.vision_key) as who,
        _links(settings) as links,
        open_azure_vision(
            location, question, credential=who, preparation=preparation, price=price, workers=settings.workers, links=links
        ) as classifier,
    ):
        yield classifier


def tariff(settings: Settings) -> Tariff:
    """Return what is paid for with each image: a transaction for each feature, and one for the vector where images get one."""
    from jobs.adapters.azure_vision import features  # noqa: PLC0415

    known = prices.load(settings.prices)
    meters = known.meters("azure-vision", features(several(settings.vision_features)))
    embeds = settings.embedder.startswith("azure-vision:")
    vectors = known.meters("azure-vision-embeddings", ["image"]) if embeds else ()
    return Tariff((*meters, *(("embeddings", meter) for _, meter in vectors)), 1 + embeds, known.currency, known.said)


@asynccontextmanager
async def embeddings(settings: Settings, location: str) -> AsyncIterator[Embedder]:
    """Open an AI Vision resource as an embedder."""
    from jobs.adapters.azure_auth import credential  # noqa: PLC0415
    from jobs.adapters.azure_vision_embeddings import open_azure_vision_embedder  # noqa: PLC0415

    price = prices.load(settings.prices).of("azure-vision-embeddings", ["image"])
    preparation = _preparation(settings, colours=False)
    async with (
        credential(settings.vision_key) as who,
        open_azure_vision_embedder(
            location, credential=who, preparation=preparation, price=price, workers=settings.workers
        ) as embedder,
    ):
        yield embedder


@asynccontextmanager
async def _links(settings: Settings) -> AsyncIterator[Links | None]:
    """Open the sources once more to sign links to their blobs, where AI Vision is to read these for itself."""
    if settings.vision_send == "bytes":
        yield None
        return
    from jobs.adapters.azure_vision_links import Links  # noqa: PLC0415

    linking: dict[str, Linking] = {}
    async with AsyncExitStack() as stack:
        for listed in several(settings.source):
            kind, location = split("source", listed)
            if kind != "azure-blob":
                cause = f"there are no links into {listed}"
                raise Misconfigured("read", "IMAGESWEEP_VISION_SEND", cause, hint="Set it to bytes, or leave it out.")
            source = await stack.enter_async_context(azure_blob.blob(settings, location))
            linking[source.key] = cast("Linking", source)
        yield Links(linking)


def _preparation(settings: Settings, *, colours: bool) -> Preparation:
    from jobs.adapters.azure_vision_image import Preparation  # noqa: PLC0415

    return Preparation.of(
        max_bytes=settings.max_mb * _MEGABYTE,
        max_pixels=settings.max_megapixels * _MEGABYTE,
        colours=colours,
        fit=settings.vision_fit,
    )
