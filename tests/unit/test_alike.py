"""Which pictures are near-duplicates: found whole, by the plain rule, and never by a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.alike import COARSE, FINE, Change, Pictures, changes, grouped, sketched
from jobs.model import Record
from jobs.sketch import NOTHING
from tests.pictures import picture

_BASES = ("5a" * 32, "c3" * 32, "00" * 30 + "ffff")


def flipped(sketch: str, bits: Sequence[int]) -> str:
    """Return a sketch in which these bits, from the lowest frequency on, are the other way."""
    return f"{int(sketch, 16) ^ sum(1 << (255 - bit) for bit in set(bits)):064x}"


def one(name: str, sketch: str, *, pixels: int = 1000, size: int = 1000, group: str = "") -> Record:
    return picture(name, sides=(pixels, 1000), size=size, sketch=sketch, group=group)


def groups(records: Sequence[Record]) -> list[int]:
    return [int(first) for first in grouped(Pictures.of(records))]


def plain(records: Sequence[Record]) -> list[int]:
    """Group by the rule as it is written, comparing everything with everything."""

    def worth(at: int) -> tuple[int, int, str]:
        record = records[at]
        assert record.analysis
        return -record.analysis.facts.width * record.analysis.facts.height, -record.size, record.id

    firsts: dict[int, int] = {}
    for at in sorted(range(len(records)), key=worth):
        if at not in firsts:
            firsts[at] = at
            for other in range(len(records)):
                differing = int(sketched(records[at]), 16) ^ int(sketched(records[other]), 16)
                if other not in firsts and (differing >> 192).bit_count() <= COARSE and differing.bit_count() <= FINE:
                    firsts[other] = at
    return [firsts[at] for at in range(len(records))]


_sketches = st.builds(flipped, st.sampled_from(_BASES), st.lists(st.integers(0, 255) | st.integers(0, 63), max_size=12))


@given(st.lists(st.tuples(_sketches, st.sampled_from([1000, 1010]), st.integers(1, 2)), max_size=12))
def test_what_the_plain_rule_finds_is_found(some: list[tuple[str, int, int]]) -> None:
    records = [one(f"{at}.jpg", sketch, pixels=pixels, size=size) for at, (sketch, pixels, size) in enumerate(some)]
    assert groups(records) == plain(records)


@given(st.sets(st.integers(0, 63), min_size=COARSE, max_size=COARSE))
def test_so_many_wrong_bits_are_always_found_wherever_they_are(bits: set[int]) -> None:
    assert groups([one("a", _BASES[0], pixels=1001), one("b", flipped(_BASES[0], sorted(bits)))]) == [0, 0]


@pytest.mark.parametrize("bits", [range(COARSE + 1), [*range(COARSE), *range(64, 64 + FINE - COARSE + 1)]])
def test_one_bit_more_is_another_picture(bits: Sequence[int]) -> None:
    first = one("a", _BASES[0], pixels=1001)
    assert groups([first, one("b", flipped(_BASES[0], bits))]) == [0, 1]
    assert groups([first, one("b", flipped(_BASES[0], list(bits)[:-1]))]) == [0, 0]


def test_a_row_of_pictures_each_a_little_unlike_the_one_before_is_not_one_group() -> None:
    row = [one(f"{at}", flipped(_BASES[0], range(64, 64 + 40 * at)), pixels=1100 - at) for at in range(5)]
    assert groups(row) == [0, 0, 2, 2, 4]


def test_the_first_has_the_most_pixels_then_bytes_then_the_smallest_id() -> None:
    assert groups([one("a", _BASES[0]), one("b", _BASES[0], pixels=1001)]) == [1, 1]
    assert groups([one("a", _BASES[0]), one("b", _BASES[0], size=1001)]) == [1, 1]
    pair = [one("a", _BASES[0]), one("b", _BASES[0])]
    smallest = min((0, 1), key=lambda at: pair[at].id)
    assert groups(pair) == [smallest] * 2


@given(st.permutations(range(8)))
def test_the_order_in_which_they_come_does_not_matter(order: list[int]) -> None:
    some = [one(f"{at}", flipped(_BASES[at % 2], range(64, 64 + 9 * at)), pixels=1000 + at % 3) for at in range(8)]
    mixed = [some[at] for at in order]
    by_id = {some[at].id: some[first].id for at, first in enumerate(groups(some))}
    assert {mixed[at].id: mixed[first].id for at, first in enumerate(groups(mixed))} == by_id


def test_only_what_has_another_group_is_changed() -> None:
    records = [one("a", _BASES[0], pixels=1001, group="a"), one("b", _BASES[0], group="z"), one("c", _BASES[1], group="a")]
    pictures = Pictures.of(records)
    a, b, c = records
    assert list(changes(pictures, grouped(pictures))) == [Change(b.id, _BASES[0], a.id), Change(c.id, _BASES[1], "")]


def test_nothing_has_no_groups() -> None:
    empty = Pictures.joined([Pictures.of(()), Pictures.of(())])
    assert list(changes(empty, grouped(empty))) == []


@pytest.mark.parametrize("sketch", ["", "0", "x" * 64, "0" * 63, "0" * 65, "é" * 64, _BASES[0] + "\n", NOTHING])
def test_what_is_no_sketch_is_none(sketch: str) -> None:
    assert sketched(one("a", sketch)) == ""


def test_a_stored_group_that_is_none_does_not_stop_it() -> None:
    records = [replace(picture(name, sketch=_BASES[0]), group="no id") for name in "ab"]
    pictures = Pictures.of(records)
    assert len(list(changes(pictures, grouped(pictures)))) == 2
