"""What draws sketches of images that no classifier is asked about."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from jobs.draw import Look
from jobs.errors import Rejected
from jobs.model import Blob, Limits
from jobs.pixels import look
from jobs.settings import Settings
from jobs.wiring.embedded import MEGABYTE

AT_ONCE: Final = 16
"""Images that are read or decoded at once."""

_FORMATS: Final = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO", "HEIF", "AVIF"})
_SIDE: Final = 224
"""The side that classifiers look at: a draft of the same size makes the same sketch."""


@contextmanager
def sketching(settings: Settings) -> Iterator[Look]:
    """Open as many threads as there are cores, which decode as a classifier does (docs/adr/0010-decoding-beside-paid-calls.md)."""
    limits = Limits(_FORMATS, min_side=1, max_side=65_535, max_bytes=settings.max_mb * MEGABYTE)
    max_pixels = settings.max_megapixels * MEGABYTE

    def drawn(name: str, data: bytes) -> str:
        try:
            return look(data, limits=limits, max_pixels=max_pixels, side=_SIDE, name=name)[0].sketch
        except MemoryError as error:
            raise Rejected("draw", name, "it does not fit into memory", failure_class="too-large") from error

    async def sketch(blob: Blob, data: bytes) -> str:
        return await asyncio.get_running_loop().run_in_executor(threads, drawn, blob.name, data)

    threads = ThreadPoolExecutor(os.cpu_count() or 1, "draw")
    try:
        yield sketch
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
