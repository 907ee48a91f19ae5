"""Sketches of pictures: copies stay near, others stay far, and what shows nothing has none."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from jobs.alike import FINE, SHAPE, Pictures, grouped
from jobs.errors import Rejected
from jobs.model import Limits
from jobs.pixels import look
from jobs.sketch import BITS, NOTHING, SIDE, sketch
from tests.pictures import picture

ROOT = Path(__file__).parents[2]
LIMITS = Limits(frozenset({"JPEG", "PNG", "WEBP", "BMP"}), min_side=50, max_side=16_000, max_bytes=50_000_000)
PHOTOS = sorted((ROOT / "samples/animals").glob("*.webp"))[:6]


def drawn(image: Image.Image, kind: str = "BMP", **options: int) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    facts, _ = look(file.getvalue(), limits=LIMITS, max_pixels=10**8, side=224)
    return facts.sketch


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 100, height // 100, width - width // 100, height - height // 100))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "grey": lambda image: image.convert("L"),
    "cropped": cropped,
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_stay_near_and_others_far(change: str) -> None:
    originals = [Image.open(path).convert("RGB") for path in PHOTOS]
    sketches = [drawn(image) for image in originals]
    assert len(sketches) == 6
    for at, image in enumerate(originals):
        copy = drawn(CHANGES[change](image), "JPEG", quality=60)
        assert apart(copy, sketches[at]) <= FINE
        assert min(apart(copy, other) for other in sketches if other != sketches[at]) > FINE + 20


def test_a_turned_photo_has_the_sketch_that_it_has_upright() -> None:
    upright = Image.open(PHOTOS[0]).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    file = io.BytesIO()
    lying.save(file, "JPEG", quality=95, exif=exif.tobytes())
    facts, _ = look(file.getvalue(), limits=LIMITS, max_pixels=10**8, side=224)
    assert apart(facts.sketch, drawn(upright, "JPEG", quality=95)) < 10


@pytest.mark.parametrize("colour", ["white", "black", (12, 200, 30)])
def test_an_even_surface_has_no_sketch(colour: str | tuple[int, int, int]) -> None:
    assert drawn(Image.new("RGB", (300, 200), colour)) == NOTHING


def test_transparency_is_white_as_it_is_seen() -> None:
    shape = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    shape.paste((200, 0, 0, 255), (40, 60, 200, 150))
    white = Image.new("RGB", (300, 200), "white")
    white.paste((200, 0, 0), (40, 60, 200, 150))
    assert apart(drawn(shape, "PNG"), drawn(white)) <= 4


@given(st.integers(0, 2**32), st.sampled_from(["L", "RGB"]))
@settings(deadline=None)
def test_any_picture_has_a_sketch_of_so_many_digits(seed: int, mode: str) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    assert len(sketch(Image.fromarray(noise).convert(mode))) == BITS // 4


def test_what_cannot_be_decoded_has_none() -> None:
    with pytest.raises(Rejected):
        look(PHOTOS[0].read_bytes()[:2000], limits=LIMITS, max_pixels=10**8, side=224)


def test_a_ratio_that_is_another_makes_another_picture() -> None:
    bits = "0f" * 32
    wide = picture("wide.jpg", sides=(1000, 500), sketch=bits)
    same = picture("same.jpg", sides=(500, 255), sketch=bits)
    square = picture("square.jpg", sides=(500, 500), sketch=bits)
    assert abs(np.log(2) - np.log(500 / 255)) < SHAPE
    assert grouped(Pictures.of([wide, same, square])).tolist() == [0, 0, 2]
