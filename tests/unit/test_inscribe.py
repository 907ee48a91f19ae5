"""Examples go into the text of a taxonomy, and nothing else in it changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Misconfigured
from jobs.inscribe import inscribed, new
from jobs.model import Analysis, Facts, Tag
from jobs.taught import Taught
from jobs.taxonomy import categories, parse
from jobs.teach import Lesson

RULES = "# Ours.\nname: shoes\nversion: 2  # the second\nrules:\n  - {category: footwear, any: [shoe]}\n"
AXIS = bytes([127, *[0] * 15])
OTHER = bytes([0, 127, *[0] * 14])
EMBEDDER = "axes:1"


def lesson(category: str, axis: bytes = AXIS, threshold: float = 0.5) -> Lesson:
    return Lesson(Taught(category, threshold, axis), 5, 5, 9, 0)


def written(text: str, *lessons: Lesson) -> str:
    return inscribed(text, "own.yaml", embedder=EMBEDDER, lessons=lessons)


def pointing(axis: int) -> Analysis:
    vector = np.zeros(16, "<f4")
    vector[axis] = 1
    return Analysis((Tag("shoe", 0.9),), "", 0.0, Facts(1, 1, "JPEG"), "model 1", vector.tobytes())


def test_rules_and_examples_give_categories_alike() -> None:
    taxonomy = parse(written(RULES, lesson("boots"), lesson("footwear", OTHER)), "own.yaml")
    assert taxonomy.categories == ("footwear", "boots")
    assert categories(taxonomy, pointing(0), EMBEDDER) == ("footwear", "boots")
    assert categories(taxonomy, pointing(1), EMBEDDER) == ("footwear",)
    assert categories(taxonomy, pointing(0), "axes:2") == ("footwear",), "the vector of another embedder says nothing"


@pytest.mark.parametrize("text", [RULES, RULES.replace("\n", "\r\n"), RULES.rstrip(), RULES + "\n\n"])
def test_examples_come_behind_what_was_there(text: str) -> None:
    made = written(text, lesson("boots"))
    assert made.startswith(text.rstrip())
    assert ("\r\n" in made) == ("\r\n" in text)
    assert written(made, lesson("boots")) == made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", RULES.replace("name", "# Theirs.\nname")),
        ("name: shoes\n", "\n# Rules.\n" + RULES.partition("name: shoes\n")[2]),
        (RULES, "\n\n# The end.\n"),
    ],
)
def test_former_examples_go_and_what_stands_around_them_stays(before: str, after: str) -> None:
    old = written("name: x\nversion: 1\n", lesson("old"), lesson("older", OTHER))
    made = written(before + old[old.index("examples:") :] + after, lesson("boots"))
    assert made.startswith(before + "examples:")
    assert made.endswith(after)
    assert [one.category for one in parse(made, "own.yaml").taught] == ["boots"]
    assert len(parse(made, "own.yaml").rules) == 1


def test_the_fingerprint_covers_the_examples_and_leaves_that_of_rules_alone_as_it_was() -> None:
    bare = parse(RULES, "own.yaml").fingerprint
    assert bare == "shoes/2/0ed1f2010546"
    some = {
        parse(written(RULES, one), "own.yaml").fingerprint
        for one in (lesson("boots"), lesson("boot"), lesson("boots", OTHER), lesson("boots", threshold=0.6))
    }
    some.add(parse(written(RULES, lesson("boots")).replace("axes:1", "axes:2"), "own.yaml").fingerprint)
    assert len(some | {bare}) == 6
    assert parse(written(RULES, lesson("boots")), "own.yaml").fingerprint in some


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=30))
def test_any_name_of_a_folder_comes_back_as_the_category(name: str) -> None:
    assert parse(written(RULES, lesson(name)), "own.yaml").taught[0].category == name


@pytest.mark.parametrize("stem", ["own", "My Shoes 2!", "…", "-", "x" * 80])
def test_a_new_file_is_a_taxonomy(stem: str) -> None:
    assert parse(written(new(stem), lesson("boots")), "own.yaml").categories == ("boots",)


@pytest.mark.parametrize(
    "text",
    [
        "{name: x, version: 1, rules: [{category: a, any: [b]}]}\n",
        RULES + '"examples": {}\n',
        RULES + "colour: red\n",
        "rules: [",
        "- a\n",
    ],
)
def test_a_text_that_takes_none_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        written(text, lesson("boots"))


@pytest.mark.parametrize(
    ("old", "new_", "line", "said"),
    [
        ("direction: |", "direction: |\n        !", 9, "no direction"),
        ("threshold: 0.5000", "threshold: 5", 12, "less than or equal to 1"),
        ("threshold: 0.5000", "threshold: .nan", 12, ""),
        ("pictures: 5", "pictures: 1", 11, "greater than or equal to 2"),
        ('category: "boots"', "category: yes", 10, "valid string"),
        ('embedder: "axes:1"', 'embedder: ""', 8, ""),
    ],
)
def test_examples_that_were_spoilt_are_refused_with_their_line(old: str, new_: str, line: int, said: str) -> None:
    text = written(RULES, lesson("boots")).replace(old, new_)
    with pytest.raises(Misconfigured) as caught:
        parse(text, "own.yaml")
    assert "own.yaml, line" in str(caught.value)
    assert said in str(caught.value)
    assert abs(int(caught.value.key.rpartition(" ")[2]) - line) <= 4


@pytest.mark.parametrize("spoil", [("direction: |", "direction: |\n        !"), ("threshold: 0.5000", "threshold: 5")])
def test_examples_that_were_spoilt_can_be_taught_again(spoil: tuple[str, str]) -> None:
    text = written(RULES, lesson("boots"))
    assert written(text.replace(*spoil), lesson("boots")) == text


def test_a_fault_in_a_rule_behind_the_examples_is_told_by_its_line() -> None:
    text = written("name: shoes\nversion: 2\n", lesson("boots")) + "rules:\n  - {category: a}\n"
    with pytest.raises(Misconfigured, match=f"line {text.count(chr(10))}:"):
        written(text, lesson("boots"))


def test_a_category_cannot_be_taught_twice() -> None:
    with pytest.raises(Misconfigured, match="twice"):
        written(RULES, lesson("boots"), lesson("boots", OTHER))
