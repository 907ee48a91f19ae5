"""From bytes to pixels and facts, the same for every classifier: one guarded decode by Pillow, hostile files expected."""

from __future__ import annotations

import functools
import importlib
import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from jobs.colours import colours
from jobs.errors import Rejected
from jobs.exif import Exif, read_exif
from jobs.model import Facts, Limits
from jobs.sketch import SIDE, sketch
from jobs.sniff import sniff

_FAULTS: Final = (
    OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError,
    RuntimeError, AssertionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow and its decoders raise on bytes that lie."""

_IGNORED: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""How the filter reads by which Pillow's warnings are ignored."""

# Sides and decoded pixels are checked here, by the caller's limits; Pillow's own bound would refuse what a draft decodes easily.
Image.MAX_IMAGE_PIXELS = None
# What a file does wrong is told once, by Rejected.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# Editors write more than the 1 MiB of compressed XMP that Pillow takes; all text together stays within its 64 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024


def look(data: bytes, *, limits: Limits, max_pixels: int, side: int, name: str = "") -> tuple[Facts, NDArray[np.uint8]]:
    """Decode an image once; return its facts and its centre square, resized to RGB of shape (side, side, 3).

    Everything that the header tells is checked before a pixel is decoded: format, sides and bytes by `limits`, and the
    pixels to be held at once by `max_pixels` (the decode takes up to sixteen bytes for each). A JPEG is decoded at the
    smallest of 1/1, 1/2, 1/4 and 1/8 that still covers `side` (docs/adr/0003-draft-decode.md). The first frame stands for
    all, transparency is laid on white, EXIF orientation is applied; metadata that cannot be believed is left out. Raises
    Rejected, of class `empty`, `not-an-image`, `truncated`, `unreadable`, `too-small`, `too-large` or `format`; `name` is for
    its message only.
    """
    with _opened(data, limits, max_pixels, name) as image:
        _check_memory(_held(image, side), max_pixels, name)
        width, height = image.size
        image.draft("RGB", (side, side))
        image.load()
        exif = read_exif(image)
        plain = _plain(image)
        array = np.array(_orient(_flatten(_square(plain, side)), exif.orientation), dtype=np.uint8)
        small = plain.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
        drawn = sketch(_orient(_flatten(small), exif.orientation))
        return replace(_facts(image, exif, (width, height)), colours=colours(array), sketch=drawn), array


@contextmanager
def _opened(data: bytes, limits: Limits, max_pixels: int, name: str) -> Iterator[Image.Image]:
    """Open an image whose header may be believed; what goes wrong with it until it is closed again is its own fault."""
    _hush()
    kind = _admit(data, limits, name)
    if kind == "ICO":  # Pillow decodes an icon as soon as it opens it
        _check_memory(_icon_pixels(data), max_pixels, name)
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_sides(image, limits, name)
            yield image
    except _FAULTS as error:
        cut = _cut_short(kind, data, error)
        cause = "the file ends too early" if cut else f"the {kind} data cannot be decoded ({_brief(error)})"
        raise _rejected(name, cause, "truncated" if cut else "unreadable") from error


def glance(data: bytes, *, limits: Limits, max_pixels: int, name: str = "") -> Facts:
    """Return the facts as `look` does, but for colours and sketch, without decoding a pixel: a tenth of its time or less.

    Raises Rejected for what the header alone tells; damage further on is not seen. Only an icon is decoded to be opened.
    """
    with _opened(data, limits, max_pixels, name) as image:
        if image.format == "PNG" and "Raw profile type exif" not in image.info:
            image.info.setdefault("exif", _png_exif(data))  # else Pillow decodes the picture to look behind it
        return _facts(image, read_exif(image), image.size)


def redraw(data: bytes, *, limits: Limits, max_pixels: int, longest: int, name: str = "") -> Image.Image:
    """Return the whole first frame as RGB, upright and on white, with no side longer than `longest`; refuses as `look` does."""
    with _opened(data, limits, max_pixels, name) as image:
        scale = min(1.0, longest / max(image.size))
        width, height = (max(round(side * scale), 1) for side in image.size)
        _check_memory(_held(image, min(width, height)), max_pixels, name)
        image.draft("RGB", (width, height))
        image.load()
        orientation = read_exif(image).orientation
        small = _plain(image).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
        return _orient(_flatten(small), orientation)


def inspect(data: bytes, *, limits: Limits, name: str = "") -> None:
    """Raise Rejected, as `look` does, for what the header alone tells; no pixel is decoded, so damage further on is not seen."""
    _hush()
    kind = _admit(data, limits, name)
    if kind == "ICO":
        return  # Pillow decodes an icon to open it
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_sides(image, limits, name)
    except _FAULTS as error:
        raise _rejected(name, f"the {kind} header cannot be read ({_brief(error)})", "unreadable") from error


def _hush() -> None:
    """Ignore what Pillow warns of, from now on: catch_warnings is not safe where several threads decode."""
    if _IGNORED not in warnings.filters:
        warnings.filterwarnings("ignore", module=_IGNORED[3].pattern)


def _rejected(name: str, cause: str, failure_class: str) -> Rejected:
    return Rejected("decode", name, cause, failure_class=failure_class)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


def _admit(data: bytes, limits: Limits, name: str) -> str:
    """Return the format of bytes that may be opened at all."""
    if not data:
        raise _rejected(name, "the file is empty", "empty")
    if len(data) > limits.max_bytes:
        raise _rejected(name, f"{len(data):,} bytes, more than the {limits.max_bytes:,} that the classifier takes", "too-large")
    kind = sniff(data[:64])
    if kind is None:
        raise _rejected(name, "the bytes are not those of an image", "not-an-image")
    if kind not in limits.formats and not (kind == "JPEG" and "MPO" in limits.formats):
        raise _rejected(name, f"{kind} is not a format that the classifier takes", "format")
    if kind == "HEIF" and not _heif_ready():
        raise _rejected(name, "HEIF needs the package pi-heif, which is not installed", "format")
    return kind


@functools.cache
def _heif_ready() -> bool:
    """Teach Pillow HEIF on the first such file; the package is large and absent from the base install."""
    try:
        importlib.import_module("pi_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _check_sides(image: Image.Image, limits: Limits, name: str) -> None:
    """Refuse by the header alone what the classifier does not take."""
    width, height = image.size
    low, high = limits.min_side, limits.max_side
    if image.format not in limits.formats:
        raise _rejected(name, f"{image.format} is not a format that the classifier takes", "format")
    if min(width, height) < low:
        raise _rejected(name, f"{width} x {height} pixels, smaller than the {low} x {low} that the classifier takes", "too-small")
    if max(width, height) > high:
        raise _rejected(name, f"{width} x {height} pixels, larger than the {high} x {high} that the classifier takes", "too-large")


def _check_memory(held: int, max_pixels: int, name: str) -> None:
    """Refuse before decoding what would not fit into memory."""
    if held > max_pixels:
        raise _rejected(name, f"it decodes to {held:,} pixels, more than the {max_pixels:,} that memory allows", "too-large")


def _held(image: Image.Image, side: int) -> int:
    """Return the pixels that a decode will hold at once."""
    width, height = image.size
    # A progressive JPEG keeps the coefficients of the whole picture, however small the draft.
    if image.format not in ("JPEG", "MPO") or "progressive" in image.info:
        return width * height
    shrink = next(n for n in (8, 4, 2, 1) if min(width, height) // side >= n or n == 1)
    return -(-width // shrink) * -(-height // shrink)


def _icon_pixels(data: bytes) -> int:
    """Return the pixels of the largest picture inside an icon by the pictures' own headers; the icon's directory may lie."""
    most = 0
    for entry in range(int.from_bytes(data[4:6], "little")):
        at = int.from_bytes(data[18 + 16 * entry : 22 + 16 * entry], "little")
        if data[at : at + 4] == b"\x89PNG":
            width, height = (int.from_bytes(data[at + n : at + n + 4], "big") for n in (16, 20))
        else:
            width, height = (abs(int.from_bytes(data[at + n : at + n + 4], "little", signed=True)) for n in (4, 8))
        most = max(most, width * height)
    return most


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture as L, RGB or RGBA."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.mode == "LAB":
        return image.getchannel(0)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit values by their full range, and 32-bit and floating ones, which have none, by what they use."""
    values: NDArray[np.float32] = np.array(image, dtype=np.float32)
    np.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0)
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (float(np.min(values)), float(np.max(values)))
    values -= low
    values *= 255.0 / max(high - low, 1e-12)
    return Image.fromarray(values.astype(np.uint8))


def _square(image: Image.Image, side: int) -> Image.Image:
    """Cut the centre square out and resize it."""
    width, height = image.size
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def _orient(image: Image.Image, orientation: int) -> Image.Image:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _facts(image: Image.Image, exif: Exif, size: tuple[int, int]) -> Facts:
    width, height = size[::-1] if exif.orientation >= 5 else size  # noqa: PLR2004 - 5 to 8 lie on their side
    return Facts(
        width=width,
        height=height,
        format=image.format or "",
        frames=_frames(image),
        taken=exif.taken,
        camera=exif.camera,
        latitude=exif.latitude,
        longitude=exif.longitude,
    )


def _frames(image: Image.Image) -> int:
    """Count the frames; a fault behind the first one does not spoil the picture."""
    try:
        return max(int(getattr(image, "n_frames", 1)), 1)
    except _FAULTS:
        return 1


def _png_exif(data: bytes) -> bytes:
    """Return the EXIF block of a PNG, wherever it stands, by its table of chunks; empty where there is none."""
    at = 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"eXIf":
            return data[at + 8 : at + 8 + size]
        at += 12 + size
    return b""


def _cut_short(kind: str, data: bytes, error: BaseException) -> bool:
    """Say whether a file that could not be decoded is one that ends too early, by the error or by the file's own account."""
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return True
    if kind == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if kind in ("HEIF", "AVIF"):
        return _boxes_end(data) > len(data)
    ends = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b"}
    return kind in ends and ends[kind] not in data[-64:]


def _boxes_end(data: bytes) -> int:
    """Return where the outermost boxes of an ISO media file say that they end."""
    at = 0
    while at + 16 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        size = int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size
        if size < 8:  # noqa: PLR2004 - 0 means up to the end; less than a box's head is a lie
            return len(data)
        at += size
    return at
