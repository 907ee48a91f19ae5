"""The listing comes whole and in the order of bytes, whatever order the service has, wherever it begins, in however many ranges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.adapters.azure_blob_channel import Channel
from jobs.adapters.azure_blob_names import Names, Span
from jobs.adapters.azure_blob_order import ByteOrder, Entry
from jobs.adapters.azure_blob_shards import cuts, side_by_side
from jobs.errors import Misconfigured, SweepError
from jobs.model import Odd
from tests.fakes.blob_service import BlobService, Order, by_bytes, by_folder, by_units

LETTERS = "aAé- ./0~\ud7ff\ue000\uff08\uffee\U0001f600\U0010ffff"
NAMES = st.text(LETTERS, min_size=1, max_size=6)
PATHS = st.lists(st.text("aAé-.0", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


def _names(service: BlobService, *, most: int = 5000) -> Names:
    return Names(cast("Channel", service), "azure-blob:test", most=most)


def _listed(service: BlobService, span: Span, *, shards: int = 1) -> list[str]:
    async def collect() -> list[str]:
        names = _names(service)
        batches = names.entries(span) if shards == 1 else side_by_side(names, span, shards)
        return [entry.name async for batch in batches for entry in batch]

    return asyncio.run(collect())


def _expected(names: set[str], span: Span) -> list[str]:
    after = (span.after or "").encode()
    return sorted((n for n in names if n.startswith(span.prefix) and n.encode() > after), key=str.encode)


@given(
    st.sets(NAMES, max_size=12),
    st.sampled_from([by_bytes, by_units]),
    st.text(LETTERS, max_size=4),
    st.text(LETTERS, max_size=2),
    st.integers(0, 9),
)
def test_flat_listings_are_whole_and_in_order(names: set[str], order: Order, after: str, prefix: str, seed: int) -> None:
    span = Span(prefix, after or None)
    assert _listed(BlobService(sorted(names), order, seed=seed), span) == _expected(names, span)


@given(st.sets(NAMES, min_size=1, max_size=12), st.sampled_from([by_bytes, by_units]), st.data())
def test_a_listing_goes_on_after_any_of_its_names(names: set[str], order: Order, data: st.DataObject) -> None:
    span = Span(after=data.draw(st.sampled_from(sorted(names))))
    assert _listed(BlobService(sorted(names), order), span) == _expected(names, span)


@example({"A/0"}, "A.", "", 0)
@example({"A/0/x", "A/0-"}, "A/0.", "A/", 0)
@given(st.sets(PATHS, max_size=12), st.text("aAé-./0", max_size=4), st.text("aAé-./0", max_size=3), st.integers(0, 9))
def test_hierarchical_listings_are_whole_and_in_order(paths: set[str], after: str, prefix: str, seed: int) -> None:
    names = {path for path in paths if not any(other.startswith(path + "/") for other in paths)}
    span = Span(prefix, after or None)
    assert _listed(BlobService(sorted(names), by_folder, seed=seed), span) == _expected(names, span)


@given(
    st.sets(NAMES, max_size=20),
    st.sampled_from([by_bytes, by_units]),
    st.text(LETTERS, max_size=3),
    st.text(LETTERS, max_size=1),
    st.integers(2, 4),
)
def test_ranges_side_by_side_list_the_same(names: set[str], order: Order, after: str, prefix: str, shards: int) -> None:
    span = Span(prefix, after or None)
    assert _listed(BlobService(sorted(names), order), span, shards=shards) == _expected(names, span)


@pytest.mark.parametrize("seed", range(8))  # some begin with empty segments, which tell nothing of the account
@pytest.mark.parametrize("shards", [1, 3])
def test_hierarchical_accounts_are_listed_folder_by_folder_in_ranges_too(seed: int, shards: int) -> None:
    names = {"A/x", "A/y/z", "A-B", "A.jpg", "B"}
    assert _listed(BlobService(sorted(names), by_folder, seed=seed), Span(), shards=shards) == ["A-B", "A.jpg", "A/x", "A/y/z", "B"]


def test_a_container_is_cut_where_its_names_part() -> None:
    names = [f"catalog/2026/img_{n:04}.jpg" for n in range(0, 4000, 7)]
    service = BlobService(names, largest=5000)
    found = asyncio.run(cuts(_names(service), Span(), 8))
    assert len(found) >= 8
    parts = [sum(low <= name < high for name in names) for low, high in zip(["", *found], [*found, "~"], strict=True)]
    assert max(parts) < len(names) / 3
    assert len(service.asked) < 150


def test_what_a_range_is_asked_for_is_a_part_of_the_whole() -> None:
    names = [f"{n:05}.jpg" for n in range(2000)]
    service = BlobService(names, largest=5000)
    assert _listed(service, Span(), shards=4) == names
    begun = {query.get("startFrom") for query in service.asked if query["maxresults"] == "5000"}
    assert len(begun) > 4


def test_an_order_that_is_not_known_is_refused() -> None:
    service = BlobService(["a", "B", "c"], str.lower, largest=5)
    with pytest.raises(SweepError, match="'B' came after 'a'"):
        _listed(service, Span())


async def _batches(*batches: list[str]) -> AsyncGenerator[list[Entry], None]:
    for batch in batches:
        yield [Odd(name, "") for name in batch]


async def _ordered(first: str | None, *batches: list[str]) -> list[str]:
    async def ask(_: str) -> str | None:
        return first

    return [entry.name async for batch in ByteOrder(ask, most=2)(_batches(*batches)) for entry in batch]


def test_many_names_with_the_same_emoji_are_not_waited_for_where_nothing_comes_before_them() -> None:
    owls = [f"\U0001f989/{n}" for n in range(9)]
    assert asyncio.run(_ordered("z", owls[:4], owls[4:], ["\U0001f98a"])) == [*owls, "\U0001f98a"]


def test_many_names_before_what_they_must_wait_for_are_refused() -> None:
    owls = [f"\U0001f989/{n}" for n in range(9)]
    with pytest.raises(Misconfigured, match=r"beyond U\+FFFF"):
        asyncio.run(_ordered("\uff08", owls, ["\uff08"]))


def test_a_service_that_lists_by_bytes_is_never_refused() -> None:
    owls = [f"\U0001f989/{n}" for n in range(9)]
    assert asyncio.run(_ordered("\uff08", ["\uff08"], owls)) == ["\uff08", *owls]


def test_a_request_that_fails_stops_the_ranges_and_is_told() -> None:
    class Broken(BlobService):
        async def send(self, operation: str, **rest: Any) -> Any:
            if rest["query"].get("startFrom", "").startswith("5") and rest["query"]["maxresults"] == "5000":
                raise SweepError("list", "here", "broken")
            return await super().send(operation, **rest)

    seen: list[str] = []

    async def collect() -> None:
        async for batch in side_by_side(_names(Broken([str(n) for n in range(100, 1000)], largest=5000)), Span(), 3):
            seen.extend(entry.name for entry in batch)

    with pytest.raises(SweepError, match="broken"):
        asyncio.run(collect())
    assert seen == [str(n) for n in range(100, 500)]
