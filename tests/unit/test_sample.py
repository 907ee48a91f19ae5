"""A sample tells of the whole: every duplicate of what is in it is in it as well, and the truth lies in its interval."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sample import BySize, Share, parted, shares, wilson

KINDS = ("first", "duplicate", "bad")


def drawn(sizes: list[int], most: int, seed: int = 0) -> list[list[int]]:
    sample: BySize[int] = BySize(most, seed)
    for place, size in enumerate(sizes):
        sample.offer(size, place)
    assert sample.offered == len(sizes)
    return sample.clusters()


@given(st.lists(st.integers(1, 40)), st.integers(1, 60), st.integers(0, 5))
def test_whole_sizes_are_drawn_and_no_more_than_asked_for(sizes: list[int], most: int, seed: int) -> None:
    clusters = drawn(sizes, most, seed)
    assert sum(map(len, clusters)) <= most
    assert (sum(map(len, clusters)) == len(sizes)) is (len(sizes) <= most)
    for cluster in clusters:
        size = {sizes[place] for place in cluster}
        assert len(size) == 1
        assert len(cluster) == sizes.count(size.pop()) or len(clusters) == 1
    assert clusters == drawn(sizes, most, seed)


def test_another_seed_draws_other_sizes() -> None:
    sizes = [place % 500 for place in range(2000)]
    assert len({str(drawn(sizes, 50, seed)) for seed in range(10)}) == 10


def test_a_single_size_is_thinned_with_the_same_chance_for_all() -> None:
    found = Counter(place for seed in range(400) for cluster in drawn([7] * 100, 20, seed) for place in cluster)
    assert sum(found.values()) == 400 * 20
    assert min(found.values()) > 40
    assert max(found.values()) < 125


def archive(dice: random.Random, images: int) -> tuple[list[int], list[str]]:
    """Return sizes and kinds of an archive in which the copies of an image lie anywhere, and come in swarms."""
    sizes: list[int] = []
    kinds: list[str] = []
    while len(sizes) < images:
        size = dice.randrange(1_000, 30_000)
        copies = dice.choice([1, 1, 1, 1, 1, 2, 3, 12])
        sizes += [size] * copies
        kinds += ["bad"] if dice.random() < 0.03 and copies == 1 else ["first", *["duplicate"] * (copies - 1)]
    return sizes, kinds


def test_the_truth_lies_in_the_interval_in_nineteen_of_twenty_samples() -> None:
    held: Counter[str] = Counter()
    widths = []
    for seed in range(200):
        sizes, kinds = archive(random.Random(seed), 5_000)
        clusters = [Counter(kinds[place] for place in cluster) for cluster in drawn(sizes, 500, seed)]
        found = shares(clusters, KINDS, total=len(sizes))
        for kind in KINDS:
            truth = kinds.count(kind) / len(kinds)
            held[kind] += found[kind].low <= truth <= found[kind].high
        widths.append(found["duplicate"].high - found["duplicate"].low)
    assert all(180 <= held[kind] <= 200 for kind in KINDS), held
    assert sum(widths) / len(widths) < 0.25


def test_what_was_read_in_whole_is_no_estimate() -> None:
    assert shares([Counter(first=3, bad=1)], KINDS, total=4)["bad"] == Share(0.25, 0.25, 0.25)


def test_nothing_that_was_seen_is_not_nothing_that_is_there() -> None:
    found = shares([Counter(first=1) for _ in range(100)], KINDS, total=10_000)["bad"]
    assert (found.share, found.low) == (0.0, 0.0)
    assert 0.03 < found.high < 0.04
    assert shares([], KINDS, total=7)["bad"] == Share(0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "number", "low", "high"), [(0.0, 10, 0.0, 0.2775), (0.5, 10, 0.2366, 0.7634), (1.0, 10, 0.7225, 1.0)]
)
def test_the_interval_is_wilsons(share: float, number: int, low: float, high: float) -> None:
    assert wilson(share, number) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 1000), st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_parts_make_up_the_whole(total: int, weights: list[int]) -> None:
    whole = sum(weights) or 1
    found = {str(place): Share(weight / whole, 0, 1) for place, weight in enumerate(weights)}
    parts = parted(total, found)
    if sum(weights):
        assert sum(parts.values()) == total
    assert all(abs(parts[name] - total * one.share) <= 1 for name, one in found.items())
