"""Queries as search requests: laws, and what injection would look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import Misconfigured
from search.azure_index.compile import CLAUSES, compiled, key, literal, micros, moment
from search.azure_index.schema import definition
from search.query import Query
from tests.pictures import queries
from tests.standins import odata
from tests.standins.search_query import State, answer
from tests.standins.search_schema import columns

DEFINITION = definition("images", dimensions=4)
FIELDS = {name: column.for_filters() for name, column in columns(DEFINITION).items()}
EMPTY = State(DEFINITION, columns(DEFINITION))
HOSTILE = st.text() | st.sampled_from(
    ["'", "''", "' or true or '", "x') or (1 eq 1", '"', "\\", "a\0b", "\ud800", "*", "#{}|&", "-dog"]
)


@given(queries, HOSTILE, HOSTILE, HOSTILE)
def test_any_input_compiles_to_a_request_that_the_service_takes(query: Query, text: str, tag: str, prefix: str) -> None:
    hostile = replace(
        query,
        text=text,
        tags_all=(tag,),
        tags_none=(tag, prefix),
        categories=(tag,),
        properties=(text,),
        prefix=prefix,
        formats=(tag,),
        phrases=(text, tag),
        words_none=(tag,),
        phrases_none=(prefix,),
        tags_any=(tag, prefix),
        folders=(prefix,),
        cameras=(tag,),
        classifiers=(text,),
        colours=(tag,),
        objects=(text,),
    )
    body = compiled(hostile)
    if body is not None:
        assert answer(EMPTY, body, 1000)["value"] == []


@given(HOSTILE, HOSTILE)
def test_a_tag_is_compared_with_all_of_its_characters_and_nothing_else(tag: str, other: str) -> None:
    body = compiled(Query(tags_all=(tag,)))
    if body is None:
        assert any("\ud800" <= character <= "\udfff" for character in tag)
        return
    holds = odata.parse(str(body["filter"]), FIELDS)
    assert holds({"tag_names": [tag]})
    assert holds({"tag_names": [other]}) == (other == tag)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_keys_sort_as_the_bytes_of_names_and_begin_as_they_do(one: str, other: str) -> None:
    assert (key(one) < key(other)) == (one.encode() < other.encode())
    body = compiled(Query(prefix=one))
    assert body is not None
    if one:
        holds = odata.parse(str(body["filter"]), FIELDS)
        assert holds({"name_key": key(one + other)})
        assert holds({"name_key": key(other)}) == other.startswith(one)


@given(st.datetimes(timezones=st.just(UTC)))
def test_dates_keep_their_microseconds(date: datetime) -> None:
    assert moment(micros(date)) == date


def test_quotes_are_doubled() -> None:
    assert literal("it's") == "'it''s'"


@pytest.mark.parametrize("query", [Query("!!!"), Query(tags_all=("\ud800",)), Query(prefix="\udfff"), Query(formats=("\ud800",))])
def test_what_nothing_can_match_is_not_asked(query: Query) -> None:
    assert compiled(query) is None


def test_too_many_words_are_refused_before_the_service_does() -> None:
    assert compiled(Query(" ".join(f"w{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(CLAUSES // 3)))) is not None
    with pytest.raises(Misconfigured, match="words"):
        compiled(Query(" ".join(f"word{'x' * at}" for at in range(90)) + " ".join(f" y{at}" for at in range(CLAUSES))))


def test_bounds_beyond_any_document_are_kept_within_64_bits() -> None:
    body = compiled(Query(min_size=-(10**30), max_size=10**30))
    assert body is not None
    assert answer(EMPTY, body, 1000)["value"] == []
