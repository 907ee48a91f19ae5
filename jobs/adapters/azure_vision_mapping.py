"""From the JSON of Image Analysis 4.0 to an analysis; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jobs.model import Analysis, Box, Crop, Facts, Line, Region, Tag

Json = Mapping[str, Any]

SURE: Final = 0.5
"""Confidence from which a phrase made of a tag states it; below it says "possibly"."""
NOTHING: Final = "a picture with no clear subject"


Place = Callable[[float, float], tuple[int, int]]
"""Where a point (x, y) of the picture that the service saw lies in the picture as shown."""


_TURNS: Final[Mapping[int, Callable[[float, float], tuple[float, float]]]] = {
    5: lambda x, y: (y, x),
    6: lambda x, y: (1 - y, x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (y, 1 - x),
}
"""By EXIF orientation, from a picture that lies on its side to the same as shown, in shares of its width and height."""


def lying(found: Json, facts: Facts) -> bool:
    """Say whether the service saw the picture on its side: as it is stored, and not as EXIF says that it is shown."""
    width, height = _size(found)
    return width != height and (width > height) == (facts.width < facts.height)


def mapped(found: Json, facts: Facts, *, orientation: int = 1) -> Analysis:
    """Return the analysis that an answer stands for. Raises LookupError, TypeError or ValueError for what is no such answer.

    Places are scaled from the size that the service saw to the size as shown, so they fit also when a smaller copy was sent;
    `orientation` is EXIF's, for a picture that the service saw lying.
    """
    tags = _tags(found.get("tagsResult"))
    caption, confidence = _caption(found.get("captionResult"), tags)
    place = _placing(found, facts, orientation)
    dense, people = _values(found, "denseCaptionsResult"), _values(found, "peopleResult")
    return Analysis(
        tags=tags,
        caption=caption,
        caption_confidence=confidence,
        facts=facts,
        answered=str(found["modelVersion"]),
        objects=_ordered(_object(value, place) for value in _values(found, "objectsResult") if value["tags"]),
        people=_ordered(Region("person", _share(value), _box(value, place)) for value in people),
        regions=_ordered(Region(str(value["text"]), _share(value), _box(value, place)) for value in dense),
        text=tuple(_line(line, place) for line in _lines(found.get("readResult"))),
        crops=tuple(Crop(float(value["aspectRatio"]), _box(value, place)) for value in _values(found, "smartCropsResult")),
    )


def _values(found: Json, name: str) -> list[Json]:
    part = found.get(name)
    return list(part["values"]) if part else []


def _share(value: Json) -> float:
    """Return a confidence, kept within 0 and 1: it comes as float32, and 1.0000001 was seen of such services."""
    return min(max(float(value["confidence"]), 0.0), 1.0)


def _tags(part: Json | None) -> tuple[Tag, ...]:
    """Return the tags, descending; of two with one name the surer one."""
    best: dict[str, float] = {}
    for value in part["values"] if part else []:
        name = str(value["name"])
        best[name] = max(best.get(name, 0.0), _share(value))
    return tuple(Tag(name, share) for name, share in sorted(best.items(), key=lambda item: -item[1]))


def _caption(part: Json | None, tags: tuple[Tag, ...]) -> tuple[str, float]:
    """Return the caption, or where none was asked for a phrase that claims no more than the best tag does."""
    if part:
        return str(part["text"]), _share(part)
    if not tags:
        return NOTHING, 0.0
    best = tags[0]
    return f"a picture of {best.name}" if best.confidence >= SURE else f"possibly {best.name}", best.confidence


def _object(value: Json, place: Place) -> Region:
    """Return an object by the surest of its names."""
    best = max(value["tags"], key=_share)
    return Region(str(best["name"]), _share(best), _box(value, place))


def _ordered(regions: Iterable[Region]) -> tuple[Region, ...]:
    return tuple(sorted(regions, key=lambda region: -region.confidence))


def _size(found: Json) -> tuple[int, int]:
    width, height = int(found["metadata"]["width"]), int(found["metadata"]["height"])
    if min(width, height) < 1:
        raise ValueError(f"a picture of {width} x {height} pixels")
    return width, height


def _upright(x: float, y: float) -> tuple[float, float]:
    return x, y


def _placing(found: Json, facts: Facts, orientation: int) -> Place:
    width, height = _size(found)
    turn = _TURNS.get(orientation, _upright)

    def place(x: float, y: float) -> tuple[int, int]:
        across, down = turn(x / width, y / height)
        return round(across * facts.width), round(down * facts.height)

    return place


def _box(value: Json, place: Place) -> Box:
    box = value["boundingBox"]
    one, other = place(box["x"], box["y"]), place(box["x"] + box["w"], box["y"] + box["h"])
    left, top = min(one[0], other[0]), min(one[1], other[1])
    return Box(left, top, abs(other[0] - one[0]), abs(other[1] - one[1]))


def _lines(part: Json | None) -> list[Json]:
    return [line for block in part["blocks"] for line in block["lines"]] if part else []


def _line(line: Json, place: Place) -> Line:
    """Return a line, as sure as the mean of its words: the service tells no confidence of a line."""
    shares = [_share(word) for word in line.get("words", ())]
    outline = tuple(place(point["x"], point["y"]) for point in line["boundingPolygon"])
    return Line(str(line["text"]), sum(shares) / len(shares) if shares else 0.0, outline)
