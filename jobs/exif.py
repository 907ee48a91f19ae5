"""What a camera wrote about a picture, read as if it were written to harm: what cannot be believed is left out."""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any, Final, TypeVar

from PIL import Image

T = TypeVar("T")
Tags = Mapping[int, Any]
Place = tuple[float | None, float | None]

FIRST_YEAR: Final = 1826
"""The year of the oldest photograph that is left."""
LAST_YEAR: Final = 2100
LONGEST: Final = 100
"""Characters of a string that are kept."""

_ORIENTATION, _MAKE, _MODEL, _CHANGED = 0x0112, 0x010F, 0x0110, 0x0132
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_TAKEN: Final = ((0x9003, 0x9011), (0x9004, 0x9012))
_OFFSET: Final = 0x9010
_WHEN: Final = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_ZONE: Final = re.compile(r"([+-])(\d\d):(\d\d)")
_FAULTS: Final = (
    OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError,
    RuntimeError, AssertionError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exif:
    """The believable part of a picture's metadata. `orientation` is EXIF's, from 1 to 8; coordinates come both or not at all."""

    orientation: int = 1
    taken: datetime | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def read_exif(image: Image.Image) -> Exif:
    """Read the metadata of a loaded image; never raises for what the file says."""
    tags: Tags = _believe(lambda: dict(image.getexif()), {})
    if not tags:
        return Exif()
    detail: Tags = _believe(lambda: dict(image.getexif().get_ifd(_EXIF_IFD)), {})
    gps: Tags = _believe(lambda: dict(image.getexif().get_ifd(_GPS_IFD)), {})
    nowhere: Place = (None, None)
    latitude, longitude = _believe(lambda: _place(gps), nowhere)
    return Exif(
        orientation=_believe(lambda: _orientation(tags), 1),
        taken=_believe(lambda: _taken(tags, detail), None),
        camera=_believe(lambda: _camera(tags), None),
        latitude=latitude,
        longitude=longitude,
    )


def _believe(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except _FAULTS:
        return otherwise


def _orientation(tags: Tags) -> int:
    value = tags.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004 - the eight of the standard


def _clean(value: Any) -> str:
    """Return a string without control characters, lone surrogates and surplus blanks; "" for other types."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return ""
    head = text[: 4 * LONGEST].split("\0", 1)[0]
    shown = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") else char for char in head)
    return " ".join(shown.split())


def _camera(tags: Tags) -> str | None:
    """Return make and model in one, the make once: "NIKON CORPORATION" and "NIKON D90" are a "NIKON D90"."""
    make, model = _clean(tags.get(_MAKE)), _clean(tags.get(_MODEL))
    brand = make.split(" ", 1)[0].lower()
    both = model if brand and model.lower().startswith(brand) else f"{make} {model}"
    return both.strip()[:LONGEST].strip() or None


def _taken(tags: Tags, detail: Tags) -> datetime | None:
    """Return the first believable of original, digitised and changed time, in UTC."""
    told = [(detail.get(when), detail.get(zone)) for when, zone in _TAKEN] + [(tags.get(_CHANGED), detail.get(_OFFSET))]
    return next((moment for when, zone in told if (moment := _believe(partial(_moment, when, zone), None))), None)


def _moment(when: Any, zone: Any) -> datetime | None:
    match = _WHEN.match(_clean(when))
    if match is None:
        return None
    offset = _ZONE.fullmatch(_clean(zone))
    shift = timedelta(hours=int(offset[2]), minutes=int(offset[3])) if offset else timedelta()
    shift = -shift if offset and offset[1] == "-" else shift
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone(shift)).astimezone(UTC)


def _place(gps: Tags) -> Place:
    """Return latitude and longitude in degrees; none for 0, 0, which cameras write where they have no fix."""
    latitude = _degrees(gps[2], {"N": 1, "S": -1}[_clean(gps[1]).upper()], 90)
    longitude = _degrees(gps[4], {"E": 1, "W": -1}[_clean(gps[3]).upper()], 180)
    return (None, None) if latitude == longitude == 0 else (latitude, longitude)


def _degrees(parts: Any, sign: int, most: int) -> float:
    """Return degrees, minutes and seconds as degrees to seven decimals (a centimetre); raises ValueError where out of range."""
    degrees, minutes, seconds = (float(part) for part in parts)
    value = sign * (degrees + minutes / 60 + seconds / 3600)
    if not (math.isfinite(value) and abs(value) <= most):
        raise ValueError(value)
    return round(value, 7)
