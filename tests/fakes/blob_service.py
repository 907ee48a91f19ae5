"""The listing of a storage account, as XML over a channel: in one of the orders that it might have, in segments of any length."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from jobs.adapters.azure_blob_channel import Answer

Order = Callable[[str], Any]


def by_bytes(name: str) -> bytes:
    return name.encode()


def by_units(name: str) -> bytes:
    """Order as by UTF-16 units, as JavaScript and .NET compare."""
    return name.encode("utf-16-be")


def by_folder(name: str) -> list[bytes]:
    """Order as a walk over a hierarchical namespace: by the bare names of files and folders on each level."""
    return [part.encode() for part in name.split("/")]


def blob_xml(name: str, *, more: str = "") -> str:
    legal = all(character >= " " and character not in "\ufffe\uffff" for character in name)
    tag = f"<Name>{escape(name)}</Name>" if legal else f'<Name Encoded="true">{quote(name)}</Name>'
    return (
        f"<Blob>{tag}<Properties><Last-Modified>Sun, 22 Nov 2026 19:11:01 GMT</Last-Modified><Etag>0x8DC1</Etag>"
        f"<Content-Length>{len(name)}</Content-Length><Content-Type>image/jpeg</Content-Type><Content-MD5 />{more}"
        f"</Properties></Blob>"
    )


class BlobService:
    """Answers List Blobs about `names`, in `order`; a hierarchical one also lists folders. Some segments are short or empty."""

    def __init__(self, names: Sequence[str], order: Order = by_bytes, *, seed: int = 0, largest: int = 3) -> None:
        self.hierarchical = order is by_folder
        self.order = order
        self.asked: list[Mapping[str, str]] = []
        folders = {name[:place] for name in names for place, c in enumerate(name) if c == "/"} if self.hierarchical else set()
        self._folders = folders
        self._names = sorted({*names, *folders}, key=order)
        self._random = random.Random(seed)
        self._largest = largest

    async def send(self, operation: str, *, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        assert operation == "list"
        assert headers["Accept"] == "application/xml"
        assert all(query.values()), "an empty parameter is not sent"
        self.asked.append(query)
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        found = [name for name in self._names if name.startswith(prefix)]
        if "startFrom" in query:
            found = [name for name in found if self.order(name) >= self.order(query["startFrom"])]
        items = list(dict.fromkeys(self._item(name, prefix, delimiter) for name in found))
        begin = int(query.get("marker", "m0")[1:])
        end = begin + min(int(query["maxresults"]), self._random.randint(0, self._largest))
        marker = f"m{end}" if end < len(items) else ""
        body = f"<Blobs>{''.join(items[begin:end])}</Blobs><NextMarker>{marker}</NextMarker>"
        text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="c">{body}</EnumerationResults>'
        return Answer(200, {}, text.encode())

    def _item(self, name: str, prefix: str, delimiter: str) -> str:
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            return f"<BlobPrefix><Name>{escape(name[: cut + 1])}</Name></BlobPrefix>"
        if delimiter and name in self._folders:
            return f"<BlobPrefix><Name>{escape(name)}/</Name></BlobPrefix>"
        kind = "directory" if name in self._folders else "file"
        return blob_xml(name, more=f"<ResourceType>{kind}</ResourceType>" if self.hierarchical else "")
