"""AI Vision as an embedder, of images and of words; and the settings that choose it."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import wiring
from jobs.adapters.azure_vision_embeddings import AzureVisionEmbedder, normalised, open_azure_vision_embedder
from jobs.errors import Misconfigured, Rejected, Transient
from jobs.model import Analysis, Image
from jobs.settings import Settings
from jobs.wiring import embedders
from tests.standins.vision import KEY, Fault
from tests.unit.vision_kit import CREDENTIAL, World, photo, preparation, world

__all__ = ["world"]


def embed(world: World, ask: Any) -> bytes:
    async def embedded() -> bytes:
        async with open_azure_vision_embedder(world.url, credential=CREDENTIAL, preparation=preparation(), price=0.1) as embedder:
            vector: bytes = await ask(embedder)
            return vector

    return world.run(embedded())


def test_images_and_words_are_embedded_by_one_model(world: World) -> None:
    image = embed(world, lambda embedder: embedder.embed(Image("a.jpg", photo())))
    assert world.standin.requests[-1][:2] == (
        "/computervision/retrieval:vectorizeImage",
        {"api-version": "2024-02-01", "model-version": "2023-04-15"},
    )
    words = embed(world, lambda embedder: embedder.embed_text("a red bicycle"))
    assert world.standin.requests[-1][:2] == (
        "/computervision/retrieval:vectorizeText",
        {"api-version": "2024-02-01", "model-version": "2023-04-15"},
    )
    for vector in (image, words):
        assert len(vector) == 4 * 1024
        assert sum(value * value for value in memoryview(vector).cast("f")) == pytest.approx(1)
    assert image == embed(world, lambda embedder: embedder.embed(Image("b.jpg", photo())))


def test_an_embedding_fails_as_a_call_does(world: World) -> None:
    def ask(embedder: AzureVisionEmbedder) -> Any:
        return embedder.embed(Image("a.jpg", photo()))

    world.standin.terms.faults.append(Fault(status=429, message="Please retry after 3 seconds."))
    with pytest.raises(Transient) as caught:
        embed(world, ask)
    assert caught.value.retry_after == 3
    world.standin.terms.faults.append(Fault("garbage", text='{"vector": [1, 2]}'))
    with pytest.raises(Transient) as caught:
        embed(world, ask)
    assert caught.value.unknown
    with pytest.raises(Rejected):
        embed(world, lambda embedder: embedder.embed(Image("a.jpg", b"")))
    assert sum(world.standin.counts.embedded.values()) == 1


@pytest.mark.parametrize("vector", [[], [0.0] * 1024, [1.0] * 1023, [float("nan")] * 1024, ["x"] * 1024, [[1.0] * 1024]])
def test_a_vector_that_is_none_is_refused(vector: Any) -> None:
    with pytest.raises(ValueError, match=r"vector|convert"):
        normalised(vector)


def _settings(world: World, **changes: Any) -> Settings:
    return Settings(_env_file=None, classifier=f"azure-vision:{world.url}", vision_key=KEY, **changes)


def test_the_settings_open_it_with_its_price(world: World, tmp_path: Any) -> None:
    async def opened(settings: Settings) -> tuple[float, str, Analysis]:
        async with wiring.classifier(settings) as classifier:
            return classifier.price, classifier.asked, await classifier.classify(Image("a.jpg", photo()))

    price, asked, found = world.run(opened(_settings(world)))
    assert price == pytest.approx(0.0025)
    assert asked == "azure-vision:latest:caption,tags:en"
    assert found.embedding is None
    price, asked, found = world.run(opened(_settings(world, embedder=f"azure-vision:{world.url}", vision_features="tags")))
    assert price == pytest.approx(0.0011)
    assert asked == "azure-vision:latest:tags:en|azure-vision:2023-04-15"
    assert found.embedding is not None
    own = tmp_path / "prices.toml"
    own.write_text("[azure-vision]\ntags = 0.4\n")
    assert world.run(opened(_settings(world, prices=own, vision_features="tags")))[0] == pytest.approx(0.0004)
    with pytest.raises(Misconfigured, match="caption"):
        world.run(opened(_settings(world, prices=own)))


@pytest.mark.parametrize(
    ("classifier", "embedder", "length"),
    [
        ("onnx:efficientnet-lite0", "", 1280),
        ("onnx:efficientnet-lite0", "none", 0),
        ("onnx:efficientnet-lite0", "azure-vision:https://vision.example", 1024),
        ("azure-vision:https://vision.example", "", 0),
        ("azure-vision:https://vision.example", "onnx:efficientnet-lite0", 1280),
    ],
)
def test_the_settings_tell_the_length_of_vectors(classifier: str, embedder: str, length: int) -> None:
    assert embedders.length(Settings(_env_file=None, classifier=classifier, embedder=embedder)) == length


def test_an_unknown_embedder_is_refused_with_the_known_ones(world: World) -> None:
    with pytest.raises(Misconfigured, match="azure-vision, onnx"):
        embedders.length(_settings(world, embedder="clip:x"))
