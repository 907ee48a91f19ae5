"""What the service matches and ranks by: the words of `search.words`, cut here, stemmed there.

The service's own analyzers cut texts in their own way, so what they find would depend on the index. These three texts hold
words that are parted by spaces, and the analyzer of their fields does no more than split at the spaces and stem.

`words` decides what is found. `weighed` decides the order: BM25 without length normalisation grows with the number of times
that a word occurs, so a word is repeated the more often the more it is worth (`search.scoring`, in quarters). `whole` holds every
tag between two borders, which no word can be, so that a phrase with borders finds tags of just these words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from search.document import SearchDocument
from search.phrases import BORDER, MOST_TEXT, said
from search.scoring import CAPTION, KIND, NAME, TEXT, exact, step, within
from search.words import forms, words

_UNIT = 0.25


def texts(document: SearchDocument) -> dict[str, str]:
    """Return the texts of the fields `words`, `weighed`, `whole` and `said` (see `search.phrases`)."""
    weights = _weights(document)
    return {
        "words": " ".join(weights),
        "weighed": " ".join(" ".join([word] * round(weight / _UNIT)) for word, weight in weights.items()),
        "whole": " ".join(_whole(document)),
        "said": said(document),
    }


def _weights(document: SearchDocument) -> dict[str, float]:
    """Return what each word of the document is worth. Of tags that say the same, the surest counts, once."""
    kinds = " ".join((*document.categories, *document.objects))
    read = "\n".join((document.text[:MOST_TEXT], *document.properties))
    plain = ((document.caption, CAPTION), (kinds, KIND), (read, TEXT), (document.name, NAME))
    weights: dict[str, float] = {}
    for text, worth in plain:
        for form in forms(text):
            weights[form] = weights.get(form, 0.0) + worth
    for word, worth in (*_surest(_exactly(document)), *_surest(_within(document))):
        weights[word] = weights.get(word, 0.0) + worth
    return weights


def _surest(worths: Iterable[tuple[str, float]]) -> Sequence[tuple[str, float]]:
    """Return each word with what it is worth, of those that are one word to the service only the one that is worth most."""
    best: dict[str, tuple[str, float]] = {}
    rest: dict[str, float] = {}
    for word, worth in worths:
        stemmed = _singular(word)
        rest[word] = 0.0
        if worth > best.get(stemmed, ("", 0.0))[1]:
            best[stemmed] = (word, worth)
    return [*(rest | dict(best.values())).items()]


def _exactly(document: SearchDocument) -> Iterator[tuple[str, float]]:
    """Yield the words that are a whole tag."""
    for tag in document.tags:
        whole, _ = _cut(tag.name)
        if len(whole) == 1:
            yield whole[0], exact(step(tag.confidence))


def _within(document: SearchDocument) -> Iterator[tuple[str, float]]:
    """Yield the words that are a part of a tag."""
    for tag in document.tags:
        for form in _cut(tag.name)[1]:
            yield form, within(step(tag.confidence))


def _whole(document: SearchDocument) -> Iterator[str]:
    """Yield the words of each tag of several words between borders, the more often the surer it is."""
    for tag in document.tags:
        whole, _ = _cut(tag.name)
        if len(whole) > 1:
            yield from [" ".join((BORDER, *whole, BORDER))] * (1 + step(tag.confidence) // 16)


@lru_cache(65536)
def _cut(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words of a tag, and the forms that are only a part of it; most tags are those of many images."""
    whole = tuple(word.whole for word in words(name))
    return whole, tuple(form for form in forms(name) if len(whole) > 1 or form != whole[0])


def _singular(word: str) -> str:
    """Bring the commonest spellings of one word together; the service stems only after the weights were given."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
