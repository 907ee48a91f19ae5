"""What an image says, in order: the text in which phrases are found, the same for every index.

Words are spelled as `search.words` cuts them, without stems and parts. Texts are parted by a border, so that no phrase reaches from
one into the next.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

from search.document import SearchDocument
from search.words import words

BORDER = "_"
"""Before and after every text: `search.words` never yields an underscore."""

MOST_TEXT = 100_000
"""Characters read in one image that can be searched: more than a printed page has."""


def said(document: SearchDocument) -> str:
    """Return all words of the document in order, with spaces and borders between; a border at least."""
    several = chain(document.tag_names, document.categories, document.objects, document.properties)
    single = (_bordered(text) for text in (document.caption, document.name, document.text[:MOST_TEXT]))
    return f"{BORDER}{''.join(dict.fromkeys(chain(single, map(_known, several))))}"


def spelled(text: str) -> tuple[str, ...]:
    """Return the words of a phrase, each with its neighbours and repetitions."""
    return tuple(word.whole for word in words(text))


def _bordered(text: str) -> str:
    found = " ".join(spelled(text))
    return f" {found} {BORDER}" if found else ""


@lru_cache(65536)
def _known(text: str) -> str:
    """Return the same for what many images have in common."""
    return _bordered(text)
