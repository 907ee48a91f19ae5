"""The stand-in for AI Vision refuses what the service would refuse, and counts."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.standins.serve import served, spawned
from tests.standins.vision import KEY, VisionStandin
from tests.unit.vision_kit import photo

ANALYZE = "/computervision/imageanalysis:analyze?api-version=2023-10-01"
IMAGE = "/computervision/retrieval:vectorizeImage?api-version=2024-02-01&model-version=2023-04-15"
TEXT = IMAGE.replace("Image", "Text")
BYTES = {"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/octet-stream"}
JSON = BYTES | {"Content-Type": "application/json"}


def post(url: str, data: bytes | None = None, headers: dict[str, str] = BYTES) -> tuple[int, Any]:
    request = urllib.request.Request(url, photo() if data is None else data, headers, method="POST")  # noqa: S310 our own
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


REFUSED = {
    "no feature": (ANALYZE, None, BYTES, 400, "BadArgument"),
    "unknown feature": (f"{ANALYZE}&features=tags,faces", None, BYTES, 400, "NotSupportedVisualFeature"),
    "feature in the wrong case": (f"{ANALYZE}&features=densecaptions", None, BYTES, 400, "NotSupportedVisualFeature"),
    "language of captions": (f"{ANALYZE}&features=caption&language=de", None, BYTES, 400, "NotSupportedLanguage"),
    "model": (f"{ANALYZE}&features=tags&model-version=newest", None, BYTES, 400, "BadArgument"),
    "gender": (f"{ANALYZE}&features=tags&gender-neutral-caption=yes", None, BYTES, 400, "BadArgument"),
    "ratio": (f"{ANALYZE}&features=smartCrops&smartcrops-aspect-ratios=2", None, BYTES, 400, "BadArgument"),
    "no number": (f"{ANALYZE}&features=smartCrops&smartcrops-aspect-ratios=x", None, BYTES, 400, "BadArgument"),
    "unknown parameter": (f"{ANALYZE}&features=tags&top=3", None, BYTES, 400, "BadArgument"),
    "parameter twice": (f"{ANALYZE}&features=tags&features=caption", None, BYTES, 400, "BadArgument"),
    "version": (ANALYZE.replace("2023-10-01", "2021-01-01"), None, BYTES, 404, ""),
    "path": ("/computervision/analyze", None, BYTES, 404, ""),
    "empty": (f"{ANALYZE}&features=tags", b"", BYTES, 400, "InvalidImageSize"),
    "heavy": (f"{ANALYZE}&features=tags", b"\xff\xd8\xff" + b"\0" * 20_971_520, BYTES, 400, "InvalidImageSize"),
    "no image": (f"{ANALYZE}&features=tags", b"text", BYTES, 400, "InvalidImageFormat"),
    "another format": (f"{ANALYZE}&features=tags", photo(kind="AVIF"), BYTES, 400, "InvalidImageFormat"),
    "small": (f"{ANALYZE}&features=tags", photo(size=(50, 80)), BYTES, 400, ""),
    "content type": (f"{ANALYZE}&features=tags", None, BYTES | {"Content-Type": "image/jpeg"}, 400, "BadArgument"),
    "bad link": (f"{ANALYZE}&features=tags", b'{"url": "file:///etc/passwd"}', JSON, 400, "InvalidImageUrl"),
    "no link": (f"{ANALYZE}&features=tags", b"{}", JSON, 400, "InvalidImageUrl"),
    "key": (f"{ANALYZE}&features=tags", None, BYTES | {"Ocp-Apim-Subscription-Key": "wrong"}, 401, ""),
    "token": (f"{ANALYZE}&features=tags", None, {"Authorization": "Bearer x", "Content-Type": "application/octet-stream"}, 401, ""),
    "embedding model": (IMAGE.replace("2023-04-15", "latest"), None, BYTES, 400, "BadArgument"),
    "embedding version": (IMAGE.replace("2024-02-01", "2023-10-01"), None, BYTES, 404, ""),
    "tiny": (IMAGE, photo(size=(10, 80)), BYTES, 400, ""),
    "long text": (TEXT, json.dumps({"text": "word " * 71}).encode(), JSON, 400, "BadArgument"),
    "no text": (TEXT, b'{"text": ""}', JSON, 400, "BadArgument"),
}


@pytest.fixture(scope="module")
def standing() -> Any:
    standin = VisionStandin(fast=True)
    with served(standin) as url:
        yield standin, url


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_service_would_refuse_is_refused_in_its_words(standing: Any, name: str) -> None:
    standin, url = standing
    path, data, headers, status, inner = REFUSED[name]
    answered, body = post(url + path, data, headers)
    assert (answered, body["error"].get("innererror", {}).get("code", "")) == (status, inner)
    assert body["error"]["message"]
    assert not standin.counts.paid


def test_a_quota_is_counted_in_windows_of_one_and_of_ten_seconds() -> None:
    now = [100.0]
    standin = VisionStandin(fast=True, clock=lambda: now[0], per_second=2, per_ten_seconds=3)
    with served(standin) as url:

        def statuses(number: int) -> list[int]:
            return [post(f"{url}{ANALYZE}&features=tags")[0] for _ in range(number)]

        assert statuses(3) == [200, 200, 429]
        now[0] = 101.0
        assert statuses(2) == [200, 429]
        assert "retry after 9 seconds" in post(f"{url}{ANALYZE}&features=tags")[1]["error"]["message"]
        now[0] = 110.0
        assert statuses(3) == [200, 200, 429]
    assert standin.counts.throttled == 4


def test_what_is_paid_twice_shows_and_embeddings_are_counted_apart() -> None:
    standin = VisionStandin(fast=True)
    with served(standin) as url:
        for data in (photo(1), photo(2), photo(1)):
            assert post(f"{url}{ANALYZE}&features=tags,caption", data)[0] == 200
        assert post(url + IMAGE, photo(1))[0] == 200
        assert post(url + TEXT, b'{"text": "a dog"}', JSON)[0] == 200
    assert list(standin.counts.twice.values()) == [2]
    assert (len(standin.counts.paid), len(standin.counts.embedded), standin.counts.texts) == (2, 1, {"a dog": 1})


@pytest.mark.slow
def test_it_runs_alone_and_is_set_from_outside() -> None:
    with spawned("tests.standins.vision", "fast") as url:
        assert post(f"{url}{ANALYZE}&features=tags")[0] == 200
        fault = {"faults": [{"status": 503, "message": "busy"}], "captions": False}
        assert post(f"{url}/_control", json.dumps(fault).encode(), JSON)[1]["calls"] == 1
        assert post(f"{url}{ANALYZE}&features=tags")[0] == 503
        assert post(f"{url}{ANALYZE}&features=caption")[0] == 400
        assert len(post(f"{url}/_control", b"{}", JSON)[1]["paid"]) == 1


@pytest.mark.slow
def test_what_it_sees_is_real() -> None:
    from tests.contract.test_classifier import SAMPLES  # noqa: PLC0415

    with served(VisionStandin()) as url:
        body = post(f"{url}{ANALYZE}&features=tags", (SAMPLES / "animals" / "sheep.jpg").read_bytes())[1]
    assert "sheep" in {tag["name"] for tag in body["tagsResult"]["values"]}
