"""What a word found is worth, so that an exact tag comes before a category, that before a caption, and a caption before a name.

Every weight is a multiple of 1/256, so that sums are exact in 32-bit floats and ties are ties whatever the order of adding.
"""

from __future__ import annotations

KIND = 1.5
"""A word of a category or of an object's name."""

CAPTION = 1.0
TEXT = 0.75
"""A word that was read in the image, or of its properties."""

NAME = 0.5
PART = 0.5
"""The share of a word that was found by its parts only, as `dog` and `food` for `DogFood`."""

MOST_WORDS = 12
"""How many words of a query weigh in the ranking. All of them are required, however many."""

STEPS = 101


def step(confidence: float) -> int:
    """Return the per cent of a confidence, from 0 to 100: the grain of the ranking."""
    if 0.0 <= confidence < 1.0:
        return int(confidence * 100)
    return min(max(int(min(confidence, 1.0) * 100), 0), STEPS - 1)


def exact(percent: int) -> float:
    """Return the worth of a tag that is just this word: more than anything else that one word can find, and more when surer.

    A tag that is just the words of a longer query is worth this for each of them.
    """
    return 5.0 + percent / 32


def within(percent: int) -> float:
    """Return the worth of a tag of several words that has this word among them."""
    return 2.0 + percent / 128
