"""Links instead of bytes: an answer counts only for the version that was meant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs import wiring
from jobs.adapters.azure_vision import open_azure_vision
from jobs.adapters.azure_vision_links import Links
from jobs.errors import Changed, Gone, Misconfigured, Rejected
from jobs.model import Analysis, Blob, Image
from jobs.settings import Settings
from tests.standins.vision import KEY, Fault
from tests.unit.vision_kit import CREDENTIAL, QUESTION, World, photo, preparation, world

__all__ = ["world"]

BLOB = Blob("azure-blob:account/photos", "a.jpg", "e1", datetime(2026, 3, 1, tzinfo=UTC), 1000)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the standard library
        pass


@dataclass(slots=True)
class Shelf:
    """A source of one blob that whoever has its link can read."""

    url: str
    current: Blob | None = BLOB
    signed: list[tuple[str, float]] = field(default_factory=list)

    async def read_url(self, blob: Blob, minutes: float) -> str:
        self.signed.append((blob.name, minutes))
        return self.url

    async def head(self, _: str) -> Blob | None:
        return self.current


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    (tmp_path / "a.jpg").write_bytes(photo())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Shelf(f"http://127.0.0.1:{server.server_port}/a.jpg")
        server.shutdown()


def classify(world: World, shelf: Shelf, image: Image, *, fit: bool = False) -> Analysis:
    async def by_link() -> Analysis:
        links = Links({BLOB.source: shelf})
        async with open_azure_vision(
            world.url, QUESTION, credential=CREDENTIAL, preparation=preparation(fit=fit), price=1.0, links=links
        ) as vision:
            return await vision.classify(image)

    return world.run(by_link())


def sent(world: World) -> list[str]:
    return [headers["content-type"] for _, _, headers in world.standin.requests]


def test_the_service_reads_the_image_for_itself(world: World, shelf: Shelf) -> None:
    found = classify(world, shelf, Image("a.jpg", photo(), BLOB))
    assert sent(world) == ["application/json"]
    assert shelf.signed == [("a.jpg", 15.0)]
    assert found == world.classify(photo())


@pytest.mark.parametrize(("current", "error"), [(replace(BLOB, etag="e2"), Changed), (None, Gone)])
@pytest.mark.parametrize("fault", [None, Fault(status=400, message="Image format is not valid.")])
def test_an_answer_about_another_version_is_thrown_away(
    world: World, shelf: Shelf, current: Blob | None, error: type[Exception], fault: Fault | None
) -> None:
    shelf.current = current
    world.standin.terms.always = fault
    with pytest.raises(error):
        classify(world, shelf, Image("a.jpg", photo(), BLOB))


def test_a_refusal_of_the_version_that_was_meant_stands(world: World, shelf: Shelf) -> None:
    world.standin.terms.always = Fault(status=400, message="Image format is not valid.")
    with pytest.raises(Rejected):
        classify(world, shelf, Image("a.jpg", photo(), BLOB))


def test_a_link_that_cannot_be_read_is_followed_by_the_bytes(world: World, shelf: Shelf) -> None:
    shelf.url += ".gone"
    assert classify(world, shelf, Image("a.jpg", photo(), BLOB)).tags
    assert sent(world) == ["application/json", "application/octet-stream"]
    assert sum(world.standin.counts.paid.values()) == 1


@pytest.mark.parametrize("blob", [None, replace(BLOB, source="folder:/photos")])
def test_what_has_no_link_is_sent_as_bytes(world: World, shelf: Shelf, blob: Blob | None) -> None:
    classify(world, shelf, Image("a.jpg", photo(), blob))
    assert sent(world) == ["application/octet-stream"]


def test_a_copy_that_fits_is_sent_and_not_a_link_to_what_does_not(world: World, shelf: Shelf) -> None:
    classify(world, shelf, Image("a.avif", photo(kind="AVIF"), BLOB), fit=True)
    assert sent(world) == ["application/octet-stream"]


def _asked(world: World, source: str) -> str:
    async def opened() -> str:
        settings = Settings(
            _env_file=None,
            source=source,
            blob_key="a2V5",
            classifier=f"azure-vision:{world.url}",
            vision_key=KEY,
            vision_send="url",
        )
        async with wiring.classifier(settings) as classifier:
            return classifier.asked

    return world.run(opened())


def test_a_folder_has_no_links_to_give(world: World) -> None:
    with pytest.raises(Misconfigured, match="IMAGESWEEP_VISION_SEND"):
        _asked(world, "folder:photos")


def test_how_an_image_is_sent_does_not_change_what_is_asked(world: World) -> None:
    assert _asked(world, "azure-blob:http://127.0.0.1:10000/devstoreaccount1/photos") == QUESTION.asked
