"""AI Vision as a classifier, through the SDK: what it is asked, what is never paid for, and what a fault costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureKeyCredential

from jobs.adapters.azure_vision import Question, features, open_azure_vision
from jobs.adapters.azure_vision_http import endpoint
from jobs.errors import Misconfigured, Refused, Rejected, Transient
from tests.conftest import Run
from tests.standins.vision import Fault, VisionStandin
from tests.unit.vision_kit import CREDENTIAL, QUESTION, World, photo, preparation, world

__all__ = ["world"]


def test_one_call_asks_for_all_features_and_sends_the_bytes(world: World) -> None:
    found = world.classify(photo(), Question(features(["Tags", "densecaptions", "tags"]), "en", "2023-10-01", True))
    (path, query, headers) = world.standin.requests[-1]
    assert path == "/computervision/imageanalysis:analyze"
    assert query == {
        "api-version": "2023-10-01",
        "features": "denseCaptions,tags",
        "language": "en",
        "gender-neutral-caption": "true",
        "model-version": "2023-10-01",
    }
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-length"] == str(len(photo()))
    assert found.answered == "2023-10-01"
    assert found.facts.colours
    assert world.standin.counts.calls == 1


def test_the_fingerprint_is_the_question_and_not_the_place() -> None:
    async def asked(question: Question, location: str, **options: bool) -> str:
        prepared = preparation(**options)
        async with open_azure_vision(location, question, credential=CREDENTIAL, preparation=prepared, price=1.0) as vision:
            return vision.asked

    async def fingerprints() -> list[str]:
        tags = features(["tags"])
        return [
            await asked(QUESTION, "http://127.0.0.1:1"),
            await asked(QUESTION, "https://other.cognitiveservices.azure.com/"),
            await asked(Question(features(["caption", "tags"])), "http://127.0.0.1:1", colours=False),
            await asked(Question(tags), "http://127.0.0.1:1"),
            await asked(Question(tags, "de"), "http://127.0.0.1:1"),
            await asked(Question(tags, model="2023-10-01"), "http://127.0.0.1:1"),
            await asked(Question(tags, gender_neutral=True), "http://127.0.0.1:1"),
            await asked(Question(tags), "http://127.0.0.1:1", fit=True),
        ]

    found = asyncio.run(fingerprints())
    assert len(set(found[:3])) == 1
    assert len(set(found[2:])) == 6


@pytest.mark.parametrize("names", [[], ["tags", "faces"], [""]])
def test_unknown_features_are_refused_by_name(names: list[str]) -> None:
    with pytest.raises(Misconfigured, match="IMAGESWEEP_VISION_FEATURES"):
        features(names)


NEVER_PAID = {
    "empty": (b"", "empty"),
    "text": (b"%PDF-1.7" * 20, "not-an-image"),
    "small": (photo(size=(49, 200)), "too-small"),
    "long": (photo(size=(16_001, 50), kind="PNG"), "too-large"),
    "heavy": (photo() + b"\0" * 20_971_520, "too-large"),
    "avif": (photo(kind="AVIF"), "format"),
    "cut": (photo(size=(400, 300))[:-2000], "truncated"),
}


@pytest.mark.parametrize("name", NEVER_PAID)
def test_what_the_service_would_refuse_is_never_sent(world: World, name: str) -> None:
    data, failure_class = NEVER_PAID[name]
    with pytest.raises(Rejected) as caught:
        world.classify(data)
    assert caught.value.failure_class == failure_class
    assert world.standin.counts.calls == 0


def test_what_only_the_service_refuses_is_a_dead_letter(world: World) -> None:
    with pytest.raises(Rejected) as caught:
        world.classify(photo(size=(50, 50)))
    assert caught.value.failure_class == "too-small"
    assert not world.standin.counts.paid


FITTED = {
    "avif": (photo(size=(200, 120), kind="AVIF"), (200, 120), "AVIF"),
    "long": (photo(size=(17_000, 400), kind="PNG"), (17_000, 400), "PNG"),
    "thin": (photo(size=(20_000, 100), kind="PNG"), (20_000, 100), "PNG"),
    "heavy": (photo(size=(200, 120)) + b"\0" * 20_971_520, (200, 120), "JPEG"),
}


@pytest.mark.parametrize("name", FITTED)
def test_what_is_fitted_is_taken_and_placed_in_the_whole(world: World, name: str) -> None:
    data, size, kind = FITTED[name]
    found = world.classify(data, Question(("objects",)), prepared=preparation(fit=True, colours=False))
    assert (found.facts.width, found.facts.height, found.facts.format) == (*size, kind)
    assert (found.objects[0].box.width, found.objects[0].box.height) == size
    assert int(world.standin.requests[-1][2]["content-length"]) < 1_000_000
    with pytest.raises(Rejected):
        world.classify(data)


def test_what_no_scale_fits_is_a_dead_letter(world: World) -> None:
    with pytest.raises(Rejected, match="in no scale") as caught:
        world.classify(photo(size=(40_000, 60), kind="PNG"), prepared=preparation(fit=True, colours=False))
    assert caught.value.failure_class == "too-large"
    assert world.standin.counts.calls == 0


@pytest.mark.parametrize("colours", [True, False])
def test_an_image_too_large_to_decode_here_is_classified_all_the_same(world: World, colours: bool) -> None:  # noqa: FBT001
    found = world.classify(photo(size=(2000, 1500), kind="PNG"), prepared=preparation(colours=colours, max_pixels=1_000_000))
    assert (found.facts.width, found.facts.colours) == (2000, ())


LOST = [
    Fault("reset"),
    Fault("truncated"),
    Fault("garbage", text="<html>"),
    Fault("garbage", text="{}"),
    Fault("garbage", text="[]"),
]


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.kind} {fault.text or ''}")
def test_an_answer_that_was_lost_may_have_been_billed(world: World, fault: Fault) -> None:
    error = world.fails(fault)
    assert isinstance(error, Transient)
    assert error.unknown
    assert sum(world.standin.counts.paid.values()) == 1


def test_no_fault_is_tried_again_by_the_sdk(world: World) -> None:
    for status in (408, 429, 500, 502, 503, 504):
        error = world.fails(Fault(status=status, headers={"Retry-After": "0"}))
        assert isinstance(error, Transient)
        assert error.retry_after == 0
    assert world.standin.counts.calls == 6


def test_a_page_of_a_gateway_is_told_in_a_line(world: World) -> None:
    error = world.fails(Fault(status=502, text="<html>\n<h1>Bad Gateway</h1>\n</html>"))
    assert str(error) == "classify a.jpg: status 502: Bad Gateway"


def test_a_redirect_is_not_followed(world: World) -> None:
    error = world.fails(Fault(status=307, headers={"Location": f"{world.url}/elsewhere"}))
    assert isinstance(error, Misconfigured)
    assert "/elsewhere" in error.cause
    assert world.standin.counts.calls == 1


def test_a_call_can_be_cut_off_by_its_time(world: World) -> None:
    assert isinstance(world.fails(Fault("slow", seconds=5), seconds=0.2), TimeoutError)


def test_a_quota_tells_how_long_to_wait(world: World) -> None:
    for told in (True, False):
        world.standin.terms.told, world.standin.terms.per_ten_seconds = told, 0
        with pytest.raises(Transient) as caught:
            world.classify(photo())
        assert caught.value.throttled
        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 10


def test_settings_that_the_service_refuses_stop_the_run(world: World) -> None:
    world.standin.terms.captions = False
    with pytest.raises(Misconfigured, match="region"):
        world.classify(photo())
    with pytest.raises(Misconfigured, match="IMAGESWEEP_VISION_LANGUAGE"):
        world.classify(photo(), Question(("objects",), "de"))
    with pytest.raises(Misconfigured, match="IMAGESWEEP_VISION_MODEL"):
        world.classify(photo(), Question(("tags",), model="newest"))
    with pytest.raises(Misconfigured, match="IMAGESWEEP_VISION_KEY"):
        world.classify(photo(), credential=AzureKeyCredential("wrong"))
    world.standin.terms.always = Fault(status=410, code="Gone", message="retired")
    with pytest.raises(Refused, match="retired"):
        world.classify(photo())
    assert not world.standin.counts.paid


class Identity:
    """A signed-in identity."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ("https://", True),
        ("vision.cognitiveservices.azure.com", True),
        ("ftp://vision.example", True),
        ("https://vision.example/computervision", True),
        ("https://vision.example?x=1", True),
        ("https://me@vision.example", True),
        ("https://vision.example:port", True),
        ("https://[", True),
        ("http://vision.example", True),
        ("http://127.0.0.1:8000", False),
    ],
)
def test_a_location_that_is_no_resource_is_refused(location: str, key: bool) -> None:  # noqa: FBT001
    with pytest.raises(Misconfigured, match=r"open AI Vision") as caught:
        endpoint(location, CREDENTIAL if key else Identity())  # type: ignore[arg-type]
    assert caught.value.key == location


def test_a_location_may_end_in_a_slash() -> None:
    assert endpoint("https://vision.example/", Identity()) == "https://vision.example"  # type: ignore[arg-type]


def test_nobody_there_is_a_passing_fault_that_cost_nothing(run: Run) -> None:
    with pytest.raises(Transient) as caught:
        World(VisionStandin(), "http://127.0.0.1:1", run).classify(photo())
    assert (caught.value.unknown, caught.value.failure_class) == (False, "unreachable")
