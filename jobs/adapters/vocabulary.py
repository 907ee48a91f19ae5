"""From the probabilities of a model's classes to tags and a caption, by way of hypernyms.

A model that wavers between "hen 0.3" and "cock 0.3" still knows that it sees a bird: each tag word has the sum
of the probabilities of all classes below it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jobs.model import Tag

LEAST: Final = 0.15
"""Confidence below which a word is no tag: lower ones named few more subjects of the photos that it was tuned on."""
MOST: Final = 15
"""Tags of one picture."""
SURE: Final = 0.5
"""Confidence from which a caption states its subject; below, down to HINT, it says "possibly"."""
HINT: Final = 0.25
NOTHING: Final = "a picture with no clear subject"

_PARTS: Final = 1_000_000
"""Probabilities are summed as whole millionths, so that no hypernym ends a rounding error below its hyponym."""
_GRAIN: Final = 100


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tag words of a model of `size` classes.

    `words` are ordered from the most specific (fewest classes) to the most general; `starts` and `members` list for each
    word the classes that it covers, one run after the other; `phrases` are the words as a caption says them.
    """

    size: int
    words: tuple[str, ...]
    phrases: Mapping[str, str]
    starts: NDArray[np.intp] = field(repr=False)
    members: NDArray[np.intp] = field(repr=False)
    ranks: Mapping[str, int] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what tools/build_vocabulary.py writes. Raises OSError, ValueError or KeyError for other files."""
        with gzip.open(path, "rt", encoding="utf-8") as file:
            content: dict[str, Any] = json.load(file)
        return cls.of(len(content["classes"]), content["tags"], frozenset(content["bare"]))

    @classmethod
    def of(cls, size: int, tags: Sequence[tuple[str, str, Sequence[int]]], bare: Collection[str] = ()) -> Vocabulary:
        """Make a vocabulary of (word, its spelling in a caption, its classes), of equally specific words the better ones first.

        `bare` words take no article.
        """
        ordered = sorted(tags, key=lambda tag: len(tag[2]))
        words = tuple(word for word, _, _ in ordered)
        counts = [len(classes) for _, _, classes in ordered]
        return cls(
            size=size,
            words=words,
            phrases={word: label if word in bare else f"{article(label)} {label}" for word, label, _ in ordered},
            starts=np.cumsum([0, *counts[:-1]], dtype=np.intp),
            members=np.array([number for _, _, classes in ordered for number in classes], dtype=np.intp),
            ranks={word: rank for rank, word in enumerate(words)},
        )

    def tags(self, probs: NDArray[np.float32]) -> tuple[Tag, ...]:
        """Return the tags of one picture from its probabilities, shape (size,).

        At most MOST, none below LEAST; confidence is rounded to four decimals and descends, and of equally sure words the
        more specific comes first.
        """
        return self.batch(probs[np.newaxis])[0]

    def batch(self, probs: NDArray[np.float32]) -> list[tuple[Tag, ...]]:
        """Return the tags of each picture from probabilities of shape (pictures, size)."""
        parts = np.rint(probs * _PARTS).astype(np.int64)
        sums = np.add.reduceat(parts[:, self.members], self.starts, axis=1)
        return [self._chosen(row) for row in np.minimum(sums, _PARTS)]

    def _chosen(self, sums: NDArray[np.int64]) -> tuple[Tag, ...]:
        rounded = (sums + _GRAIN // 2) // _GRAIN
        (found,) = np.nonzero(rounded >= LEAST * _PARTS // _GRAIN)
        # Words are ordered by specificity, so a stable sort leaves the more specific of equals in front.
        best = found[np.argsort(-rounded[found], kind="stable")][:MOST]
        return tuple(Tag(self.words[at], int(rounded[at]) * _GRAIN / _PARTS) for at in best)

    def caption(self, tags: Sequence[Tag]) -> tuple[str, float]:
        """Return a short phrase that claims no more than the tags do, and its confidence.

        It names the most specific tag that is SURE, else the likeliest of the most specific ones as a possibility.
        """
        sure = [tag for tag in tags if tag.confidence >= SURE]
        if sure:
            subject = min(sure, key=self._generality)
            return f"a photo of {self.phrases[subject.name]}", subject.confidence
        hints = [tag for tag in tags if tag.confidence >= HINT]
        if hints:
            subject = min(hints, key=self._generality)
            return f"possibly {self.phrases[subject.name]}", subject.confidence
        return NOTHING, 0.0

    def _generality(self, tag: Tag) -> int:
        return self.ranks[tag.name]


def article(phrase: str) -> str:
    """Return "a" or "an", by the sound that the phrase begins with."""
    start = phrase.lower()
    if start.startswith(("uni", "eu", "ut", "us", "one", "uk")):
        return "a"
    return "an" if start.startswith(("a", "e", "i", "o", "u", "hour", "heir", "honest", "atm")) else "a"
