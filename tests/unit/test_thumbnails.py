"""Pictures to look at: of the version that was analysed, drawn in another process, kept within bounds, never by a blob's name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jobs.adapters.thumbnails import Bounds, NoPicture, Thumbnails, drawn, open_thumbnails
from jobs.model import Record
from tests.conftest import Run, entered
from tests.examples import NOON, record
from tests.fakes.source import MemorySource

BOUNDS = Bounds(5_000_000, 4_000_000)
KEEP = 20_000


def encoded(width: int, height: int, colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(file, "PNG")
    if colour == "plain":
        file = io.BytesIO()
        Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(lambda: NOON)


@pytest.fixture
def thumbnails(run: Run, tmp_path: Path, source: MemorySource) -> Iterator[Thumbnails]:
    with entered(run, open_thumbnails(tmp_path / "kept", {source.key: source}, BOUNDS, keep=KEEP)) as opened:
        yield opened


def put(run: Run, source: MemorySource, name: str, data: bytes) -> Record:
    source.put(name, data)
    blob = run(source.head(name))
    assert blob is not None
    return replace(record(name), id=blob.id, source=blob.source, etag=blob.etag, analysed=blob.etag, size=blob.size)


def test_a_picture_is_drawn_once_and_no_larger_than_asked(run: Run, thumbnails: Thumbnails, source: MemorySource) -> None:
    one = put(run, source, "a/../b.png", encoded(300, 150, "plain"))
    first = run(thumbnails.picture(one, 100))
    with Image.open(io.BytesIO(first)) as image:
        assert (image.format, image.size) == ("WEBP", (100, 50))
    source.put("a/../b.png", b"gone since")
    assert run(thumbnails.picture(one, 100)) == first


def test_only_the_version_that_was_analysed_is_shown(run: Run, thumbnails: Thumbnails, source: MemorySource) -> None:
    one = put(run, source, "a.png", encoded(80, 80, "plain"))
    source.put("a.png", encoded(90, 90))
    with pytest.raises(NoPicture):
        run(thumbnails.picture(one, 50))
    with pytest.raises(NoPicture, match="not among"):
        run(thumbnails.picture(replace(one, source="folder:/elsewhere"), 50))


def test_what_cannot_be_decoded_is_said(run: Run, thumbnails: Thumbnails, source: MemorySource) -> None:
    for name, data in {"text.png": b"hello", "cut.png": encoded(80, 80)[:900], "huge.png": encoded(2100, 2100, "plain")}.items():
        with pytest.raises(NoPicture, match="no picture"):
            run(thumbnails.picture(put(run, source, name, data), 50))


def test_the_folder_stays_within_its_bound_and_holds_no_name_of_a_blob(
    run: Run, thumbnails: Thumbnails, source: MemorySource, tmp_path: Path
) -> None:
    for at in range(6):
        run(thumbnails.picture(put(run, source, f"../../{at}/etc.png", encoded(100, 100)), 100))
    kept = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert kept
    assert sum(path.stat().st_size for path in kept) <= KEEP
    assert all(len(path.stem) == 64 and path.suffix == ".webp" for path in kept)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_one_side_is_never_less_than_a_pixel() -> None:
    with Image.open(io.BytesIO(drawn(encoded(2000, 2, "plain"), 100, BOUNDS))) as image:
        assert image.size == (100, 1)
