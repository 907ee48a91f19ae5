"""Properties of a blob: its metadata, its tags, and the parts of its name that a pattern names, as (name, value) pairs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from jobs.errors import Misconfigured

MOST = 64
"""Properties that one blob may have; of more, those from its name come first, then its tags, then its metadata."""

LONGEST = 256
"""Characters that are kept of a name or a value."""

_DROPPED = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, half surrogates, line and paragraph ends


def name_pattern(text: str) -> re.Pattern[str] | None:
    """Compile the pattern whose named groups are properties; None when the text is empty.

    Raises Misconfigured for what is no regular expression, or has no named group.
    """
    if not text:
        return None
    hint = r"It reads like (?P<season>\w+)/(?P<sku>\d{6}): each named group becomes a property."
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise Misconfigured("read", "IMAGESWEEP_NAME_PATTERN", f"{text!r} is no regular expression: {error}", hint=hint) from error
    if not pattern.groupindex:
        raise Misconfigured("read", "IMAGESWEEP_NAME_PATTERN", f"{text!r} has no named group", hint=hint)
    return pattern


def properties(
    name: str, pattern: re.Pattern[str] | None, metadata: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
) -> tuple[tuple[str, str], ...]:
    """Return the distinct properties of the blob `name`, ascending.

    The pattern is looked for anywhere in the name, and may be found once; a group that took no part, or nothing, is no
    property. What the name, tags and metadata say of one property stands side by side.
    """
    found = pattern.search(name) if pattern else None
    parts = found.groupdict() if found else {}
    said = [*parts.items(), *(tags or {}).items(), *(metadata or {}).items()]
    clean = dict.fromkeys((_clean(key), _clean(value)) for key, value in said if value)
    return tuple(sorted([pair for pair in clean if all(pair)][:MOST]))


def _clean(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text[:LONGEST].strip()
    return "".join(character for character in text if unicodedata.category(character) not in _DROPPED)[:LONGEST].strip()
