"""The language of the search box: what clauses mean, what is refused and where, and that no input breaks it."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search.azure_index.compile import compiled
from search.azure_index.schema import definition
from search.filters import ALIASES, FILTERS
from search.language import LONGEST, Parsed, Unclear, parse, spelled
from search.query import Area, Near, Query
from search.tantivy_index.compile import compiled as embedded
from search.tantivy_index.schema import schema
from tests.standins.search_query import State, answer
from tests.standins.search_schema import columns

DEFINITION = definition("images", dimensions=4)
EMPTY = State(DEFINITION, columns(DEFINITION))
SCHEMA = schema()


def asked(text: str) -> dict[str, Any]:
    """Return the fields of the query that are not as in one for everything."""
    query = parse(text).query
    return {one.name: getattr(query, one.name) for one in fields(query) if getattr(query, one.name) != getattr(Query(), one.name)}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # three to six numbers


MEANINGS: dict[str, dict[str, Any]] = {
    "": {},
    "  dog   beach ": {"text": "dog beach"},
    "dog -cat": {"text": "dog", "words_none": ("cat",)},
    '"exact words" x': {"text": "exact words x", "phrases": ("exact words",)},
    '-"hot dog"': {"phrases_none": ("hot dog",)},
    "t-shirt a-b 10:30 AC/DC": {"text": "t-shirt a-b 10:30 AC/DC"},
    "a - b": {"text": "a - b"},
    "tag:beach tag:sea": {"tags_all": ("beach", "sea")},
    'tag:"hot dog",beach': {"tags_any": ("hot dog", "beach")},
    "-tag:a,b": {"tags_none": ("a", "b")},
    r'tag:"say \"hi\" \\"': {"tags_all": ('say "hi" \\',)},
    "TAG:Dog": {"tags_all": ("Dog",)},
    "confidence:>=0.5": {"confidence": 0.5},
    "confidence:80%": {"confidence": 0.8},
    "category:pets property:season=ss26 object:car": {
        "categories": ("pets",),
        "properties": ("season=ss26",),
        "objects": ("car",),
    },
    f"group:{'ab' * 32} copies:only": {"group": "ab" * 32, "copies": "only"},
    "copies:hide": {"copies": "hide"},
    "copies:all": {},
    "colour:red color:blue": {"colours": ("red", "blue")},
    "has:text -has:people": {"has_text": True, "has_people": False},
    "after:2026-01-31": {"after": utc(2026, 1, 31)},
    "before:2026": {"before": utc(2026, 1, 1)},
    "date:2024": {"after": utc(2024, 1, 1), "before": utc(2025, 1, 1)},
    "year:2024 date:2024-12": {"after": utc(2024, 12, 1), "before": utc(2025, 1, 1)},
    "date:2024-02-29": {"after": utc(2024, 2, 29), "before": utc(2024, 3, 1)},
    "date:2024..2025-03": {"after": utc(2024, 1, 1), "before": utc(2025, 4, 1)},
    "date:2024-01-01T18:30": {"after": utc(2024, 1, 1, 18, 30), "before": utc(2024, 1, 1, 18, 31)},
    "near:52.5,-13.4,500m": {"near": Near(52.5, -13.4, 0.5)},
    "area:-20,170,-10,-170": {"area": Area(-20, 170, -10, -170)},
    "size:>2mb": {"min_size": 2_000_001},
    "size:>=2MB size:<3mb": {"min_size": 2_000_000, "max_size": 2_999_999},
    "size:1.5kb..2kb": {"min_size": 1500, "max_size": 2000},
    "size:..10": {"max_size": 10},
    "size:>1kb size:>1mb": {"min_size": 1_000_001},
    "width:>999 height:>=480px": {"min_width": 1000, "min_height": 480},
    "format:jpeg,png": {"formats": ("JPEG", "PNG")},
    'folder:"" in:a/b camera:"Canon EOS R5" classifier:x:y': {
        "folders": ("",),
        "prefix": "a/b",
        "cameras": ("Canon EOS R5",),
        "classifiers": ("x:y",),
    },
    "sort:newest": {"sort": "newest"},
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_text_means(text: str) -> None:
    assert asked(text) == MEANINGS[text]


REFUSALS = {
    'dog "never closed': (4, 17, "never closed"),
    "dog tag:": (8, 8, "missing"),
    "tag:a,": (6, 6, "missing"),
    "tga:x": (0, 5, "Did you mean tag:"),
    "http://x": (0, 8, "quotes"),
    "x -format:png": (2, 13, "minus"),
    "size:2mb": (5, 8, "size:>2mb"),
    "size:>2furlongs": (6, 15, "no number of b, kb, mb, gb"),
    "tag:>3": (0, 6, "tag:beach"),
    "has:fun": (4, 7, "has:text"),
    "has:text -has:text": (14, 18, "otherwise"),
    "date:2026-13": (5, 12, "2026-03-31"),
    "date:9999": (5, 9, "there is no"),
    "after:yesterday": (6, 15, "no date"),
    "near:52,13": (0, 10, "3 values"),
    "near:91,0,1km": (5, 7, "degrees"),
    "near:9,0,99999km": (9, 16, "half way"),
    "area:2,0,1,9": (5, 6, "SOUTH"),
    "confidence:>1.5": (12, 15, "0 to 1"),
    "confidence:<0.5": (12, 15, "0 to 1"),
    "format:png format:gif": (18, 21, "Several in one"),
    "tag:a,b tag:c,d": (12, 13, "Alternatives"),
    "in:a in:b": (8, 9, "one beginning"),
    "property:red": (9, 12, "season=ss26"),
    "width:<9": (7, 8, "at least"),
    "group:castle": (6, 12, "page of an image"),
    f"group:{'a' * 64},{'b' * 64}": (0, 135, "one value"),
    f"group:{'a' * 64} group:{'b' * 64}": (77, 141, "one group"),
    "copies:no": (7, 9, "copies:hide"),
    "copies:hide copies:only": (19, 23, "one of the two"),
    "-copies:hide": (0, 12, "minus"),
    "sort:best": (5, 9, "newest"),
    "x" * (LONGEST + 1): (LONGEST, LONGEST + 1, "2,000"),
}


@pytest.mark.parametrize("text", REFUSALS)
def test_what_makes_no_sense_is_refused_with_its_place_and_a_hint(text: str) -> None:
    start, end, words = REFUSALS[text]
    with pytest.raises(Unclear) as caught:
        parse(text)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", FILTERS)
def test_every_example_reads(name: str) -> None:
    for example_ in FILTERS[name].example.split(" or "):
        assert asked(example_), example_


def test_other_names_lead_to_filters() -> None:
    assert set(ALIASES.values()) <= FILTERS.keys()
    assert not ALIASES.keys() & FILTERS.keys()


pieces = st.sampled_from(
    [
        "dog",
        "-",
        '"',
        "\\",
        ":",
        ",",
        " ",
        "tag:",
        "size:",
        "near:",
        "date:",
        ">",
        "<",
        "=",
        "..",
        "1",
        "2mb",
        "-tag:",
        "'",
        "(",
        "\0",
    ]
    + [f"{name}:" for name in FILTERS]
)
anything = st.lists(pieces | st.text(max_size=5), max_size=12).map("".join)


def attempted(text: str) -> Parsed | Unclear:
    try:
        return parse(text)
    except Unclear as error:
        return error


@given(anything)
@example("\ud800")
@example("tag:\ud800,\udfff")
def test_any_input_is_a_legal_query_for_both_indexes_or_is_refused_inside_the_text(text: str) -> None:
    found = attempted(text)
    if isinstance(found, Unclear):
        assert 0 <= found.start <= found.end <= len(text)
        return
    embedded(SCHEMA, found.query)
    body = compiled(found.query)
    if body is not None:
        assert answer(EMPTY, body, 1000)["value"] == []


@given(anything)
def test_clauses_leave_out_nothing_but_spaces(text: str) -> None:
    found = attempted(text)
    if isinstance(found, Parsed):
        covered = {at for clause in found.clauses for at in range(clause.start, clause.end)}
        assert all(character.isspace() for at, character in enumerate(text) if at not in covered)


@given(anything, st.data())
def test_a_clause_taken_out_takes_nothing_else(text: str, data: st.DataObject) -> None:
    found = attempted(text)
    if isinstance(found, Parsed) and found.clauses:
        clause = data.draw(st.sampled_from(found.clauses))
        left = [one.text for one in found.clauses if one is not clause]
        assert [one.text for one in parse(found.without(clause)).clauses] == left


@given(
    st.lists(st.text() | st.sampled_from(["-x", "a,b", 'a"b', "a\\", "..", "1..2", ">x", "", " ", "x:y"]), min_size=1, max_size=3)
)
def test_every_value_can_be_spelled(values: list[str]) -> None:
    clause = spelled("format", values)
    if len(clause) <= LONGEST:
        assert parse(f"dog {clause} cat").clauses[1].values == tuple(values)


def test_a_clause_is_added_once() -> None:
    assert parse("dog").beside("tag:beach") == "dog tag:beach"
    assert parse("dog tag:beach").beside("tag:beach") == "dog tag:beach"
    assert parse("").beside("tag:beach") == "tag:beach"
