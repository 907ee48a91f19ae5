"""The values that filters take: numbers with units, dates, degrees; and the error that says where one makes no sense."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.errors import Misconfigured

_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?)?)?)?")


class Unclear(Misconfigured):
    """A query that does not make sense, from `start` to `end` of its text."""

    def __init__(self, cause: str, start: int, end: int, *, hint: str = "") -> None:
        super().__init__("search", f"character {start + 1}", cause, hint=hint)
        self.start = start
        self.end = end


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was written, without its quotes, from `start` to `end` of the text."""

    text: str
    quoted: bool
    start: int
    end: int

    def unclear(self, cause: str, hint: str = "") -> Unclear:
        """Return the error that this value cannot be understood."""
        return Unclear(cause, self.start, self.end, hint=hint)


def number(value: Value, text: str, units: Mapping[str, float]) -> float:
    """Return a number with one of these units, in the first of them. Raises Unclear."""
    found = _NUMBER.fullmatch(text)
    if found is None or found[2].lower() not in units:
        known = ", ".join(unit for unit in units if unit)
        raise value.unclear(f"{text!r} is no number" + (f" of {known}" if known else ""))
    return float(found[1]) * units[found[2].lower()]


def period(value: Value) -> tuple[datetime, datetime]:
    """Return when a year, month, day, minute or second begins and ends (exclusive)."""
    found = _DATE.fullmatch(value.text)
    hint = "A date reads 2026, 2026-03, 2026-03-31 or 2026-03-31T18:30, in UTC."
    if found is None:
        raise value.unclear(f"{value.text!r} is no date", hint)
    parts = [int(part) for part in found.groups() if part is not None]
    try:
        begin = datetime(*[*parts, 1, 1][: max(len(parts), 3)], tzinfo=UTC)  # type: ignore[misc,arg-type]  # three to six numbers
        return begin, _end(begin, len(parts))
    except (ValueError, OverflowError) as error:
        raise value.unclear(f"there is no {value.text}", hint) from error


def _end(begin: datetime, parts: int) -> datetime:
    if parts == 1:
        return begin.replace(year=begin.year + 1)
    if parts == 2:  # noqa: PLR2004  # year and month
        return (begin + timedelta(days=31)).replace(day=1)
    return begin + {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}[parts]


def degrees(value: Value, most: int) -> float:
    """Return a number of degrees. Raises Unclear."""
    if not re.fullmatch(r"[-+]?\d{1,3}(\.\d{1,12})?", value.text) or abs(float(value.text)) > most:
        raise value.unclear(f"{value.text!r} is no number of degrees from -{most} to {most}", "As in near:52.52,13.40,10km.")
    return float(value.text)
