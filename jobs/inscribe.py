"""Inscribe: put what was taught into the text of a taxonomy file, and leave the rest of it as it is. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence

from jobs.errors import Misconfigured
from jobs.taught import spelled
from jobs.taxonomy import Taxonomy, parse
from jobs.teach import Lesson

_WIDTH = 110
_SECTION = re.compile(r"^examples\s*:", re.MULTILINE)


def new(stem: str) -> str:
    """Return the beginning of a file that is not there yet, by the stem of its name."""
    name = re.sub("[^a-z0-9]+", "-", stem.casefold()).strip("-")[:50].rstrip("-") or "own"
    return f"# Categories taught by example. Rules can be added: docs/operations.md, section Taxonomy.\nname: {name}\nversion: 1\n"


def inscribed(text: str, path: str, *, embedder: str, lessons: Sequence[Lesson]) -> str:
    """Return the text with these examples instead of those that it had; `path` names the file in errors.

    Raises Misconfigured for a text that is no taxonomy by then: nothing but the section `examples` may have changed.
    """
    eol = "\r\n" if "\r\n" in text else "\n"
    section = eol.join(_section(embedder, lessons)) + eol
    start, end = _place(text)
    begin = text[:start] if start < len(text) else text.rstrip() + eol * 2
    made = begin + section + text[end:]
    before = without(text, path)
    after = parse(made, path)
    if not _same(before, after, embedder, lessons):
        hint = "Put the section `examples` at the end of the file, and teach again."
        raise Misconfigured("teach", path, "the examples cannot be put into this file", hint=hint)
    return made


def without(text: str, path: str) -> Taxonomy | None:
    """Return what the text says beside its examples, which may be spoilt; None where it says nothing else.

    Raises Misconfigured for a text that is no taxonomy.
    """
    start, end = _place(text)
    rest = text[:start] + "\n" * text.count("\n", start, end) + text[end:]  # errors name their lines
    return parse(rest, path) if _whole(rest) else None


def _place(text: str) -> tuple[int, int]:
    """Return where the section of the examples begins and ends, the end of the text where there is none."""
    found = _SECTION.search(text)
    return (found.start(), _end(text, found.end())) if found else (len(text), len(text))


def _section(embedder: str, lessons: Sequence[Lesson]) -> Iterator[str]:
    yield "examples:  # by `imagesweep teach`: to change them, teach again"
    yield f"  embedder: {json.dumps(embedder)}"
    yield "  categories:"
    for lesson in lessons:
        yield f"    - category: {json.dumps(lesson.taught.category, ensure_ascii=False)}"
        yield f"      pictures: {lesson.pictures}"
        yield f"      threshold: {lesson.taught.threshold:.4f}"
        yield "      direction: |"
        yield from (f"        {line}" for line in textwrap.wrap(spelled(lesson.taught.direction), _WIDTH))


def _end(text: str, start: int) -> int:
    """Return where the section that begins there ends: before the next line that is neither empty nor indented."""
    at = text.find("\n", start) + 1 or len(text)
    last = at
    while at < len(text):
        line = text[at : (text.find("\n", at) + 1 or len(text))]
        if line.strip() and not line.startswith((" ", "\t")):
            break
        at += len(line)
        last = at if line.strip() else last
    return last


def _whole(text: str) -> bool:
    """Say whether a text is more than the beginning of a file: a taxonomy by itself."""
    return re.search(r"^rules\s*:", text, re.MULTILINE) is not None


def _same(before: Taxonomy | None, after: Taxonomy, embedder: str, lessons: Sequence[Lesson]) -> bool:
    rules = before.rules if before is not None else ()
    return after.rules == rules and after.embedder == embedder and after.taught == tuple(lesson.taught for lesson in lessons)
