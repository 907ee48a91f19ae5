"""The keys that Cosmos DB finds and orders by."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.adapters.cosmos_account import located
from jobs.adapters.cosmos_items import (
    BEHIND,
    Version,
    bucket,
    micros,
    ordered,
    place,
    standing,
    standing_parts,
    standings,
    unordered,
    vector_id,
    version_of,
)
from jobs.errors import Misconfigured
from jobs.model import blob_id
from tests.examples import ODD_NAMES, SOURCE

names = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(ODD_NAMES)


def utf16(text: str) -> bytes:
    """Return bytes that compare as .NET and JavaScript compare strings."""
    return text.encode("utf-16-be")


@given(names, names)
def test_keys_compare_as_the_bytes_of_the_names_however_strings_are_compared(one: str, other: str) -> None:
    by_bytes = one.encode() < other.encode()
    assert (ordered(one) < ordered(other)) == by_bytes
    assert (utf16(ordered(one)) < utf16(ordered(other))) == by_bytes


def test_names_themselves_would_not_compare_alike() -> None:
    mixed = ["\U0001f600", "\ue000"]
    assert sorted(mixed, key=str.encode) != sorted(mixed, key=utf16)


@given(names)
def test_a_key_says_its_text_in_printable_ascii(text: str) -> None:
    assert unordered(ordered(text)) == text
    assert all(" " <= character <= "~" for character in ordered(text))


@given(names, names)
def test_what_begins_with_a_prefix_lies_between_its_ends(prefix: str, name: str) -> None:
    low = place(SOURCE, prefix)
    assert (low <= place(SOURCE, name) < low + BEHIND) == name.encode().startswith(prefix.encode())


def test_plain_names_stay_readable() -> None:
    assert ordered("2026/IMG_0001.jpg") == "2026/IMG_0001.jpg"
    assert ordered("a b~é") == "a 20b~7e~c3~a9"


@given(names, st.sampled_from(["", "deferred", "dead"]), names, names)
def test_keys_of_standing_lie_between_the_ends_of_their_source_alone(source: str, outcome: str, failure: str, other: str) -> None:
    key = standing(source, outcome, failure)
    low, high = standings(other)
    assert standing_parts(key) == (source, outcome, failure)
    assert (low < key < high) == (source == other)


def test_versions_are_read_back_and_others_are_not_ours() -> None:
    for version in (Version('"0000-1"', ""), Version("a:b:c", "0123456789abcdef")):
        assert version_of(str(version)) == version
    for text in ("", "7", "-:", "no version of this store", "0123:etag"):
        assert version_of(text) is None


def test_a_record_and_its_embedding_share_one_of_256_partitions() -> None:
    ids = [blob_id(SOURCE, str(number)) for number in range(5000)]
    assert len({bucket(key) for key in ids}) == 256
    assert all(bucket(vector_id(key)) == bucket(key) for key in ids)


def test_microseconds_of_this_age_are_exact_in_a_json_number() -> None:
    assert int(float(micros(datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)))) == 7258118399999999


@pytest.mark.parametrize(
    ("text", "endpoint", "database", "emulated"),
    [
        ("https://a.documents.azure.com/images", "https://a.documents.azure.com", "images", False),
        ("https://a.documents.azure.com:443/my%20images/", "https://a.documents.azure.com:443", "my images", False),
        ("http://127.0.0.1:8081/images", "http://127.0.0.1:8081", "images", True),
        ("https://localhost:8081/images", "https://localhost:8081", "images", False),
    ],
)
def test_locations(text: str, endpoint: str, database: str, *, emulated: bool) -> None:
    location = located(text)
    assert (location.endpoint, location.database, location.emulated) == (endpoint, database, emulated)


@pytest.mark.parametrize(
    "text",
    ["", "images", "https://a.documents.azure.com", "https://a.documents.azure.com/", "https://a/b/c", "http://example.com/images"],
)
def test_what_is_no_location_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="names no account and database"):
        located(text)
