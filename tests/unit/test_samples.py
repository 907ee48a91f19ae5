"""The samples are what their README and LICENSES.csv say: other tests and first-time users rely on it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageOps

SAMPLES = Path(__file__).parents[2] / "samples"
ODD = SAMPLES / "odd"
BROKEN = {"odd/empty.jpg", "odd/text.jpg", "odd/truncated.jpg"}


def files() -> list[str]:
    return sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*") if path.is_file())


IMAGES = [name for name in files() if not name.endswith((".csv", ".txt")) and name not in BROKEN]


def test_every_file_has_its_licence_and_its_origin() -> None:
    with (SAMPLES / "LICENSES.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == [name for name in files() if name != "LICENSES.csv"]
    assert {row["licence"] for row in rows.values()} <= {"CC0-1.0", "Public Domain"}
    assert all(row["author"] and row["source"] for row in rows.values())
    assert len(rows) > 100
    assert sum((SAMPLES / name).stat().st_size for name in files()) < 8_000_000


@pytest.mark.parametrize("name", IMAGES)
def test_every_image_decodes(name: str) -> None:
    with Image.open(SAMPLES / name) as image:
        image.load()
        assert min(image.size) >= (40 if name == "odd/small.png" else 100)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_should_fail_fails(name: str) -> None:
    with pytest.raises(OSError, match=r"cannot identify|truncated"), Image.open(SAMPLES / name) as image:
        image.load()


def test_formats_vary() -> None:
    formats = set()
    for name in IMAGES:
        with Image.open(SAMPLES / name) as image:
            formats.add(image.format)
    assert formats == {"AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"}


def test_the_odd_ones_are_odd() -> None:
    assert (ODD / "duplicate.webp").read_bytes() == (SAMPLES / "animals/dog.webp").read_bytes()
    with Image.open(ODD / "animated.gif") as animated:
        assert getattr(animated, "n_frames", 1) == 2
    with Image.open(ODD / "transparent.png") as transparent:
        assert transparent.mode == "RGBA"
    with Image.open(ODD / "large.jpg") as large:
        assert large.width * large.height >= 12_000_000
    with Image.open(ODD / "small.png") as small:
        assert small.size == (40, 40)


def test_the_rotated_one_says_how_when_and_where() -> None:
    with Image.open(ODD / "rotated.jpg") as image:
        exif = image.getexif()
        assert image.height > image.width
        upright = ImageOps.exif_transpose(image)
    assert upright.width > upright.height
    assert (exif[0x0112], exif[0x0110]) == (6, "Sample Camera 1")
    assert exif.get_ifd(0x8769)[0x9003] == "2019:06:21 14:30:05"
    assert [float(part) for part in exif.get_ifd(0x8825)[2]] == [47, 33, 27]
