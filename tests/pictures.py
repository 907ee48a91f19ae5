"""Records to search for, and the laws' ways to make them and to ask for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from jobs.model import Analysis, Box, Facts, Line, Outcome, Record, Region, Tag, blob_id
from search.query import FACETS, Area, Near, Query

PHOTOS = "folder:/photos"
JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
BOX = Box(0, 0, 10, 10)
WORDS = ("dog", "cat", "beach", "red", "car")
TAGS = ("dog", "cat", "hot dog", "beach", "red car", "Dog")
NAMES = (
    "dog_food.jpg",
    "DogFood2.jpg",
    "a/cat.jpg",
    "a/dog.jpg",
    "a-b/beach.jpg",
    "a/b/red car.jpg",
    "a/b/x.jpg",
    "q\"uo'te\n.png",
    "🐶/שלום.png",
    "é.gif",
    "nul\0.gif",
    "nul",
    "long/" + "x" * 70 + "/dog.jpg",
    "long/" + "x" * 70 + "y.jpg",
)


def picture(
    name: str,
    *tags: tuple[str, float],
    caption: str = "",
    source: str = PHOTOS,
    size: int = 1000,
    taken: datetime | None = None,
    modified: datetime = JANUARY,
    format: str = "JPEG",  # noqa: A002  # the name of the field
    colours: tuple[str, ...] = (),
    camera: str | None = None,
    rev: int = 1,
    categories: tuple[str, ...] = (),
    properties: tuple[tuple[str, str], ...] = (),
    text: tuple[str, ...] = (),
    objects: tuple[str, ...] = (),
    people: int = 0,
    place: tuple[float, float] | None = None,
    classifier: str = "fake:1",
    sides: tuple[int, int] = (640, 480),
    group: str = "",
    sketch: str = "",
) -> Record:
    """Return a classified record with these tags."""
    latitude, longitude = place or (None, None)
    facts = Facts(*sides, format, colours, taken=taken, camera=camera, latitude=latitude, longitude=longitude, sketch=sketch)
    analysis = Analysis(
        tuple(Tag(*tag) for tag in tags), caption, 0.5, facts, "model 1",
        text=tuple(Line(line, 0.9) for line in text),
        objects=tuple(Region(name, 0.9, BOX) for name in objects),
        people=(Region("person", 0.9, BOX),) * people,
    )  # fmt: skip
    return Record(
        blob_id(source, name), source, name, "e1", modified, size,
        outcome=Outcome.CLASSIFIED, analysis=analysis, analysed="e1", rev=rev, categories=categories, properties=properties,
        asked=classifier, group=blob_id(source, group) if group else "",
    )  # fmt: skip


PLACES = ((52.52, 13.405), (52.39, 13.06), (48.2, 16.37), (-17.8, 178.0), (-16.5, -179.9), (89.9, 10.0), (64.1, -21.9))
"""Berlin, Potsdam, Vienna, both sides of the date line, the North Pole, Reykjavik."""

_shares = st.sampled_from([0.0, 0.05, 0.5, 0.8, 0.80004, 0.99, 1.0]) | st.floats(0, 1).map(lambda share: round(share, 6))
_days = st.integers(-400, 400).map(lambda days: JANUARY + timedelta(days=days, microseconds=days % 7))
_sizes = st.integers(0, 5)
_formats = st.sampled_from(["JPEG", "PNG", "GIF"])
_categories = st.lists(st.sampled_from(["pets", "Beach cars"]), unique=True, max_size=2).map(tuple)
_properties = st.lists(st.sampled_from([("season", "ss26"), ("sku", "1=2")]), unique=True, max_size=2).map(tuple)
pictures = st.builds(
    lambda name, tags, **more: picture(name, *tags, **more),
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.sampled_from(TAGS), _shares), max_size=4),
    caption=st.lists(st.sampled_from([*WORDS, "a", "on"]), max_size=4).map(" ".join),
    source=st.sampled_from([PHOTOS, "folder:/other"]),
    size=_sizes,
    taken=st.none() | _days,
    format=_formats,
    colours=st.lists(st.sampled_from(["red", "blue", "grey"]), max_size=3).map(tuple),
    camera=st.none() | st.sampled_from(["Canon", "Nikon"]),
    rev=st.integers(1, 9),
    categories=_categories,
    properties=_properties,
    text=st.lists(st.sampled_from(["SALE dogs", "50 %", " "]), max_size=2).map(tuple),
    objects=st.lists(st.sampled_from(["dog", "red car", "dog"]), max_size=2).map(tuple),
    people=st.integers(0, 1),
    place=st.none() | st.sampled_from(PLACES),
    classifier=st.sampled_from(["fake:1", "fake:2"]),
    sides=st.sampled_from([(640, 480), (480, 640), (3000, 2000)]),
    group=st.sampled_from(["", *NAMES[:2]]),
)
PHRASES = ("hot dog", "dog on", "red car", "cat", "beach dog", "dogs", "a on", "SALE dogs", "!")
_phrases = st.lists(st.sampled_from(PHRASES), max_size=1).map(tuple)
_areas = st.sampled_from([Area(50, 10, 54, 15), Area(-20, 170, -10, -170), Area(-90, -180, 90, 180), Area(60, -30, 50, 20)])
_circles = st.sampled_from([Near(52.5, 13.3, 30), Near(52.5, 13.3, 600), Near(-17, 179.9, 300), Near(89, -170, 900), Near(0, 0, 1)])
queries = st.builds(
    Query,
    text=st.lists(st.sampled_from([*WORDS, "food", "dogs", "a", "DogFood", "2"]), max_size=3).map(" ".join),
    tags_all=st.lists(st.sampled_from(TAGS), max_size=2).map(tuple),
    phrases=_phrases,
    words_none=st.lists(st.sampled_from([*WORDS, "DogFood", "!"]), max_size=1).map(tuple),
    phrases_none=_phrases,
    tags_any=st.lists(st.sampled_from(TAGS), max_size=2).map(tuple),
    tags_none=st.lists(st.sampled_from(TAGS), max_size=1).map(tuple),
    folders=st.lists(st.sampled_from(["", "a", "a/b"]), max_size=2).map(tuple),
    cameras=st.lists(st.sampled_from(["Canon", "Nikon"]), max_size=2).map(tuple),
    classifiers=st.lists(st.sampled_from(["fake:1", "fake:2"]), max_size=1).map(tuple),
    min_width=st.none() | st.sampled_from([0, 600, 2000]),
    min_height=st.none() | st.sampled_from([0, 600, 2000]),
    colours=st.lists(st.sampled_from(["red", "blue"]), max_size=1).map(tuple),
    objects=st.lists(st.sampled_from(["dog", "red car"]), max_size=1).map(tuple),
    area=st.none() | _areas,
    near=st.none() | _circles,
    confidence=st.just(0.0) | _shares,
    prefix=st.just("") | st.builds(lambda name, end: name[:end], st.sampled_from(NAMES), st.integers(0, 80)),
    after=st.none() | _days,
    before=st.none() | _days,
    formats=st.lists(_formats, max_size=2).map(tuple),
    min_size=st.none() | _sizes,
    max_size=st.none() | _sizes,
    categories=_categories.map(lambda some: some[:1]),
    properties=_properties.map(lambda some: tuple(f"{name}={value}" for name, value in some[:1])),
    has_text=st.sampled_from([None, None, True, False]),
    has_people=st.sampled_from([None, None, True, False]),
    group=st.sampled_from(["", *(blob_id(PHOTOS, name) for name in NAMES[:2]), "no id's"]),
    copies=st.sampled_from(["all", "hide", "only"]),
    facets=st.just(FACETS),
    facet_limit=st.integers(0, 4),
    sort=st.sampled_from(["relevance", "newest", "oldest", "name", "largest", "smallest"]),
    limit=st.integers(0, 5),
    page=st.integers(1, 3),
)
