"""One page of the service's listing: its XML, read with lxml, as blobs.

A page of 5,000 names takes a few hundredths of a second of one core, a tenth of what the SDK takes and less; `bench/listing.py`
measures both.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from re import Pattern
from urllib.parse import unquote

from lxml import etree

from jobs.errors import Transient
from jobs.model import Blob, Odd
from jobs.properties import properties

_FACTS = (
    "Last-Modified", "Etag", "Content-Length", "Content-Type", "Content-MD5", "AccessTier", "ArchiveStatus", "ResourceType",
)  # fmt: skip
_MONTHS = {
    month: number
    for number, month in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)
}


@dataclass(frozen=True, slots=True)
class Segment:
    """What one request listed, in the service's order. `marker` asks for what comes next, None at the end: a segment may be empty.

    `folders` are the names, with their closing slash, that a delimiter stands for. `by_folder` says that the account has a
    hierarchical namespace: folders are entries of their own there (and left out here), and the order is another.
    """

    entries: tuple[Blob | Odd, ...]
    folders: tuple[str, ...] = ()
    marker: str | None = None
    by_folder: bool = False


def segment(body: bytes, source: str, pattern: Pattern[str] | None = None) -> Segment:
    """Read a page of the listing of the source with this key. Raises Transient for what is none."""
    try:
        return _segment(_root(body, "EnumerationResults"), source, pattern)
    except (etree.XMLSyntaxError, KeyError, ValueError, TypeError) as error:
        hint = "It came whole, and is not what Blob Storage writes: is something in between?"
        raise Transient("list", source, "the answer is no listing", hint=hint) from error


def _root(body: bytes, tag: str) -> etree._Element:
    """Parse XML that is not trusted: no document type, no entities but XML's own, nothing fetched. Raises ValueError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    root = etree.fromstring(body, parser)
    if root.tag != tag or root.getroottree().docinfo.internalDTD is not None:
        message = f"an unexpected {root.tag}"
        raise ValueError(message)
    return root


def _segment(root: etree._Element, source: str, pattern: Pattern[str] | None) -> Segment:
    entries: list[Blob | Odd] = []
    folders: list[str] = []
    by_folder = False
    for node in root.iterfind("Blobs/*"):
        parts = {child.tag: child for child in node}
        name = _name(parts["Name"])
        if node.tag == "BlobPrefix":
            folders.append(name)
            continue
        facts = {fact.tag: fact.text for fact in parts["Properties"].iterchildren(*_FACTS)}
        kind = facts.get("ResourceType")
        by_folder = by_folder or kind is not None
        if kind == "directory":
            continue
        metadata = {item.tag: item.text or "" for item in parts["Metadata"]} if "Metadata" in parts else {}
        if metadata and is_folder(metadata):
            entries.append(Odd(name, "the mark of a folder"))
            continue
        tagged = _tags(parts["Tags"]) if "Tags" in parts else {}
        came_with = properties(name, pattern, metadata, tagged) if pattern or metadata or tagged else ()
        entries.append(_blob(source, name, facts, came_with))
    return Segment(tuple(entries), tuple(folders), root.findtext("NextMarker") or None, by_folder)


def _blob(source: str, name: str, facts: Mapping[str, str | None], came_with: tuple[tuple[str, str], ...]) -> Blob:
    return Blob(
        source,
        name,
        (facts["Etag"] or "").strip('"'),
        http_date(facts["Last-Modified"] or ""),
        int(facts["Content-Length"] or 0),
        facts.get("Content-Type") or None,
        md5(facts.get("Content-MD5")),
        archived(facts.get("AccessTier"), facts.get("ArchiveStatus")),
        came_with,
    )


def _name(node: etree._Element) -> str:
    """Return the name; the service percent-encodes names with characters that XML cannot hold, and says so."""
    text = node.text or ""
    return unquote(text) if node.get("Encoded") == "true" else text


def is_folder(metadata: Mapping[str, str]) -> bool:
    """Say whether metadata are those by which Hadoop and hierarchical accounts mark a folder."""
    return any(key.lower() == "hdi_isfolder" and value.lower() == "true" for key, value in metadata.items())


def _tags(node: etree._Element) -> dict[str, str]:
    return {tag.findtext("Key") or "": tag.findtext("Value") or "" for tag in node.iterfind("TagSet/Tag")}


def tags(body: bytes, source: str) -> dict[str, str]:
    """Read the index tags of one blob. Raises Transient for what is none."""
    try:
        return _tags(_root(body, "Tags"))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Transient("head", source, "the answer names no tags") from error


@lru_cache(maxsize=4096)  # whole pages share a few seconds
def http_date(text: str) -> datetime:
    """Return the time that an HTTP header names, as in `Sun, 06 Nov 1994 08:49:37 GMT`. Raises ValueError or KeyError."""
    if len(text) != 29 or not text.endswith(" GMT"):  # noqa: PLR2004 the one length of RFC 1123
        raise ValueError(text)
    return datetime(
        int(text[12:16]), _MONTHS[text[8:11]], int(text[5:7]), int(text[17:19]), int(text[20:22]), int(text[23:25]), tzinfo=UTC
    )


def md5(text: str | None) -> str | None:
    """Return a Content-MD5 as `md5:` and hex digits, None when there is none that could be one."""
    if not text:
        return None
    try:
        digest = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
    return f"md5:{digest.hex()}" if len(digest) == 16 else None  # noqa: PLR2004 bytes of an MD5


def archived(tier: str | None, status: str | None) -> str | None:
    """Return why the bytes cannot be read now, None when they can."""
    if status:
        return "rehydrating"
    return "archived" if tier == "Archive" else None
