"""The service's XML is read as the SDK reads it, and nothing in it is trusted."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape

import pytest
from azure.storage.blob import BlobProperties
from azure.storage.blob._deserialize import get_blob_properties_from_generated_code
from azure.storage.blob._generated import models
from azure.storage.blob._generated._utils.serialization import Deserializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.adapters.azure_blob_listing import http_date, md5, segment, tags
from jobs.errors import Transient
from jobs.model import Blob, Odd
from tests.fakes.blob_service import blob_xml

SOURCE = "azure-blob:test"
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda time: time.replace(microsecond=0, tzinfo=UTC))
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=20
)
WORDS = st.text("abcXYZ", min_size=1, max_size=8)


def _page(*blobs: str, marker: str = "") -> bytes:
    head = '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" ContainerName="c">'
    return f"{head}<Blobs>{''.join(blobs)}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>".encode()


def _pairs(tag: str, items: dict[str, str]) -> str:
    return f"<{tag}>" + "".join(f"<{k}>{escape(v)}</{k}>" for k, v in items.items()) + f"</{tag}>" if items else f"<{tag} />"


@st.composite
def _blobs(draw: st.DrawFn) -> str:
    facts = {
        "Creation-Time": "Sun, 22 Nov 2026 19:11:01 GMT",
        "Last-Modified": draw(TIMES).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "Etag": draw(st.sampled_from(["0x8DC1", '"0x8DC2"'])),
        "Content-Length": str(draw(st.integers(0, 2**40))),
        "Content-Type": draw(st.sampled_from(["image/jpeg", "", "text/html; charset=utf-8"])),
        "Content-MD5": draw(st.sampled_from(["", base64.b64encode(bytes(range(16))).decode()])),
        "BlobType": "BlockBlob",
        "AccessTier": draw(st.sampled_from(["Hot", "Cool", "Archive"])),
    }
    if draw(st.booleans()):
        facts["ArchiveStatus"] = "rehydrate-pending-to-hot"
    metadata = draw(st.dictionaries(WORDS, TEXTS, max_size=3))
    tag_set = draw(st.dictionaries(WORDS, TEXTS, max_size=3))
    encoded = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in tag_set.items())
    return (
        f"<Blob><Name>{escape(draw(TEXTS))}</Name>{_pairs('Properties', facts)}{_pairs('Metadata', metadata)}"
        f"<Tags><TagSet>{encoded}</TagSet></Tags><OrMetadata /></Blob>"
    )


def _by_sdk(body: bytes) -> list[BlobProperties]:
    known: dict[str, Any] = {name: kind for name, kind in vars(models).items() if isinstance(kind, type)}
    found = Deserializer(known)("ListBlobsFlatSegmentResponse", fromstring(body))  # noqa: S314 our own text
    return [get_blob_properties_from_generated_code(item) for item in found.segment.blob_items]


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first drawing builds the tables of Unicode
@given(st.lists(_blobs(), max_size=4))
def test_it_reads_what_the_sdk_reads(blobs: list[str]) -> None:
    body = _page(*blobs, marker="2!76!x")
    ours = segment(body, SOURCE)
    assert ours.marker == "2!76!x"
    theirs = _by_sdk(body)
    assert len(ours.entries) == len(theirs)
    for one, other in zip(ours.entries, theirs, strict=True):
        assert isinstance(one, Blob)
        settings = other.content_settings
        assert (one.name, one.etag, one.modified, one.size) == (other.name, other.etag.strip('"'), other.last_modified, other.size)
        assert (one.content_type or "") == (settings.content_type or "")
        assert one.content_hash == (f"md5:{bytes(settings.content_md5).hex()}" if settings.content_md5 else None)
        assert one.archived == ("rehydrating" if other.archive_status else "archived" if other.blob_tier == "Archive" else None)
        said = {k: v.strip() for k, v in [*(other.metadata or {}).items(), *(other.tags or {}).items()] if v.strip()}
        assert {name for name, _ in one.properties} == set(said)


@pytest.mark.parametrize("name", ["a\x01b", "\ufffe", "tab\tand\nline\r", "100%", "a%2Fb", "ends with a dot.", "ends/", "//", " "])
def test_names_that_xml_or_addresses_cannot_hold_come_as_they_are(name: str) -> None:
    assert [entry.name for entry in segment(_page(blob_xml(name)), SOURCE).entries] == [name]


def test_marks_of_folders_are_no_blobs() -> None:
    mark = "<Blob><Name>f</Name><Properties><Last-Modified>Sun, 22 Nov 2026 19:11:01 GMT</Last-Modified><Etag>0</Etag>"
    mark += "<Content-Length>0</Content-Length></Properties><Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>"
    assert segment(_page(mark), SOURCE).entries == (Odd("f", "the mark of a folder"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        b'{"error": 1}',
        _page(blob_xml("a"))[:-30],
        _page("<Blob><Name>a</Name></Blob>"),
        _page(blob_xml("a").replace("GMT", "CET")),
        _page(blob_xml("a")).replace(b"<EnumerationResults", b'<!DOCTYPE x [<!ENTITY e "boom">]><EnumerationResults', 1),
        _page(blob_xml("a")).replace(b"<EnumerationResults", b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><EnumerationResults', 1),
    ],
)
def test_what_is_no_listing_is_a_passing_fault(body: bytes) -> None:
    with pytest.raises(Transient, match="no listing"):
        segment(body, SOURCE)


@pytest.mark.parametrize("text", ["", "Sun, 22 Nov 2026 19:11:01 CET", "Sun, 22 Foo 2026 19:11:01 GMT", "2026-11-22T19:11:01Z"])
def test_what_is_no_date_of_a_header_is_none(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        http_date(text)


@pytest.mark.parametrize("text", [None, "", "no base64!", base64.b64encode(b"short").decode()])
def test_what_is_no_md5_is_none(text: str | None) -> None:
    assert md5(text) is None


def test_tags_of_one_blob() -> None:
    body = b"<Tags><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value/></Tag></TagSet></Tags>"
    assert tags(body, SOURCE) == {"a": "1", "b": ""}
    with pytest.raises(Transient):
        tags(b"<html/>", SOURCE)
