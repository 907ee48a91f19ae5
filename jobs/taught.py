"""Categories taught by example: the mean direction of a few pictures, and how near to it another one has to be. Pure."""

from __future__ import annotations

import base64
import binascii
import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

_TOP: Final = 127
_LEAST: Final = 8
"""Numbers below which no vector says anything."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A category: the direction of its pictures, a signed byte for each number of a vector, and the least cosine to be of it."""

    category: str
    threshold: float
    direction: bytes

    def takes(self, embedding: bytes) -> bool:
        """Say whether a picture with this embedding is of the category; one of another length never is."""
        direction = unit(self.direction)
        return len(embedding) == 4 * len(direction) and float(direction @ np.frombuffer(embedding, "<f4")) >= self.threshold


def embedder_of(asked: str) -> str:
    """Return the fingerprint of what gave its vector to an image that was asked about as `asked`."""
    last = asked.rpartition("|")[2]
    return last.removeprefix("cascade:").partition(">")[0] if last.startswith("cascade:") else last


def direction(vectors: Vector) -> bytes:
    """Return the mean direction of vectors, shape (n, length), in signed bytes."""
    mean = vectors.sum(axis=0, dtype=np.float64)
    most = float(np.abs(mean).max()) or 1.0
    return np.rint(mean * (_TOP / most)).astype(np.int8).tobytes()


@functools.lru_cache(1024)
def unit(direction_: bytes) -> Vector:
    """Return a direction as a vector of length one."""
    numbers = np.frombuffer(direction_, np.int8).astype(np.float32)
    return numbers / max(float(np.linalg.norm(numbers)), 1e-12)


def spelled(direction_: bytes) -> str:
    """Return a direction as text."""
    return base64.b64encode(direction_).decode()


def read(text: str) -> bytes:
    """Return the direction that a text spells, whatever its line breaks. Raises ValueError for any other text."""
    try:
        found = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is no direction: teach it again") from error
    if len(found) < _LEAST or not any(found):
        raise ValueError("it is no direction: teach it again")
    return found
