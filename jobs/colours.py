"""The colours of a picture, by plain names."""

from __future__ import annotations

import colorsys
import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

COLOURS: Final = (
    "black", "white", "grey", "red", "orange", "brown", "yellow", "green", "teal", "blue", "purple", "pink",
)  # fmt: skip
"""Every name there is."""

# Set by eye on the sample photos; hues in degrees, the rest from 0 to 1.
_HUES: Final = (
    (15, "red"), (45, "orange"), (70, "yellow"), (160, "green"), (195, "teal"), (255, "blue"), (290, "purple"), (345, "pink"),
)  # fmt: skip
_DARK, _DULL, _FAINT = 0.2, 0.15, 0.12
_WHITE, _BLACK = 0.85, 0.15
_BROWN_LIGHT, _BROWN_DEPTH, _PINK = 0.7, 0.5, 0.7
_OLIVE = 0.5

_GRID: Final = 56
_MOST: Final = 3
_SHARE: Final = 8


def colours(array: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return up to three colours that cover an eighth of the picture each, most common first, and always the first one.

    `array` is RGB of shape (height, width, 3); about 56 x 56 of its pixels are looked at.
    """
    step = max(array.shape[0] // _GRID, 1)
    few = (array[::step, ::step] >> 4).astype(np.uint16).reshape(-1, 3)
    counts = np.bincount(_table()[(few[:, 0] << 8) | (few[:, 1] << 4) | few[:, 2]], minlength=len(COLOURS))
    best = np.argsort(-counts, kind="stable")[:_MOST]
    return tuple(COLOURS[at] for rank, at in enumerate(best) if rank == 0 or counts[at] * _SHARE >= len(few))


@functools.cache
def _table() -> NDArray[np.uint8]:
    """Return the index into COLOURS of every colour of four bits a channel, shape (4096,)."""
    steps = [(step + 0.5) / 16 for step in range(16)]
    return np.array([COLOURS.index(_name(r, g, b)) for r in steps for g in steps for b in steps], dtype=np.uint8)


def _name(red: float, green: float, blue: float) -> str:
    """Name one colour, channels from 0 to 1."""
    hue, light, _ = colorsys.rgb_to_hls(red, green, blue)
    value = max(red, green, blue)
    chroma = value - min(red, green, blue)
    if value < _DARK:
        return "black"
    if chroma < _FAINT or chroma / value < _DULL:
        return "white" if light > _WHITE else "grey" if light > _BLACK else "black"
    name = next((name for end, name in _HUES if hue * 360 < end), "red")
    if name == "orange" and (value < _BROWN_LIGHT or chroma / value < _BROWN_DEPTH):
        return "brown"
    if name == "yellow" and value < _OLIVE:
        return "green"
    return "pink" if name == "red" and light > _PINK else name
