from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from jobs import pixels
from jobs.colours import COLOURS, colours
from jobs.errors import Rejected
from jobs.exif import LONGEST
from jobs.model import Facts, Limits
from jobs.pixels import look
from jobs.sniff import named_image, sniff

ALL = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO", "HEIF", "AVIF"})
LIMITS = Limits(ALL, min_side=50, max_side=16_000, max_bytes=50_000_000)
SIDE = 64
RED, BLUE = (220, 20, 20), (20, 20, 220)


# The picture below, 120 x 80, by heif-enc.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAUJtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRtAAAAAAABAAAA"
    "Imlsb2MAAAAAREAAAQABAAAAAAFmAAEAAAAAAAAAPwAAACNpaW5mAAAAAAABAAAAFWluZmUCAAAAAAEAAGh2YzEAAAAAwmlwcnAAAACkaXBjbwAAAHhodmND"
    "AQNwAAAAAAAAAAAAHvAA/P34+AAADwMgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQCEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDyBRZbqSSmubgQEDAgA"
    "AAMACAAAAwAIQCIAAQAHRAHBcrAiQAAAABRpc3BlAAAAAAAAAHgAAABQAAAAEHBpeGkAAAAAAwgICAAAABZpcG1hAAAAAAAAAAEAAQOBAoMAAABHbWRhdAAA"
    "ADsoAa8TgOaocNP//g/Uf/w754flvOoyTPCA1l/4KH3YlX9NcUAM+OJW5SHJzkw6kcdAAABzLrfEyAABmw=="
)


def picture(size: tuple[int, int] = (120, 80), mode: str = "RGB") -> Image.Image:
    """Red above, blue below, so that a turn shows."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (0, size[1] // 2, *size))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def seen(data: bytes, *, limits: Limits = LIMITS, max_pixels: int = 10_000_000) -> tuple[Facts, np.ndarray[Any, Any]]:
    facts, array = look(data, limits=limits, max_pixels=max_pixels, side=SIDE)
    assert array.shape == (SIDE, SIDE, 3)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    return facts, array


def refusal(data: bytes, **options: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        seen(data, **options)
    return caught.value


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


# what a file is


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "AVIF"])
def test_every_format_is_told_by_its_magic_and_decoded(kind: str) -> None:
    data = saved(picture((80, 80)), kind)
    assert sniff(data[:64]) == kind
    facts, array = seen(data)
    assert facts.format == kind
    assert array[8, 32, 0] > 150 > array[8, 32, 2], "red above"
    assert array[56, 32, 2] > 150 > array[56, 32, 0], "blue below"


def test_a_stereo_pair_is_a_jpeg_by_magic_and_an_mpo_once_opened() -> None:
    data = saved(picture(), "MPO", save_all=True, append_images=[picture()])
    assert sniff(data[:64]) == "JPEG"
    facts, _ = seen(data)
    assert (facts.format, facts.frames) == ("MPO", 2)


def test_heif_is_decoded_where_the_package_is_there_and_imported_no_sooner() -> None:
    pytest.importorskip("pi_heif")
    code = "import sys, jobs.pixels; sys.exit('pi_heif' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert sniff(HEIC[:64]) == "HEIF"
    facts, array = seen(HEIC)
    assert (facts.format, facts.width, facts.height) == ("HEIF", 120, 80)
    assert array[8, 32, 0] > 150 > array[8, 32, 2]
    assert refusal(HEIC[:300]).failure_class == "truncated"


def test_heif_without_its_package_is_a_format_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "_heif_ready", lambda: False)
    fault = refusal(HEIC)
    assert fault.failure_class == "format"
    assert "pi-heif" in str(fault)


@pytest.mark.parametrize("brand", [b"avif", b"avis"])
def test_the_compatible_brands_tell_avif_from_heif(brand: bytes) -> None:
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0" + brand + b"mif1") == "AVIF"


@given(st.binary(max_size=64))
def test_sniffing_never_fails(head: bytes) -> None:
    assert sniff(head) in ALL | {None}


@pytest.mark.parametrize(
    "text", [b"", b"BM", b"BMW is a make of cars", b"<html></html>", b"\0\0\1\0\0\0", b"%PDF-1.7", b"RIFF1234WAVE"]
)
def test_other_files_are_no_images(text: bytes) -> None:
    assert sniff(text) is None


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "x/y.z/b.Tiff", "c.heic", "d.HIF", ".webp", "e.f.png"])
def test_images_by_name(name: str) -> None:
    assert named_image(name)


@pytest.mark.parametrize("name", ["", "jpg", "a.txt", "a.jpg.txt", "x.png/readme", "a.", "a.jpg "])
def test_other_names(name: str) -> None:
    assert not named_image(name)


# faults of the image


def test_every_fault_has_its_class_and_a_reason_that_a_person_understands() -> None:
    cases = {
        "empty": b"",
        "not-an-image": b"GIF is what I say I am",
        "too-small": saved(picture((40, 40)), "PNG"),
        "unreadable": b"\x89PNG\r\n\x1a\n" + b"\0" * 20 + b"IEND",
    }
    for failure_class, data in cases.items():
        fault = refusal(data)
        assert fault.failure_class == failure_class
        assert fault.cause
    assert "40 x 40 pixels, smaller than the 50 x 50 that the classifier takes" in str(refusal(cases["too-small"]))


def test_the_limits_of_the_classifier_are_inclusive() -> None:
    limits = Limits(ALL, min_side=80, max_side=120, max_bytes=len(saved(picture(), "PNG")))
    seen(saved(picture(), "PNG"), limits=limits)
    assert refusal(saved(picture((120, 79)), "GIF"), limits=limits).failure_class == "too-small"
    assert refusal(saved(picture((121, 80)), "GIF"), limits=limits).failure_class == "too-large"
    assert "bytes" in refusal(saved(picture(), "PNG") + b"x", limits=limits).cause


@pytest.mark.parametrize(("kind", "formats"), [("PNG", {"JPEG"}), ("MPO", {"JPEG"}), ("JPEG", {"MPO"})])
def test_a_format_that_the_classifier_does_not_take(kind: str, formats: set[str]) -> None:
    options = {"save_all": True, "append_images": [picture()]} if kind == "MPO" else {}
    limits = Limits(frozenset(formats), min_side=1, max_side=1000, max_bytes=1_000_000)
    assert refusal(saved(picture(), kind, **options), limits=limits).failure_class == "format"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_ends_too_early_is_refused_as_such(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    data = saved(noise, kind)
    assert refusal(data[: int(len(data) * share)]).failure_class == "truncated"


@given(st.data())
def test_damaged_files_are_refused_or_read_but_never_worse(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF"]))
    whole = bytearray(saved(picture((60, 60)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        facts, _ = seen(bytes(whole), max_pixels=1_000_000)
    except Rejected:
        return
    assert facts.width >= 50


# decompression bombs


@pytest.mark.parametrize("size", [(15_000, 15_000), (16_000, 16_000)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    begin = time.perf_counter()
    fault = refusal(png_bomb(*size), max_pixels=100_000_000)
    assert fault.failure_class == "too-large"
    assert "memory" in fault.cause
    assert time.perf_counter() - begin < 0.5


def test_sides_beyond_all_measure_are_refused_by_the_limits() -> None:
    assert refusal(png_bomb(2**31 - 1, 2**31 - 1)).failure_class == "too-large"


def test_an_icon_with_a_bomb_inside_is_refused() -> None:
    inside = png_bomb(15_000, 15_000)
    data = struct.pack("<HHHBBBBHHII", 0, 1, 1, 64, 64, 0, 0, 1, 32, len(inside), 22) + inside
    assert refusal(data, max_pixels=100_000_000).failure_class == "too-large"


def test_a_large_jpeg_counts_at_its_drafted_size_and_a_progressive_one_in_full() -> None:
    image = picture((1200, 1200))
    seen(saved(image, "JPEG"), max_pixels=200 * 200)
    assert refusal(saved(image, "JPEG", progressive=True), max_pixels=200 * 200).failure_class == "too-large"


def test_the_draft_is_no_larger_than_was_promised() -> None:
    for width in (127, 128, 129, 255, 256, 511, 512, 513, 1024, 1031):
        with Image.open(io.BytesIO(saved(picture((width, 700)), "JPEG"))) as image:
            promised = pixels._held(image, SIDE)
            image.draft("RGB", (SIDE, SIDE))
            assert image.width * image.height == promised


# pixels of every kind


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "WEBP"),
        ("CMYK", "JPEG"),
        ("YCbCr", "TIFF"),
        ("CMYK", "TIFF"),
    ],
)
def test_every_mode_becomes_rgb(mode: str, kind: str) -> None:
    image = picture(mode=mode) if mode != "LA" else picture(mode="L").convert("LA")
    _, array = seen(saved(image, kind))
    expected = picture(mode="RGB" if mode in ("P", "RGBA", "CMYK", "YCbCr") else "L").convert("RGB").getpixel((60, 10))
    if mode != "1":
        assert np.abs(array[8, 32].astype(int) - np.array(expected)).max() < 40


def test_lab_is_taken_for_its_lightness() -> None:
    rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.applyTransform(picture(), ImageCms.buildTransform(rgb, lab, "RGB", "LAB"))
    assert image is not None
    _, array = seen(saved(image, "TIFF"))
    assert array[8, 32, 0] == array[8, 32, 1]


@pytest.mark.parametrize(
    ("dtype", "top", "kind"),
    [(np.uint16, 65535, "PNG"), (np.uint16, 65535, "TIFF"), (np.int32, 9_000_000, "TIFF"), (np.float32, 0.001, "TIFF")],
)
def test_deep_pixels_are_scaled_not_clipped(dtype: type, top: float, kind: str) -> None:
    ramp: np.ndarray[Any, Any] = np.tile(np.linspace(0, top, 100), (100, 1)).astype(dtype)
    _, array = seen(saved(Image.fromarray(ramp), kind))
    assert array[32, 0, 0] < 10
    assert 100 < array[32, 32, 0] < 155
    assert array[32, 63, 0] > 245


def test_floats_that_are_none_do_no_harm() -> None:
    values = np.full((80, 80), np.nan, dtype=np.float32)
    values[:40] = np.inf
    values[0, 0] = 1.0
    seen(saved(Image.fromarray(values), "TIFF"))


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    assert seen(saved(clear, "PNG"))[1].min() == 255
    palette = Image.new("P", (80, 80), 0)
    palette.putpalette([0, 0, 0] * 256)
    assert seen(saved(palette, "GIF", transparency=0))[1].min() == 255
    keyed = Image.new("RGB", (80, 80), (1, 2, 3))
    assert seen(saved(keyed, "PNG", transparency=(1, 2, 3)))[1].min() == 255


def test_the_first_frame_stands_for_all() -> None:
    frames = [Image.new("RGB", (60, 60), colour) for colour in (RED, BLUE, (0, 255, 0))]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        facts, array = seen(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert facts.frames == 3, kind
        assert array[32, 32, 0] > 180, kind


def test_the_centre_is_cut_out() -> None:
    image = Image.new("RGB", (300, 100), RED)
    image.paste(BLUE, (100, 0, 200, 100))
    _, array = seen(saved(image, "PNG"))
    assert (array[..., 2] > 200).all()


@pytest.mark.parametrize(
    ("orientation", "top"), [(1, "red"), (2, "red"), (3, "blue"), (4, "blue"), (6, "left blue"), (8, "left red")]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_to_pixels_and_sides(orientation: int, top: str, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    facts, array = seen(saved(picture(), kind, exif=exif))
    assert (facts.width, facts.height) == ((80, 120) if orientation >= 5 else (120, 80))
    spot = array[32, 8] if "left" in top else array[8, 32]
    assert spot[0 if "red" in top else 2] > 150


# what the metadata says


def exif_jpeg(tags: dict[int, Any], detail: dict[int, Any] | None = None, gps: dict[int, Any] | None = None) -> bytes:
    exif = Image.Exif()
    exif.update(tags)
    exif.get_ifd(0x8769).update(detail or {})
    exif.get_ifd(0x8825).update(gps or {})
    return saved(picture(), "JPEG", exif=exif)


def rational(value: float) -> TiffImagePlugin.IFDRational:
    fraction = Fraction(value).limit_denominator(10_000)
    return TiffImagePlugin.IFDRational(fraction.numerator, fraction.denominator)


GPS = {1: "S", 2: (rational(33), rational(51), rational(24.5)), 3: "E", 4: (rational(151), rational(12), rational(54))}


def test_time_camera_and_place_are_read() -> None:
    detail = {0x9003: "2021:07:04 23:30:00", 0x9011: "-05:00"}
    facts, _ = seen(exif_jpeg({0x010F: "NIKON CORPORATION", 0x0110: "NIKON D90"}, detail, GPS))
    assert facts.taken == datetime(2021, 7, 5, 4, 30, tzinfo=UTC)
    assert facts.camera == "NIKON D90"
    assert facts.latitude == pytest.approx(-33.8568056)
    assert facts.longitude == pytest.approx(151.215)


def test_make_and_model_are_joined_once() -> None:
    assert seen(exif_jpeg({0x010F: "FUJIFILM", 0x0110: "FinePix S2"}))[0].camera == "FUJIFILM FinePix S2"
    assert seen(exif_jpeg({0x010F: "FUJIFILM"}))[0].camera == "FUJIFILM"
    assert seen(exif_jpeg({0x0110: "X"}))[0].camera == "X"


def test_the_time_of_a_change_stands_in_where_there_is_no_better() -> None:
    assert seen(exif_jpeg({0x0132: "2001:02:03 04:05:06"}, {0x9003: "0000:00:00 00:00:00"}))[0].taken == datetime(
        2001, 2, 3, 4, 5, 6, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "when",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "9999:12:31 23:59:59",
        "0001:01:01 00:00:00",
        "2021:13:45 99:99:99",
        "yesterday",
        "\0" * 20,
    ],
)
def test_absurd_dates_are_left_out(when: str) -> None:
    assert seen(exif_jpeg({}, {0x9003: when}))[0].taken is None


def test_an_absurd_time_zone_spoils_the_date() -> None:
    assert seen(exif_jpeg({}, {0x9003: "2021:07:04 23:30:00", 0x9011: "+99:99"}))[0].taken is None


@pytest.mark.parametrize(
    "gps",
    [
        {**GPS, 2: (rational(91), rational(0), rational(0))},
        {**GPS, 2: (TiffImagePlugin.IFDRational(1, 0),) * 3},
        {**GPS, 4: (TiffImagePlugin.IFDRational(0, 0),) * 3},
        {**GPS, 1: "Q"},
        {2: GPS[2], 4: GPS[4]},
        {1: "N", 2: (rational(0),) * 3, 3: "E", 4: (rational(0),) * 3},
        {**GPS, 2: (rational(12),)},
    ],
)
def test_places_that_cannot_be_are_left_out(gps: dict[int, Any]) -> None:
    facts, _ = seen(exif_jpeg({}, gps=gps))
    assert (facts.latitude, facts.longitude) == (None, None)


def test_strings_are_cleaned_and_cut() -> None:
    camera = seen(exif_jpeg({0x010F: "Ac\x1b[31mme\r\n\t", 0x0110: "x" * 5000}))[0].camera
    assert camera is not None
    assert camera.startswith("Ac [31mme x")
    assert len(camera) == LONGEST
    assert camera.isprintable()
    assert seen(exif_jpeg({0x010F: "Acme\0hidden"}))[0].camera == "Acme"


def segment(exif: bytes) -> bytes:
    """A JPEG with these bytes as its EXIF segment."""
    plain = saved(picture(), "JPEG")
    body = b"Exif\0\0" + exif
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


HOSTILE = {
    "noise": b"\xff" * 300,
    "no directory": b"II*\0\xff\xff\xff\xff",
    "endless directory": b"II*\0\x08\0\0\0" + struct.pack("<H", 0xFFFF) + entry(0x0112, 3, 1, 6),
    "directory in itself": b"II*\0\x08\0\0\0\2\0" + entry(0x8769, 4, 1, 8) + entry(0x8825, 4, 1, 8) + b"\x08\0\0\0",
    "orientation of many": b"II*\0\x08\0\0\0\1\0" + entry(0x0112, 3, 0x7FFFFFFF, 8),
    "orientation as text": b"II*\0\x08\0\0\0\1\0" + entry(0x0112, 2, 4, 0x41414141),
    "orientation out of range": b"II*\0\x08\0\0\0\1\0" + entry(0x0112, 3, 1, 99),
    "camera as numbers": b"II*\0\x08\0\0\0\2\0" + entry(0x010F, 5, 1, 8) + entry(0x0110, 12, 1, 8),
    "unknown types": b"II*\0\x08\0\0\0\2\0" + entry(0x010F, 99, 4, 8) + entry(0x9003, 0, 4, 8),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_never_fails_a_picture(name: str) -> None:
    facts, _ = seen(segment(HOSTILE[name]))
    assert (facts.width, facts.height) == ((80, 120) if name == "endless directory" else (120, 80))
    assert facts.latitude is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_whatever_the_metadata_the_facts_are_sane(noise: bytes, start: bytes) -> None:
    facts, _ = seen(segment(start + noise))
    assert {facts.width, facts.height} == {80, 120}
    assert facts.taken is None or facts.taken.tzinfo is UTC
    assert facts.camera is None or (0 < len(facts.camera) <= LONGEST and facts.camera.isprintable())
    assert facts.latitude is None or -90 <= facts.latitude <= 90
    assert facts.longitude is None or -180 <= facts.longitude <= 180


def test_pillow_says_nothing_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    tiff = saved(picture(), "TIFF")
    at = tiff.index(struct.pack("<HHI", 277, 3, 1)) + 8  # samples for each pixel
    refusal(tiff[:at] + b"\xff\x5b" + tiff[at + 2 :])
    assert not caplog.records


def test_much_text_in_a_png_is_no_fault() -> None:
    whole = saved(picture(), "PNG")
    text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * 3_000_000))
    seen(whole[:33] + text + whole[33:])


# colours


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "grey"), ((200, 30, 30), "red"),
        ((250, 140, 20), "orange"), ((120, 72, 30), "brown"), ((245, 225, 40), "yellow"), ((40, 160, 50), "green"),
        ((20, 160, 160), "teal"), ((40, 80, 200), "blue"), ((120, 40, 200), "purple"), ((255, 150, 200), "pink"),
        ((110, 110, 30), "green"),
    ],
)  # fmt: skip
def test_plain_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    assert colours(np.full((SIDE, SIDE, 3), rgb, dtype=np.uint8)) == (name,)


def test_the_commonest_colours_come_first_and_specks_are_left_out() -> None:
    array = np.zeros((100, 100, 3), dtype=np.uint8)
    array[:70] = 255
    array[90:] = BLUE
    assert colours(array) == ("white", "black")


@given(st.integers(0, 2**32 - 1))
def test_there_are_one_to_three_colours(seed: int) -> None:
    named = colours(np.random.default_rng(seed).integers(0, 256, (30, 30, 3), dtype=np.uint8))
    assert 1 <= len(named) <= 3
    assert set(named) <= set(COLOURS)
