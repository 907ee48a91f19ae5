"""Sniff: tell images by their names and first bytes, without any library."""

from __future__ import annotations

from typing import Final

LOOK_VERSION: Final = 1
"""Part of every fingerprint: grows when `jobs.pixels.look` makes other pixels of the same bytes, by another crop or draft."""

_EXTENSIONS: Final = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".ico", ".tif", ".tiff",
    ".heic", ".heif", ".hif", ".avif",
))  # fmt: skip
_MAGIC: Final = (
    ("JPEG", b"\xff\xd8\xff"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("TIFF", b"II+\0"),
    ("TIFF", b"MM\0+"),
)
_BMP_HEADERS: Final = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_AVIF_BRANDS: Final = frozenset((b"avif", b"avis"))
_HEIF_BRANDS: Final = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))


def sniff(head: bytes) -> str | None:
    """Return the format that the first 64 bytes of a file speak of, by Pillow's name (MPO counts as JPEG), or None."""
    for kind, magic in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[:4] == b"\0\0\1\0" and head[4:6] != b"\0\0" and head[9:10] == b"\0":
        return "ICO"
    return _sniff_boxes(head)


def _sniff_boxes(head: bytes) -> str | None:
    """Tell HEIF and AVIF by the brands of their first box, the major one or, for the general `mif1`, the compatible ones."""
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, end, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def promises_image(name: str, content_type: str | None) -> bool:
    """Say whether the extension, or the type that its owner gave it, promises an image of pixels: then nothing need be read."""
    kind = (content_type or "").lower()
    return named_image(name) or (kind.startswith("image/") and not kind.startswith("image/svg"))


def named_image(name: str) -> bool:
    """Say whether the extension promises an image of a format that `look` knows."""
    base = name.rsplit("/", 1)[-1].lower()
    return "." in base and "." + base.rsplit(".", 1)[-1] in _EXTENSIONS
