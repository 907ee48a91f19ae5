"""What every classifier promises of its answers, over the local model and AI Vision."""

from __future__ import annotations

import asyncio
import io
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from azure.core.credentials import AzureKeyCredential
from PIL import Image as Pillow

from jobs.adapters.azure_vision import Question, features, open_azure_vision
from jobs.adapters.azure_vision_embeddings import open_azure_vision_embedder
from jobs.adapters.azure_vision_image import SERVICE, Preparation
from jobs.adapters.onnx_model import open_onnx
from jobs.embed import WithEmbeddings
from jobs.errors import Rejected
from jobs.model import Analysis, Image
from jobs.pixels import glance, look
from jobs.ports import Classifier
from tests.conftest import Run, entered
from tests.standins.serve import served
from tests.standins.vision import KEY, VisionStandin

SAMPLES = Path(__file__).parents[2] / "samples"
MEGAPIXELS = 40_000_000
ALL = ["tags", "caption", "denseCaptions", "objects", "people", "read", "smartCrops"]
PHOTOS = sorted(path for path in SAMPLES.glob("*/*.jpg") if path.parent.name != "odd")[::40]


@asynccontextmanager
async def _onnx() -> AsyncIterator[Classifier]:
    async with open_onnx("efficientnet-lite0", workers=1, max_bytes=20_000_000, max_pixels=MEGAPIXELS) as model:
        yield model


@asynccontextmanager
async def _vision() -> AsyncIterator[Classifier]:
    preparation = Preparation.of(max_bytes=20_000_000, max_pixels=MEGAPIXELS, colours=True, fit=False)
    key = AzureKeyCredential(KEY)
    with served(VisionStandin()) as url:
        async with (
            open_azure_vision(url, Question(features(ALL)), credential=key, preparation=preparation, price=0.0085) as vision,
            open_azure_vision_embedder(url, credential=key, preparation=preparation, price=0.0001) as embedder,
        ):
            yield WithEmbeddings(vision, embedder)


OPENERS: dict[str, Callable[[], AbstractAsyncContextManager[Classifier]]] = {"onnx": _onnx, "vision": _vision}


@pytest.fixture(scope="module")
def run_module() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(params=sorted(OPENERS), scope="module")
def classifier(request: pytest.FixtureRequest, run_module: Run) -> Iterator[Classifier]:
    with entered(run_module, OPENERS[request.param]()) as opened:
        yield opened


def classify(run: Run, classifier: Classifier, data: bytes) -> Analysis:
    return run(classifier.classify(Image("a.jpg", data)))


def saved(kind: str, size: tuple[int, int] = (120, 90), exif: Pillow.Exif | None = None) -> bytes:
    image = Pillow.radial_gradient("L").resize(size).convert("RGB")
    image.paste((20, 20, 220), (0, 0, size[0] // 2, size[1] // 2))
    file = io.BytesIO()
    image.save(file, kind, **({"exif": exif} if exif else {}))
    return file.getvalue()


def camera() -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 5D"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:06 07:08:09"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    return exif


def late(png: bytes) -> bytes:
    """Move the EXIF block of a PNG behind its pixels, where it may stand as well."""
    at = png.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(png[at : at + 4], "big")
    rest, block = png[:at] + png[end:], png[at:end]
    return rest[:-12] + block + rest[-12:]


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_an_answer_keeps_the_laws(run_module: Run, classifier: Classifier, photo: Path) -> None:
    found = classify(run_module, classifier, photo.read_bytes())
    shares = [tag.confidence for tag in found.tags]
    assert shares
    assert shares == sorted(shares, reverse=True)
    assert len({tag.name for tag in found.tags}) == len(shares)
    assert all(0 <= share <= 1 for share in [*shares, found.caption_confidence])
    assert found.caption
    assert found.answered
    assert found.embedding is not None
    vector = array("f", found.embedding)
    assert len(vector) in (1024, 1280)
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-5)
    for region in (*found.objects, *found.people, *found.regions):
        assert 0 <= region.confidence <= 1
        assert region.box.x + region.box.width <= found.facts.width
        assert region.box.y + region.box.height <= found.facts.height


PICTURES = {
    **{kind: saved(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")},
    "ICO": saved("ICO", (256, 256)),
    "camera": saved("JPEG", exif=camera()),
    "png with exif": saved("PNG", exif=camera()),
    "png with late exif": late(saved("PNG", exif=camera())),
    "webp with exif": saved("WEBP", exif=camera()),
    **{path.name: path.read_bytes() for path in (SAMPLES / "odd" / "animated.gif", SAMPLES / "odd" / "rotated.jpg", *PHOTOS)},
}


@pytest.mark.parametrize("name", PICTURES)
def test_facts_are_the_same_whoever_answers(run_module: Run, classifier: Classifier, name: str) -> None:
    data = PICTURES[name]
    facts, _ = look(data, limits=SERVICE, max_pixels=MEGAPIXELS, side=224)
    assert classify(run_module, classifier, data).facts == facts
    header = glance(data, limits=SERVICE, max_pixels=MEGAPIXELS)
    assert header == replace(facts, colours=(), sketch="")
    if "exif" in name or name == "camera":
        assert (facts.camera, facts.latitude, facts.width) == ("Canon EOS 5D", 52.5, 90)


REFUSED = {
    "empty": (b"", "empty"),
    "text": (b"no image at all" * 10, "not-an-image"),
    "small": (saved("PNG", (40, 90)), "too-small"),
    "cut": (saved("JPEG")[:-200], "truncated"),
    "long": (saved("PNG", (16_001, 60)), "too-large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_of_the_image_is_named(run_module: Run, classifier: Classifier, name: str) -> None:
    data, failure_class = REFUSED[name]
    with pytest.raises(Rejected) as caught:
        classify(run_module, classifier, data)
    assert (caught.value.failure_class, caught.value.key) == (failure_class, "a.jpg")


def test_many_at_once_get_each_its_own_answer(run_module: Run, classifier: Classifier) -> None:
    async def world() -> list[Analysis]:
        return await asyncio.gather(*(classifier.classify(Image(path.name, path.read_bytes())) for path in PHOTOS * 3))

    answers = run_module(world())
    assert answers[: len(PHOTOS)] == answers[len(PHOTOS) : 2 * len(PHOTOS)]
    assert len({answer.embedding for answer in answers}) == len(PHOTOS)


def test_what_was_asked_and_what_it_costs_are_known(classifier: Classifier) -> None:
    assert classifier.asked
    assert classifier.price >= 0
    assert classifier.limits.min_side <= 50
