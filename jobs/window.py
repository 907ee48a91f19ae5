"""Window: the hours of the day in which runs may work, in a time zone; and times of day as people say them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from jobs.errors import Misconfigured

_MINUTE = timedelta(minutes=1)
_MOST = 2 * 24 * 60
"""Minutes within which every window opens and closes, also where a clock is put forward or back."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `begin` (inclusive) to `end` (exclusive) by the clocks of a time zone, over midnight when `end` is the earlier one."""

    begin: time
    end: time
    zone: tzinfo

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M} ({self.zone})"

    def holds(self, now: datetime) -> bool:
        """Say whether a moment lies inside."""
        local = now.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= local < self.end
        return local >= self.begin or local < self.end

    def opens(self, now: datetime) -> datetime:
        """Return the first full minute from now on that lies inside."""
        return self._first(now, inside=True)

    def closes(self, now: datetime) -> datetime:
        """Return the first full minute from now on that lies outside."""
        return self._first(now, inside=False)

    def _first(self, now: datetime, *, inside: bool) -> datetime:
        start = now.astimezone(UTC).replace(second=0, microsecond=0)
        start += _MINUTE * (start < now)
        return next(minute for n in range(_MOST) if self.holds(minute := start + n * _MINUTE) is inside)


def zone(name: str) -> tzinfo:
    """Return a time zone by its name. Raises Misconfigured for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        hint = "Name one as in Europe/Berlin, or UTC; the machine needs its time zone data (Debian: tzdata)."
        raise Misconfigured("read", "IMAGESWEEP_TIME_ZONE", f"there is no time zone {name!r}", hint=hint) from error


def window(text: str, where: tzinfo) -> Window | None:
    """Read `22:00-06:00`; None when it is empty. Raises Misconfigured for anything else."""
    if not text.strip():
        return None
    begin, dash, end = text.strip().partition("-")
    hours = (_hour(begin), _hour(end)) if dash else (None, None)
    if hours[0] is None or hours[1] is None or hours[0] == hours[1]:
        cause = f"{text!r} is no span of two different times"
        raise Misconfigured("read", "IMAGESWEEP_WINDOW", cause, hint="It reads HH:MM-HH:MM, as in 22:00-06:00.")
    return Window(hours[0], hours[1], where)


def moment(text: str, *, now: datetime, where: tzinfo) -> datetime:
    """Read a time of day (`06:00`: the next one), or a date and time as in ISO 8601; both are local unless it names a zone.

    Raises ValueError for what is neither, and for what is over.
    """
    hour = _hour(text)
    if hour is not None:
        return Window(hour, (datetime.combine(now, hour) + _MINUTE).time(), where).opens(now + timedelta.resolution)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a time of day, as in 06:00, nor a date and time, as in 2026-11-30T06:00") from None
    at = read.replace(tzinfo=where) if read.tzinfo is None else read
    if at <= now:
        raise ValueError(f"{text!r} is over: it is {now.astimezone(where):%Y-%m-%d %H:%M} ({where})")
    return at.astimezone(UTC)


def _hour(text: str) -> time | None:
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text.strip(), re.ASCII)
    return time(int(found[1]), int(found[2])) if found else None
