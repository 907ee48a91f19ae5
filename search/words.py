"""Text as the words that are matched: the same for what is indexed and for what is asked, whatever the text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, pairwise

_LONGEST = 100
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u2600-\u27bf\U0001f300-\U0001faff"
_RUN = re.compile(f"[{_SINGLE}]|[^\\W_{_SINGLE}]+")

STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from has have if in into is it its no not of on or such that the their then there"
        " these they this to was were will with",
    )
)
"""English words that a query with any other word does without: captions are sentences, and people do not quote them."""


@dataclass(frozen=True, slots=True)
class Word:
    """A run of letters and digits, in lower case and without accents.

    `parts` are its pieces at the borders of digits and of camel case (`DogFood2` has `dog`, `food`, `2`); empty if there is one.
    `forms` are the whole and its parts.
    """

    whole: str
    parts: tuple[str, ...] = ()
    forms: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "forms", (self.whole, *self.parts))


def words(text: str) -> tuple[Word, ...]:
    """Split any text into its words. An ideograph, a kana or an emoji is a word of its own."""
    return tuple([_word(run[:_LONGEST]) for run in _RUN.findall(text if text.isascii() else _plain(text))])


def asked(text: str) -> tuple[Word, ...]:
    """Return the words that a query for this text has to find: distinct, and without stop words if there are any others."""
    distinct = tuple(dict.fromkeys(words(text)))
    return tuple(word for word in distinct if word.whole not in STOP) or distinct


def forms(text: str) -> tuple[str, ...]:
    """Return every form by which a word of this text can be found, distinct."""
    return tuple(dict.fromkeys(chain.from_iterable(word.forms for word in words(text))))


def _plain(text: str) -> str:
    return "".join(character for character in unicodedata.normalize("NFKD", text) if unicodedata.category(character) != "Mn")


@lru_cache(65536)
def _word(run: str) -> Word:
    if run.isdecimal() or (run.isalpha() and (run.islower() or run.isupper())):
        return Word(run.casefold())
    borders = [0, *(at for at in range(1, len(run)) if _border(run, at)), len(run)]
    parts = tuple(run[start:end].casefold() for start, end in pairwise(borders))
    return Word(run.casefold(), parts if len(parts) > 1 else ())


def _border(run: str, at: int) -> bool:
    before, after = run[at - 1], run[at]
    if before.isdigit() != after.isdigit():
        return True
    if not after.isupper():
        return False
    return before.islower() or (before.isupper() and run[at + 1 : at + 2].islower())
