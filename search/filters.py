"""What each filter of the search box means: from names and values to a typed query, with errors that say where and how."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from search.query import Area, Copies, Near, Query, Sort
from search.values import Unclear, Value, degrees, number, period

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_LENGTHS = {"": 1.0, "km": 1.0, "m": 0.001, "mi": 1.609344}
_GRAIN = 1e-9
_ID = re.compile("[0-9a-f]{64}")
_HALF_WAY = 20_037.6
"""Kilometres from a place to the one farthest from it."""


@dataclass(slots=True)
class Draft:
    """A query in the making: fields of `Query` by name, and who said what may be said only once."""

    words: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    def query(self) -> Query:
        """Return the query."""
        return Query(text=" ".join(self.words), **self.fields)

    def add(self, name: str, values: Sequence[str]) -> None:
        """Ask for these values as well."""
        self.fields[name] = (*self.fields.get(name, ()), *values)

    def once(self, name: str, value: object, at: Value, hint: str) -> None:
        """Ask for what can be asked for only once."""
        if self.fields.get(name, value) != value:
            raise at.unclear("this was asked for already, otherwise", hint)
        self.fields[name] = value

    def least(self, name: str, value: Any) -> None:
        """Raise a lower bound."""
        self.fields[name] = max(value, self.fields.get(name, value))

    def most(self, name: str, value: Any) -> None:
        """Lower an upper bound."""
        self.fields[name] = min(value, self.fields.get(name, value))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a filter is given: its sign, whether a minus stands before it, and at least one value."""

    name: str
    sign: str
    negated: bool
    values: Sequence[Value]

    @property
    def texts(self) -> tuple[str, ...]:
        """The values as texts."""
        return tuple(value.text for value in self.values)


@dataclass(frozen=True, slots=True)
class Filter:
    """How a filter reads, what it is for, an example, and whether it takes a minus and a sign."""

    read: Callable[[Draft, Asked], None]
    about: str
    example: str
    minus: bool = False
    sign: bool = False
    most: int | None = None


def meant(draft: Draft, name: str, values: Sequence[Value], *, sign: str, negated: bool, start: int, end: int) -> None:
    """Add a clause to the draft; one without a name is a word or a phrase. Raises Unclear."""
    if not name:
        _said(draft, values[0], negated=negated)
        return
    known = FILTERS.get(ALIASES.get(name, name))
    if known is None:
        near = difflib.get_close_matches(name, [*FILTERS, *ALIASES], 1)
        guess = f"Did you mean {near[0]}:? " if near else ""
        raise Unclear(f"there is no filter {name}:", start, end, hint=f"{guess}To search for the words, put them in quotes.")
    if negated and not known.minus:
        raise Unclear(f"{name}: cannot be taken back by a minus", start, end, hint="Words, phrases, tag: and has: can.")
    if sign and not known.sign:
        raise Unclear(f"{name}: takes no {sign}", start, end, hint=f"It reads {known.example}.")
    if known.most is not None and len(values) != known.most:
        few = "one value" if known.most == 1 else f"{known.most} values, with commas between"
        raise Unclear(f"{name}: takes {few}", start, end, hint=f"It reads {known.example}.")
    known.read(draft, Asked(name, sign, negated, values))


def _said(draft: Draft, value: Value, *, negated: bool) -> None:
    if negated:
        draft.add("phrases_none" if value.quoted else "words_none", [value.text])
        return
    draft.words.append(value.text)
    if value.quoted:
        draft.add("phrases", [value.text])


def _tag(draft: Draft, asked: Asked) -> None:
    if asked.negated:
        draft.add("tags_none", asked.texts)
    elif len(asked.values) == 1:
        draft.add("tags_all", asked.texts)
    else:
        draft.once(
            "tags_any", asked.texts, asked.values[0], "Alternatives can be given once; all other tags each by a tag: of its own."
        )


def _every(name: str) -> Callable[[Draft, Asked], None]:
    """Return the reading of a filter whose values are all required."""
    return lambda draft, asked: draft.add(name, asked.texts)


def _one(name: str, spelling: Callable[[str], str] = str) -> Callable[[Draft, Asked], None]:
    """Return the reading of a filter of whose values one is enough."""

    def read(draft: Draft, asked: Asked) -> None:
        values = tuple(spelling(text) for text in asked.texts)
        draft.once(name, values, asked.values[0], f"Several in one: {asked.name}:{values[0]},…")

    return read


def _property(draft: Draft, asked: Asked) -> None:
    for value in asked.values:
        if "=" not in value.text:
            raise value.unclear("a property has a name and a value", "It reads property:season=ss26.")
    draft.add("properties", asked.texts)


def _has(draft: Draft, asked: Asked) -> None:
    for value in asked.values:
        if value.text not in ("text", "people"):
            raise value.unclear(f"has: does not know {value.text}", "It reads has:text or has:people.")
        draft.once(f"has_{value.text}", not asked.negated, value, "Leave one of the two out.")


def _prefix(draft: Draft, asked: Asked) -> None:
    draft.once("prefix", asked.texts[0], asked.values[0], "A name has one beginning.")


def _size(draft: Draft, asked: Asked) -> None:
    low, high = _bounds(asked, _SIZES)
    if low is not None:
        draft.least("min_size", low)
    if high is not None:
        draft.most("max_size", high)


def _side(name: str) -> Callable[[Draft, Asked], None]:
    def read(draft: Draft, asked: Asked) -> None:
        low, high = _bounds(asked, {"": 1, "px": 1})
        if low is None or high is not None:
            raise asked.values[0].unclear(f"{asked.name}: asks for at least so many pixels", f"It reads {asked.name}:>=1000.")
        draft.least(name, low)

    return read


def _bounds(asked: Asked, units: Mapping[str, float]) -> tuple[int | None, int | None]:
    """Return the least and the most whole number that is meant, both inclusive."""
    value = asked.values[0]
    low, dots, high = value.text.partition("..")
    if dots and not asked.sign:
        return (
            None if not low else math.ceil(number(value, low, units)),
            None if not high else math.floor(number(value, high, units)),
        )
    bound = number(value, value.text, units)
    match asked.sign:
        case ">":
            return math.floor(bound) + 1, None
        case ">=":
            return math.ceil(bound), None
        case "<":
            return None, math.ceil(bound) - 1
        case "<=":
            return None, math.floor(bound)
    raise value.unclear("say from where or up to where", f"As in {asked.name}:>{value.text} or {asked.name}:<{value.text}.")


def _confidence(draft: Draft, asked: Asked) -> None:
    value = asked.values[0]
    bare = value.text.removesuffix("%")
    share = number(value, bare, {"": 1.0}) / (100 if bare != value.text else 1)
    if asked.sign not in (">", ">=", "") or not 0 <= share <= 1:
        raise value.unclear("a confidence is a least share from 0 to 1", "It reads confidence:>0.8 or confidence:>80%.")
    draft.least("confidence", share + _GRAIN if asked.sign == ">" else share)


def _date(draft: Draft, asked: Asked) -> None:
    value = asked.values[0]
    first, dots, last = value.text.partition("..")
    begin, end = (Value(text, quoted=False, start=value.start, end=value.end) for text in (first, last if dots else first))
    draft.least("after", period(begin)[0])
    draft.most("before", period(end)[1])


def _after(draft: Draft, asked: Asked) -> None:
    draft.least("after", period(asked.values[0])[0])


def _before(draft: Draft, asked: Asked) -> None:
    draft.most("before", period(asked.values[0])[0])


def _near(draft: Draft, asked: Asked) -> None:
    latitude, longitude, radius = asked.values
    kilometres = number(radius, radius.text, _LENGTHS)
    if not 0 < kilometres <= _HALF_WAY:
        raise radius.unclear("a radius is more than nothing, and at most half way round the earth", "As in 10km or 500m.")
    near = Near(degrees(latitude, 90), degrees(longitude, 180), kilometres)
    draft.once("near", near, latitude, "One circle at a time.")


def _area(draft: Draft, asked: Asked) -> None:
    south, west, north, east = (degrees(value, most) for value, most in zip(asked.values, (90, 180, 90, 180), strict=True))
    if south > north:
        raise asked.values[0].unclear("the south lies north of the north", "It reads area:SOUTH,WEST,NORTH,EAST.")
    draft.once("area", Area(south, west, north, east), asked.values[0], "One area at a time.")


def _group(draft: Draft, asked: Asked) -> None:
    value = asked.values[0]
    if not _ID.fullmatch(value.text):
        raise value.unclear("a group has the id of an image, 64 hex digits", "The page of an image links to its near-duplicates.")
    draft.once("group", value.text, value, "An image is in one group.")


def _copies(draft: Draft, asked: Asked) -> None:
    value = asked.values[0]
    if value.text not in get_args(Copies):
        raise value.unclear(f"copies: does not know {value.text}", "It reads copies:hide or copies:only.")
    draft.once("copies", value.text, value, "Leave one of the two out.")


def _sort(draft: Draft, asked: Asked) -> None:
    value = asked.values[0]
    if value.text not in get_args(Sort):
        raise value.unclear(f"there is no order {value.text}", f"Orders are {', '.join(get_args(Sort))}.")
    draft.once("sort", value.text, value, "One order at a time.")


FILTERS: Mapping[str, Filter] = {
    "tag": Filter(_tag, "has this tag; with commas: one of these", "tag:beach or tag:cat,dog", minus=True),
    "confidence": Filter(_confidence, "the tag is at least so sure", "confidence:>0.8", sign=True, most=1),
    "category": Filter(_every("categories"), "is of this category", "category:footwear"),
    "property": Filter(_property, "comes with this property", "property:season=ss26"),
    "object": Filter(_every("objects"), "shows this object", "object:car"),
    "colour": Filter(_every("colours"), "is mostly of this colour", "colour:red"),
    "has": Filter(_has, "has text or people in it", "has:people or -has:text", minus=True),
    "after": Filter(_after, "taken (else changed) on this day or later", "after:2026-01-31", most=1),
    "before": Filter(_before, "taken (else changed) before this day", "before:2026", most=1),
    "date": Filter(_date, "taken (else changed) in this year, month, or on this day", "date:2026-03 or date:2024..2025", most=1),
    "near": Filter(_near, "taken within so far of a place", "near:52.52,13.40,10km", most=3),
    "area": Filter(_area, "taken between parallels and meridians", "area:47.3,5.9,55.1,15.0", most=4),
    "size": Filter(_size, "the file has so many bytes", "size:>2mb or size:100kb..1mb", sign=True, most=1),
    "width": Filter(_side("min_width"), "is at least so many pixels wide", "width:>=1000", sign=True, most=1),
    "height": Filter(_side("min_height"), "is at least so many pixels high", "height:>=1000", sign=True, most=1),
    "format": Filter(_one("formats", str.upper), "is a file of this format", "format:png,webp"),
    "folder": Filter(_one("folders"), "lies in just this folder", "folder:catalog/ss26"),
    "in": Filter(_prefix, "its name begins with this", "in:catalog/", most=1),
    "camera": Filter(_one("cameras"), "was taken with this camera", 'camera:"Canon EOS R5"'),
    "classifier": Filter(_one("classifiers"), "was classified by this", "classifier:azure-vision"),
    "copies": Filter(_copies, "hides near-duplicates of a better picture, or shows nothing else", "copies:hide", most=1),
    "group": Filter(_group, "is a near-duplicate in this group", f"group:{'0123456789abcdef' * 4}", most=1),
    "sort": Filter(_sort, "order of the results", "sort:newest", most=1),
}
"""Every filter, by its name."""

ALIASES: Mapping[str, str] = {"color": "colour", "year": "date", "prefix": "in", "box": "area", "is": "category"}
"""Other names that people try."""
