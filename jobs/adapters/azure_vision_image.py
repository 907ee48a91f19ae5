"""What an image is before AI Vision sees it: its facts, whether it will be taken, and a copy that is, where that is wanted."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image as Pillow

from jobs import pixels
from jobs.errors import Rejected
from jobs.exif import read_exif
from jobs.model import Facts, Image, Limits

SERVICE: Final = Limits(
    frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO"}), min_side=50, max_side=16_000, max_bytes=20_971_520
)
"""What AI Vision takes. It documents sides "greater than 50": at the boundary it is left to judge for itself."""

FITTED_SIDE: Final = 4096
"""Longest side of a copy, in pixels: fine enough to read a page by, and at QUALITY well under the service's bytes."""
QUALITY: Final = 92
_SIDE = 224
"""Side of the square that colours are taken from, the same as the local model looks at."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How images are prepared: `limits` are what is taken at all, `max_pixels` what may be decoded at once.

    `colours` decodes each image here as well; `fit` makes a copy of what is taken here and not by the service.
    """

    limits: Limits
    max_pixels: int
    colours: bool
    fit: bool

    @classmethod
    def of(cls, *, max_bytes: int, max_pixels: int, colours: bool, fit: bool) -> Preparation:
        """Take what the service takes, or with `fit` whatever can be brought to that; never more than `max_bytes`."""
        limits = replace(SERVICE, max_bytes=min(max_bytes, SERVICE.max_bytes))
        if fit:
            limits = Limits(SERVICE.formats | {"HEIF", "AVIF"}, SERVICE.min_side, max_side=65_535, max_bytes=max_bytes)
        return cls(limits, max_pixels, colours, fit)

    def light(self, image: Image) -> bool:
        """Say whether to prepare this image takes less time than to hand it to a thread: only the header of a JPEG is read."""
        return not (self.colours or self.fit) and image.data.startswith(b"\xff\xd8")

    def facts(self, image: Image) -> Facts:
        """Return what the image says by itself. Raises Rejected for what must not be paid for."""
        header = pixels.glance(image.data, limits=self.limits, max_pixels=self.max_pixels, name=image.name)
        if not self.colours:
            return header
        try:
            facts, _ = pixels.look(image.data, limits=self.limits, max_pixels=self.max_pixels, side=_SIDE, name=image.name)
        except MemoryError:
            return header
        except Rejected as error:
            if error.failure_class == "too-large":  # for our memory, not for the service
                return header
            raise
        return facts

    def sendable(self, image: Image, facts: Facts) -> bytes:
        """Return the bytes to send: the image's own, or those of a copy that the service takes."""
        short, long = sorted((facts.width, facts.height))
        taken = len(image.data) <= SERVICE.max_bytes and facts.format in SERVICE.formats
        if not self.fit or (taken and long < SERVICE.max_side):
            return image.data
        least = SERVICE.min_side + 1
        longest = FITTED_SIDE if short * FITTED_SIDE >= least * long else SERVICE.max_side - 1
        if short * longest < least * long:
            cause = f"{facts.width} x {facts.height} pixels, in no scale within {SERVICE.min_side} and {SERVICE.max_side} a side"
            raise Rejected("fit", image.name, cause, failure_class="too-large")
        picture = pixels.redraw(image.data, limits=self.limits, max_pixels=self.max_pixels, longest=longest, name=image.name)
        copy = io.BytesIO()
        picture.save(copy, "JPEG", quality=QUALITY)
        return copy.getvalue()


@contextmanager
def preparing(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open `workers` threads to prepare images in (0: one for each core), which bounds what is decoded at once.

    Threads and not processes: nothing but colours depends on the pixels (docs/adr/0010-decoding-beside-paid-calls.md).
    """
    threads = ThreadPoolExecutor(workers or os.cpu_count() or 1, "prepare")
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def orientation(data: bytes) -> int:
    """Return the EXIF orientation, from 1 to 8, of bytes that were opened before."""
    with Pillow.open(io.BytesIO(data)) as image:
        return read_exif(image).orientation
