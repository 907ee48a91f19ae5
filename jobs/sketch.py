"""A sketch of a picture: bits that stay nearly the same when it is scaled, encoded anew, cropped or brightened a little.

The signs of its 256 lowest frequencies, lowest first (docs/adr/0013-near-duplicates.md has why, and how good it is).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 32
"""Pixels a side of what a sketch is made of."""

BITS: Final = 256
NOTHING: Final = "0" * (BITS // 4)
_FLAT = 2.0
"""Standard deviation, in the 256 steps of grey, below which noise alone would decide."""

_PLACES: Final = sorted(((v, u) for v in range(SIDE) for u in range(SIDE) if v + u), key=lambda at: (at[0] ** 2 + at[1] ** 2, at))
_ROWS: Final = np.array([v for v, _ in _PLACES[:BITS]])
_COLUMNS: Final = np.array([u for _, u in _PLACES[:BITS]])
_WAVES: Final[NDArray[np.float32]] = np.cos(np.pi / SIDE * np.outer(np.arange(SIDE), np.arange(SIDE) + 0.5)).astype(np.float32)


def sketch(small: Image.Image) -> str:
    """Return 64 hex digits for a picture of SIDE x SIDE pixels, NOTHING for one that shows nothing: an even surface."""
    grey: NDArray[np.float32] = np.asarray(small.convert("L"), dtype=np.float32)
    if float(grey.std()) < _FLAT:
        return NOTHING
    frequencies = (_WAVES @ grey @ _WAVES.T)[_ROWS, _COLUMNS]
    return np.packbits(frequencies > 0).tobytes().hex()
