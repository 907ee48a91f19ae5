"""Records and documents survive their JSON, and nothing else passes for one."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given

from jobs.codec import SCHEMA, decode, encode
from jobs.errors import Misconfigured, StorageFailed
from jobs.model import Failure, Lease, Outcome, Record, Scan, Tag
from jobs.ports import Document
from tests.examples import NOON, analysis, classified, documents, record, records


@given(records)
def test_a_record_comes_back_as_it_was(one: Record) -> None:
    assert decode(Record, encode(one, one.id), one.id) == one


@given(documents)
def test_a_document_comes_back_as_it_was(one: Document) -> None:
    back = decode(type(one), encode(one, "key"), "key")  # type: ignore[type-var]  # one kind at a time
    assert back == one


def test_what_comes_back_has_the_types_of_the_model() -> None:
    back = decode(Record, encode(replace(classified("cat", "h1"), modified=NOON), "cat"), "cat")
    assert back.outcome is Outcome.CLASSIFIED
    assert back.analysis is not None
    assert isinstance(back.analysis.tags, tuple)
    assert back.modified.utcoffset() == NOON.utcoffset()
    assert hash(back) == hash(classified("cat", "h1"))


def test_an_embedding_is_not_in_the_json() -> None:
    body = encode(classified("cat", "h1", embedding=b"\1\2"), "cat")
    assert "embedding" not in body
    assert decode(Record, body, "cat") == classified("cat", "h1")


def test_fields_of_a_later_program_are_ignored() -> None:
    fields = json.loads(encode(classified("cat", "h1"), "cat"))
    fields["mood"] = "good"
    fields["analysis"]["tags"][0]["colour"] = "white"
    assert decode(Record, json.dumps(fields), "cat") == classified("cat", "h1")


def test_fields_that_an_earlier_program_did_not_write_have_their_defaults() -> None:
    fields = json.loads(encode(record("cat", failure=Failure("transient", "slow")), "cat"))
    del fields["unpublished"], fields["failure"]["attempts"]
    assert decode(Record, json.dumps(fields), "cat") == record("cat", failure=Failure("transient", "slow", attempts=1))


def test_bytes_and_another_order_of_fields_are_read() -> None:
    fields = json.loads(encode(Lease("me", 1, NOON), "lease"))
    turned = json.dumps(dict(reversed(fields.items()))).encode()
    assert decode(Lease, turned, "lease") == Lease("me", 1, NOON)


@pytest.mark.parametrize("changes", [{}, {"owner": 7}], ids=["readable", "of another shape"])
def test_a_newer_schema_is_refused(changes: dict[str, object]) -> None:
    fields = json.loads(encode(Lease("me", 1, NOON), "lease")) | changes | {"schema": SCHEMA + 1}
    with pytest.raises(Misconfigured, match="written by a newer imagesweep") as caught:
        decode(Lease, json.dumps(fields), "Lease x")
    assert caught.value.key == "Lease x"


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "{}", '{"schema":"1"}', '{"schema":true}', '{"schema":0}', b"\xff", encode(Scan(), "s")[:-1]],
)
def test_what_is_no_document_is_damaged(body: str | bytes) -> None:
    with pytest.raises(StorageFailed, match="decode Lease x: the stored document is damaged"):
        decode(Lease, body, "Lease x")


@pytest.mark.parametrize(
    ("path", "value"), [("etag", 5), ("size", "5"), ("outcome", "lost"), ("modified", "soon"), ("modified", None), ("analysis", [])]
)
def test_wrong_data_is_named(path: str, value: object) -> None:
    fields = json.loads(encode(classified("cat", "h1"), "cat")) | {path: value}
    with pytest.raises(StorageFailed, match=f"decode cat: .*{path}"):
        decode(Record, json.dumps(fields), "cat")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_confidence_that_could_not_be_read_back_is_not_written(wrong: float) -> None:
    for bad in (replace(analysis(), caption_confidence=wrong), replace(analysis(), tags=(Tag("hen", 0.5), Tag("cock", wrong)))):
        with pytest.raises(StorageFailed, match="encode cat"):
            encode(record("cat", analysis=bad), "cat")


def test_text_that_is_not_unicode_is_not_written() -> None:
    with pytest.raises(StorageFailed, match="encode cat"):
        encode(record("cat", etag="\udcff"), "cat")


def test_records_from_before_there_were_categories_are_read() -> None:
    body = json.loads(encode(record("x"), "k"))
    del body["categories"], body["derived"], body["properties"]
    assert decode(Record, json.dumps(body), "k") == record("x")
