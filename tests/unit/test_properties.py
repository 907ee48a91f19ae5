from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Misconfigured
from jobs.properties import LONGEST, MOST, name_pattern, properties

SKU = name_pattern(r"(?P<season>[a-z]{2}\d\d)/(?P<sku>\d{6})(?:-(?P<view>\w+))?")


def test_the_named_groups_of_the_name_become_properties() -> None:
    assert properties("catalog/ss26/123456-back.jpg", SKU) == (("season", "ss26"), ("sku", "123456"), ("view", "back"))
    assert properties("ss26/123456.jpg", SKU) == (("season", "ss26"), ("sku", "123456"))
    assert properties("other/dog.jpg", SKU) == ()
    assert properties("ss26/123456.jpg", None) == ()


def test_name_tags_and_metadata_stand_side_by_side_in_ascending_order() -> None:
    metadata = {"Author": "Zoë", "sku": "654321", "empty": ""}
    assert properties("ss26/123456.jpg", SKU, metadata, {"claim": "K 7", "sku": "123456"}) == (
        ("Author", "Zoë"), ("claim", "K 7"), ("season", "ss26"), ("sku", "123456"), ("sku", "654321"),
    )  # fmt: skip


def test_the_parts_of_the_name_are_kept_when_there_are_too_many() -> None:
    many = {f"a{number:03}": "x" for number in range(MOST + 10)}
    found = properties("ss26/123456.jpg", SKU, many, {"tag": "kept"})
    assert len(found) == MOST
    assert {("season", "ss26"), ("sku", "123456"), ("tag", "kept")} < set(found)


def test_values_are_bounded_and_hold_no_control_characters() -> None:
    assert properties("x", None, {"a\nb": "1\r\n2\x00\u2028\ud800", "long": "é" * 1000, "blank": " \t\n"}) == (
        ("ab", "12"), ("long", "é" * LONGEST),
    )  # fmt: skip


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=80), st.text(max_size=50))
def test_whatever_comes_the_properties_are_bounded_sorted_and_legal(said: dict[str, str], name: str) -> None:
    found = properties(name, re.compile("(?P<first>.)"), said, said)
    assert list(found) == sorted(set(found))
    assert len(found) <= MOST
    for pair in found:
        for text in pair:
            assert 0 < len(text) <= LONGEST
            text.encode()
            assert not re.search(r"[\x00-\x1f\x7f]", text)


def test_no_pattern_is_none() -> None:
    assert name_pattern("") is None


@pytest.mark.parametrize(
    ("text", "cause"), [("(?P<sku", "no regular expression"), ("(?P<2>x)", "no regular"), (r"\d+", "no named group")]
)
def test_a_pattern_that_names_nothing_is_refused(text: str, cause: str) -> None:
    with pytest.raises(Misconfigured, match=cause) as raised:
        name_pattern(text)
    assert (raised.value.key, "(?P<season>" in raised.value.hint) == ("IMAGESWEEP_NAME_PATTERN", True)
