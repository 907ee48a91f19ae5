"""The projection of a record, and the words of a text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.model import Box, Line, Region, Tag
from search.document import document, grade
from search.words import Word, asked, forms, words
from tests.pictures import JANUARY, picture


def test_a_document_shows_what_people_search_by() -> None:
    taken = datetime(2019, 5, 4, 3, 2, 1, tzinfo=UTC)
    tags = (("dog", 0.4), ("pet", 0.9), ("dog", 0.3))
    record = picture("a/b/c.jpg", *tags, caption="a dog", taken=taken, colours=("red", "blue", "red"), camera="Canon", rev=7)
    shown = document(replace(record, etag="newer"))
    assert (shown.id, shown.source, shown.name, shown.folder) == (record.id, record.source, "a/b/c.jpg", "a/b")
    assert (shown.caption, shown.tags) == ("a dog", (Tag("dog", 0.4), Tag("pet", 0.9), Tag("dog", 0.3)))
    assert (shown.tag_names, shown.best) == (("dog", "pet"), 0.9)
    assert (shown.width, shown.height, shown.format, shown.size) == (640, 480, "JPEG", 1000)
    assert (shown.date, shown.year, shown.colours, shown.camera) == (taken, 2019, ("red", "blue"), "Canon")
    assert (shown.rev, shown.etag) == (7, "e1")


def test_a_document_shows_what_was_found_beyond_the_tags() -> None:
    record = picture("dog.jpg", ("dog", 0.9))
    assert record.analysis
    box = Box(0, 0, 9, 9)
    analysis = replace(
        record.analysis,
        facts=replace(record.analysis.facts, latitude=48.2, longitude=-16.4),
        text=(Line("SALE", 0.9), Line("50 % off", 0.8)),
        objects=(Region("dog", 0.9, box), Region("ball", 0.4, box), Region("dog", 0.3, box)),
        people=(Region("person", 0.9, box), Region("person", 0.004, box)),
        embedding=b"1234",
    )
    about = {"properties": (("season", "ss26"), ("sku", "1=2")), "categories": ("pets", "toys"), "asked": "fake:1"}
    shown = document(replace(record, analysis=analysis, **about))
    assert (shown.text, shown.has_text) == ("SALE\n50 % off", True)
    assert (shown.objects, shown.people, shown.has_people) == (("dog", "ball"), 1, True)
    assert (shown.latitude, shown.longitude) == (48.2, -16.4)
    assert (shown.properties, shown.categories) == (("season=ss26", "sku=1=2"), ("pets", "toys"))
    assert (shown.classifier, shown.embedding) == ("fake:1", b"1234")
    nothing = document(record)
    assert (nothing.has_text, nothing.has_people, nothing.properties, nothing.categories) == (False, False, (), ())


def test_at_the_top_without_tags_or_capture_time() -> None:
    shown = document(picture("c.jpg", modified=JANUARY))
    assert (shown.folder, shown.best, shown.tag_names, shown.date, shown.year) == ("", 0.0, (), JANUARY, 2024)


def test_without_an_analysis_there_is_nothing_to_show() -> None:
    with pytest.raises(ValueError, match="no analysis"):
        document(replace(picture("x"), analysis=None))


@given(st.floats(0, 1), st.floats(0, 1))
def test_grades_keep_the_order(one: float, other: float) -> None:
    assert (grade(one) <= grade(other)) or one > other
    assert 0 <= grade(one) < 2**30


@pytest.mark.parametrize(("confidence", "graded"), [(-1.0, 0), (float("inf"), 2**30 - 1), (0.9, 900_000_000)])
def test_grades_at_the_ends(confidence: float, graded: int) -> None:
    assert grade(confidence) == graded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DogFood2.JPG", [Word("dogfood2", ("dog", "food", "2")), Word("jpg")]),
        ("IMG_2034-HTMLPage", [Word("img"), Word("2034"), Word("htmlpage", ("html", "page"))]),
        ("Crème brûlée", [Word("creme"), Word("brulee")]),
        ("写真🐶x", [Word("写"), Word("真"), Word("🐶"), Word("x")]),
        ("שלום", [Word("שלום")]),
        ("_ - / .", []),
        ("x" * 250, [Word("x" * 100)]),
    ],
)
def test_words(text: str, expected: list[Word]) -> None:
    assert list(words(text)) == expected


def test_a_query_does_without_stop_words_unless_it_has_no_others() -> None:
    assert asked("the dog on the beach") == (Word("dog"), Word("beach"))
    assert asked("the") == (Word("the"),)


@given(st.text())
def test_any_text_finds_itself(text: str) -> None:
    known = forms(text)
    assert all(word.whole in known for word in asked(text))
    assert all(form and not form.isspace() and form.split() == [form] for form in known)
