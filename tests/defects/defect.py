"""What a planted defect is."""

from __future__ import annotations

from dataclasses import dataclass

FALLBACK = range(6000)
"""The worlds that are looked at when those in which a defect used to die show it no longer: a change of the code shifts seeds."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A mistake that a programmer might make: `edits` are pairs of an exact text of `file`, which is there once, and its new text.

    `promise` is what it breaks. It dies in one of the simulated worlds of `seeds`, or in the pytest `test`; in both cases the
    message matches the expression `says`, so that it is caught by what it breaks, and not by a crash that it happens to cause.
    """

    name: str
    promise: str
    file: str
    edits: tuple[tuple[str, str], ...]
    says: str
    seeds: range = FALLBACK
    test: str = ""


def lines(*text: str) -> str:
    """Return whole lines of a source."""
    return "".join(f"{line}\n" for line in text)
